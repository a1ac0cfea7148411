//! What a search is asked for, and what it returns.

use std::io;
use std::time::Duration;

use crate::journal::read::chain::{Chain, Link};
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
    /// Whether what was read of rotated files is dropped from the page cache, where it would take
    /// the place of what a `serve` needs.
    pub uncaches: bool,
}

impl Budget {
    /// No bound: for a command that somebody can interrupt.
    pub const UNBOUNDED: Self = Self {
        rows: usize::MAX,
        bytes: u64::MAX,
        time: Duration::MAX,
        uncaches: false,
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
    /// Bytes that there were to search when it began, all files together.
    pub bytes_total: u64,
    /// Bytes of what is newer than the place that it began at.
    pub bytes_newer: u64,
    /// Back to this time everything was searched.
    pub back_to: Option<RecordTime>,
}

impl Progress {
    /// That of a search that begins at `end` of one of the files.
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
