//! The parameters and the result of a search.

use std::io;
use std::time::Duration;

use crate::journal::read::chain::{Chain, Link};
use crate::journal::read::position::Position;
use crate::journal::read::row::Row;
use crate::journal::read::time::RecordTime;

/// The position at which a search begins.
#[derive(Debug, Clone, Copy)]
pub enum SearchStart {
    /// At the newest row.
    Newest,
    /// At the newest row before this position.
    Before(Position),
}

/// Limits how much a search does before it returns.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The maximum number of rows to return.
    pub rows: usize,
    /// The maximum number of bytes to read.
    pub bytes: u64,
    /// The longest time to take.
    pub time: Duration,
    /// Whether to drop the blocks of rotated files from the page cache once they are read, so that
    /// these blocks do not evict what a `serve` needs.
    pub uncaches: bool,
}

impl Budget {
    /// No limit: for a command that the user can interrupt.
    pub const UNBOUNDED: Self = Self {
        rows: usize::MAX,
        bytes: u64::MAX,
        time: Duration::MAX,
        uncaches: false,
    };
}

/// The result of a search.
#[derive(Debug)]
pub struct Page {
    /// The rows, newest first.
    pub rows: Vec<Row>,
    /// The position at which the next search begins. `None` if everything was searched.
    pub next: Option<Position>,
}

/// The progress of a search.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// The number of bytes that were searched.
    pub bytes: u64,
    /// How many bytes there were to search, in all files, when the search began.
    pub bytes_total: u64,
    /// The number of bytes after the position at which the search began. The search skips them.
    pub bytes_newer: u64,
    /// Everything was searched back to this time.
    pub back_to: Option<RecordTime>,
}

impl Progress {
    /// The progress of a search that begins at offset `end` of one of the files.
    pub(super) fn begun(chain: &Chain, links: &[Link], link: &Link, end: u64) -> io::Result<Self> {
        let (mut older, mut newer) = (end, 0_u64);
        let mut is_older = true;
        for other in links {
            let Some(open) = chain.open(other.clone())? else {
                continue;
            };
            let len = open.file.len()?;
            if other.id == link.id {
                is_older = false;
                newer = newer.saturating_add(len.saturating_sub(end));
            } else if is_older {
                older = older.saturating_add(len);
            } else {
                newer = newer.saturating_add(len);
            }
        }
        Ok(Self {
            bytes_total: older,
            bytes_newer: newer,
            ..Self::default()
        })
    }
}
