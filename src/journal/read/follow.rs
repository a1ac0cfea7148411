//! Follows an endpoint log from a position, row by row and from one file to the next.
//!
//! A follower reads each file to its end and continues in the next younger one, whoever rotated the
//! file. It may return a row twice, and then marks that row. It never skips a row silently: if rows
//! may be missing because somebody changed the files, it says so. It returns no incomplete records
//! and, if the commit state is known, no uncommitted ones. It never waits: at the end of the log,
//! the caller of [`Follower::poll`] waits for [`POLL_INTERVAL`].

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::FileId;
use crate::journal::logs::LogTail;
use crate::journal::read::chain::{Chain, Link, OpenLink};
use crate::journal::read::event::{Event, Polled, Start};
use crate::journal::read::horizon::{Horizon, Readable};
use crate::journal::read::position::{Position, Surroundings};
use crate::journal::read::row::Row;
use crate::journal::read::spans::{Next, Split, last_boundary, split};
use crate::journal::read::successor::Successor;
use crate::journal::read::time::RecordTime;
use crate::journal::read::trail::Trail;

/// How long to wait at the end of the log before the next poll, which costs two system calls.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How many bytes are read at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// The largest row, in bytes. More bytes without the beginning of a record are damage.
const ROW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads rows in the order in which they were written.
pub struct Follower {
    pub(super) chain: Chain,
    pub(super) horizon: Horizon,
    pub(super) start: Option<Start>,
    pub(super) at: Option<At>,
    pub(super) trail: Trail,
    /// How many bytes are read at once. Grows for a large row, and returns to `chunk_bytes_min`.
    chunk_bytes: usize,
    pub(super) chunk_bytes_min: usize,
    pub(super) last_time: Option<RecordTime>,
    /// Set if rows may be missing after the row of this time. Reported before the next row.
    pub(super) missed_after: Option<Option<RecordTime>>,
    pub(super) again: Option<Again>,
    /// The end of the log in memory, and the bytes before the follower's position if they are
    /// known. Without them the next rows are read from the file.
    pub(super) tail: Option<Arc<LogTail>>,
    pub(super) before: Option<Surroundings>,
    /// How often the memory was forgotten before the last read of the file.
    pub(super) changes: u64,
}

/// A position in an open file.
pub(super) struct At {
    pub(super) open: OpenLink,
    pub(super) offset: u64,
    pub(super) successor: Successor,
}

/// The position up to which rows may have been returned before.
pub(super) struct Again {
    pub(super) id: FileId,
    offset: u64,
}

impl Follower {
    /// Creates a follower. Reads nothing before the first poll.
    #[must_use]
    pub fn new(chain: Chain, horizon: Horizon, start: Start) -> Self {
        Self {
            chain,
            horizon,
            start: Some(start),
            at: None,
            trail: Trail::default(),
            chunk_bytes: CHUNK_BYTES,
            chunk_bytes_min: CHUNK_BYTES,
            last_time: None,
            missed_after: None,
            again: None,
            tail: None,
            before: None,
            changes: 0,
        }
    }

    /// Sets how many bytes are read at once.
    #[must_use]
    pub fn reading(mut self, bytes: usize) -> Self {
        (self.chunk_bytes, self.chunk_bytes_min) = (bytes, bytes);
        self
    }

    /// The current position and earlier ones, newest first. All rows before the current position
    /// have been returned. Empty until there is a position.
    #[must_use]
    pub fn trail(&self) -> Vec<Position> {
        self.trail.places()
    }

    /// The paths of the files that have no number in their names, as far as known. `None` before
    /// the follower has opened a file.
    #[must_use]
    pub fn unnumbered(&self) -> Option<Vec<PathBuf>> {
        let at = self.at.as_ref()?;
        Some(at.successor.unnumbered().to_vec())
    }

    /// When the last row was logged, as far as it was read: from memory come no refusals.
    #[must_use]
    pub fn last_time(&self) -> Option<RecordTime> {
        self.last_time
    }

    /// Reads at most one chunk.
    ///
    /// # Errors
    /// A file cannot be opened or read. The next poll tries again.
    pub fn poll(&mut self) -> io::Result<Polled> {
        let mut events = Vec::new();
        let is_at_end = !self.read_on(&mut events)?;
        Ok(Polled { events, is_at_end })
    }

    /// Reads one chunk. Returns whether to poll again at once.
    fn read_on(&mut self, events: &mut Vec<Event>) -> io::Result<bool> {
        // Before the file is read, so that a change after that is noticed too.
        self.note_changes();
        if self.at.is_none() && !self.begin()? {
            return Ok(false);
        }
        let Some(at) = &self.at else { return Ok(false) };
        let file = at.open.file.as_ref();
        let readable = self.horizon.readable(file, at.open.link.id)?;
        let bytes = readable.read(file, at.offset, self.chunk_bytes)?;
        // Check the file after its bytes were read: if somebody truncated it and wrote to it
        // meanwhile, the bytes before the position are different.
        if file.len()? < at.offset || (!bytes.is_empty() && !self.is_in_place()?) {
            return self.go_back();
        }
        let is_all = readable.ends_within(at.offset, bytes.len());
        // If a record may continue beyond this chunk, read it again with the next chunk.
        let known = if is_all {
            bytes.as_slice()
        } else {
            let end = last_boundary(&bytes).unwrap_or_default();
            bytes.get(..end).unwrap_or_default()
        };
        let split = split(known, Next::Unknown);
        if split.end > 0 {
            self.chunk_bytes = self.chunk_bytes_min;
            self.take(known, &split, events)?;
            return Ok(true);
        }
        if is_all {
            return self.change_file(readable, events);
        }
        self.grow(&bytes, events)
    }

    /// Whether the bytes before the follower's position are still the same.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        match (&self.at, self.trail.newest()) {
            // At the beginning of a file there are no bytes to compare.
            (Some(at), Some(place)) if at.offset > 0 => place.is_in(at.open.file.as_ref()),
            (Some(_) | None, _) => Ok(true),
        }
    }

    /// Returns the rows in `bytes`, which were read at the follower's position.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        split: &Split,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let Some(at) = self.at.as_mut().filter(|_| split.end > 0) else {
            return Ok(());
        };
        let (id, number) = (at.open.link.id, at.open.link.number);
        // Return no row before this read: it fails if the file was truncated.
        let mut before = Surroundings::read(at.open.file.as_ref(), number, at.offset)?;
        let place = |offset: usize| before.position(bytes, offset);
        // A record with a destroyed head is no row, and counts as damaged too.
        let (mut known, mut position, mut damaged) = (0, place(0), split.damaged);
        for span in &split.spans {
            if known != span.start {
                position = place(span.start);
            }
            let raw = bytes.get(span.start..span.end).unwrap_or_default().to_vec();
            let row = Row::of(position, raw, span.last.saturating_sub(span.start));
            (known, position) = (span.end, place(span.end));
            let (Some(row), end) = (row, position) else {
                damaged = damaged.saturating_add(span.end.saturating_sub(span.start));
                continue;
            };
            if let Some(after) = self.missed_after.take() {
                let before = row.record.time;
                events.push(Event::Missed { after, before });
            }
            let offset = row.position.offset();
            if (self.again.as_ref()).is_some_and(|again| again.id == id && again.offset <= offset) {
                self.again = None;
            }
            self.last_time = row.record.time.or(self.last_time);
            events.push(Event::Row {
                row: Box::new(row),
                end,
                may_repeat: self.again.is_some(),
            });
        }
        if damaged > 0 {
            let (path, bytes) = (at.open.link.path.clone(), damaged);
            events.push(Event::Damaged { path, bytes });
        }
        let end = place(split.end);
        at.offset = end.offset();
        self.trail.advance(length(split.end), end);
        if self.tail.is_some() {
            before.pass(bytes.get(..split.end).unwrap_or_default());
            self.before = Some(before);
        }
        Ok(())
    }

    /// Handles a chunk without a whole row: skips a chunk of maximum size, else enlarges the next.
    fn grow(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> io::Result<bool> {
        if self.chunk_bytes < ROW_BYTES_MAX {
            self.chunk_bytes = self.chunk_bytes.saturating_mul(2);
            return Ok(true);
        }
        let end = last_boundary(bytes).unwrap_or(bytes.len());
        let damaged = Split {
            spans: Vec::new(),
            end,
            damaged: end,
        };
        self.take(bytes, &damaged, events)?;
        Ok(end > 0)
    }

    /// Prepares to continue in a file, at a position between two rows. All that can fail is here,
    /// so that a poll that fails leaves the follower as it was.
    pub(super) fn at(&self, open: OpenLink, offset: u64) -> io::Result<At> {
        Ok(At {
            successor: Successor::of(&self.chain, &open.link)?,
            open,
            offset,
        })
    }

    /// Continues there.
    pub(super) fn enter(&mut self, at: At) {
        self.at = Some(at);
        self.chunk_bytes = self.chunk_bytes_min;
        self.before = None;
    }

    pub(super) fn readable(&self, open: &OpenLink) -> io::Result<Readable> {
        self.horizon.readable(open.file.as_ref(), open.link.id)
    }

    /// The file that the follower reads.
    pub(super) fn file_id(&self) -> Option<FileId> {
        self.at.as_ref().map(|at| at.open.link.id)
    }

    /// Notes that rows may be missing before the next one.
    pub(super) fn miss(&mut self) {
        self.missed_after.get_or_insert(self.last_time);
    }

    /// Notes that rows up to this position may have been returned before.
    pub(super) fn mark_until(&mut self, link: &Link, offset: u64) {
        self.again = Some(Again {
            id: link.id,
            offset,
        });
    }
}

pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
