//! Where a follower starts, and what it meets.

use std::path::PathBuf;

use crate::journal::read::position::Position;
use crate::journal::read::row::Row;
use crate::journal::read::time::RecordTime;

/// Where a follower starts.
#[derive(Debug, Clone)]
pub enum Start {
    /// With the oldest record there is.
    Oldest,
    /// Behind the newest row.
    Newest,
    /// Where another one was.
    Saved(Saved),
}

/// Where a follower is, to be kept until the next one starts.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Its place, and places before that, the newest first: `Follower::trail`.
    pub trail: Vec<Position>,
    /// Up to here rows may have been delivered that are behind the first place of the trail: they
    /// come again, and say so.
    pub delivered: Option<Position>,
    /// When the last row before its place was logged.
    pub time: Option<RecordTime>,
    /// Names of files without a number that were there then: `Follower::unnumbered`. `None` if
    /// nobody has looked: those that are there at the start then say nothing.
    pub unnumbered: Option<Vec<PathBuf>>,
}

/// What has been read.
#[derive(Debug)]
pub struct Polled {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Whether there was nothing more to read.
    pub is_at_end: bool,
}

/// What a follower meets.
#[derive(Debug)]
pub enum Event {
    /// A row. `may_repeat`: it, or another one in its place, may have come before.
    Row {
        /// The row.
        row: Box<Row>,
        /// The place behind it: whoever is done with it and all before goes on from here.
        end: Position,
        /// Whether it may have come before.
        may_repeat: bool,
    },
    /// Reading goes on in another file.
    Continued {
        /// The name under which the file was read.
        was: PathBuf,
        /// The name that it has by now, if that is known.
        now: Option<PathBuf>,
        /// The file that is read from here on.
        next: PathBuf,
    },
    /// Between the rows of these times others may be missing: somebody deleted, packed or cut a
    /// file.
    Missed {
        /// When the last row before the gap was logged.
        after: Option<RecordTime>,
        /// When the first row behind it was logged.
        before: Option<RecordTime>,
    },
    /// Bytes that are no record.
    Damaged {
        /// The file.
        path: PathBuf,
        /// How many.
        bytes: usize,
    },
}
