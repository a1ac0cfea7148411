//! Where a list goes on: a place, and the walk that it belongs to.

use std::fmt::Write as _;

use crate::admin::inspector::row::Rows;
use crate::journal::Position;

/// What a place is called where memory ends and the log files begin.
const FILES: &str = "files";

/// Where a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) place: Place,
    /// The number of the walk; none of one that somebody has put together.
    pub(super) walk: Option<u64>,
}

/// A place before which a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A request in memory, by its number.
    Remembered(u64),
    /// The newest of the log files.
    Files,
    /// A place in them.
    At(Position),
}

impl Cursor {
    /// Reads one: a place, and behind a dot the walk in hexadecimal digits.
    pub(super) fn of(text: &str, rows: &Rows) -> Option<Self> {
        let (place, walk) = match text.split_once('.') {
            Some((place, walk)) => (place, Some(u64::from_str_radix(walk, 16).ok()?)),
            None => (text, None),
        };
        let place = match place {
            FILES => Place::Files,
            place => match rows.seq(place) {
                Some(seq) => Place::Remembered(seq),
                None => Place::At(place.parse().ok()?),
            },
        };
        Some(Self { place, walk })
    }

    pub(super) fn text(&self, rows: &Rows) -> String {
        let mut text = match self.place {
            Place::Remembered(seq) => rows.id(seq),
            Place::Files => FILES.to_owned(),
            Place::At(position) => position.to_string(),
        };
        if let Some(walk) = self.walk {
            write!(text, ".{walk:x}").ok();
        }
        text
    }
}
