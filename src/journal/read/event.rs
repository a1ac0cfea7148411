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

/// The saved progress of a follower, from which a later follower continues.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// The position of the follower, and earlier ones, newest first: `Follower::trail`.
    pub trail: Vec<Position>,
    /// The end of the rows that may already have been delivered. Rows between the first position of
    /// the trail and this end are returned again, with `may_repeat` set.
    pub delivered: Option<Position>,
    /// When the last row before the position was logged.
    pub time: Option<RecordTime>,
    /// The files that had no number in their names when the progress was saved:
    /// `Follower::unnumbered`. A file without a number that is created later may have rows that no
    /// other file has. `None` means the files without a number that exist at the next start.
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
    /// A row: the outcome of a request, with the request if that was logged.
    Row {
        /// The row.
        row: Box<Row>,
        /// The position after the row: the progress of a reader that has finished this row and all
        /// rows before it.
        end: Position,
        /// Whether this row, or another row at the same position, may have been returned before.
        may_repeat: bool,
    },
    /// Reading continues in another file.
    Continued {
        /// The name under which the file was read.
        was: PathBuf,
        /// The current name of that file, if known.
        now: Option<PathBuf>,
        /// The file that is read next.
        next: PathBuf,
    },
    /// Rows may be missing between the two times, because somebody deleted, compressed or truncated
    /// a file.
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
