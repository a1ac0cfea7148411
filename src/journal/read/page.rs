//! What a search is asked for, and what it returns.

use std::time::Duration;

use crate::journal::read::position::Position;
use crate::journal::read::row::Row;
use crate::journal::read::time::RecordTime;

/// Where a search begins.
#[derive(Debug, Clone, Copy)]
pub enum SearchStart {
    /// With the newest row.
    Newest,
    /// With the newest row before this place.
    Before(Position),
}

/// How much a search may do before it returns what it has found.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Rows.
    pub rows: usize,
    /// Bytes that are read.
    pub bytes: u64,
    /// Time.
    pub time: Duration,
    /// How long to pause after each block, so that a `serve` on the same cores does not notice:
    /// measured, 3 ms after 1 MiB at nice 19 cost it less than 1 %, no pause 25 to 60 %.
    pub pause: Duration,
}

impl Budget {
    /// No bound: for a command that somebody can interrupt.
    pub const UNBOUNDED: Self = Self {
        rows: usize::MAX,
        bytes: u64::MAX,
        time: Duration::MAX,
        pause: Duration::ZERO,
    };
}

/// What a search has found, and where it goes on.
#[derive(Debug)]
pub struct Page {
    /// Rows, the newest first.
    pub rows: Vec<Row>,
    /// Where the next search begins; `None` if everything was searched.
    pub next: Option<Position>,
}

/// How far a search has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Bytes that were searched.
    pub bytes: u64,
    /// Bytes of all files that there were when it began.
    pub bytes_total: u64,
    /// Back to this time everything was searched.
    pub back_to: Option<RecordTime>,
}
