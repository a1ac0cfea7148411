//! The starting position of a follower, and the events that it returns.

use std::path::PathBuf;

use crate::journal::read::position::Position;
use crate::journal::read::row::Row;
use crate::journal::read::time::RecordTime;

/// The starting position of a follower.
#[derive(Debug, Clone)]
pub enum Start {
    /// At the oldest record.
    Oldest,
    /// After the newest row.
    Newest,
    /// At a saved position.
    Saved(Saved),
}

/// The progress of a follower, to be saved for the next one.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Its position, and earlier positions, newest first: `Follower::trail`.
    pub trail: Vec<Position>,
    /// The end of the rows that may already have been delivered. Rows between the trail's first
    /// position and this one are returned again, marked as such.
    pub delivered: Option<Position>,
    /// When the last row before its position was logged.
    pub time: Option<RecordTime>,
    /// The files without a number that existed when this was saved: `Follower::unnumbered`. If it
    /// is `None`, the files that exist at the next start count as old.
    pub unnumbered: Option<Vec<PathBuf>>,
}

/// The result of a poll.
#[derive(Debug)]
pub struct Polled {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Whether the end of the log was reached.
    pub is_at_end: bool,
}

/// What a follower can find.
#[derive(Debug)]
pub enum Event {
    /// A row.
    Row {
        /// The row.
        row: Box<Row>,
        /// The position after it: the progress of a reader that has finished it and all rows
        /// before.
        end: Position,
        /// Whether it, or another row at the same position, may have been returned before.
        may_repeat: bool,
    },
    /// Reading continues in another file.
    Continued {
        /// The name under which the file was read.
        was: PathBuf,
        /// Its current name, if known.
        now: Option<PathBuf>,
        /// The file that is read next.
        next: PathBuf,
    },
    /// Rows may be missing between these times, because somebody deleted, compressed or truncated a
    /// file.
    Missed {
        /// When the last row before the gap was logged.
        after: Option<RecordTime>,
        /// When the first row after the gap was logged.
        before: Option<RecordTime>,
    },
    /// Bytes that are not a record.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of bytes.
        bytes: usize,
    },
}
