//! The point at which a list continues: a position, and the walk that it belongs to.

use std::fmt::Write as _;

use crate::admin::inspector::row::Rows;
use crate::journal::Position;

/// The name of the border between memory and the log files.
const FILES: &str = "files";

/// The point at which a list continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) place: Place,
    /// The number of the walk. `None` in a cursor that a user wrote.
    pub(super) walk: Option<u64>,
}

/// The position before which a list continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The number of a request in memory.
    Remembered(u64),
    /// The newest row of the log files.
    Files,
    /// A position in the log files.
    At(Position),
}

impl Cursor {
    /// Parses a cursor: a position, and after a dot the walk as hexadecimal digits.
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
