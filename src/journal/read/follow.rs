//! Follows an endpoint log from a position on, row by row, from one file to the next.
//!
//! A file is left only for the next one by age, after all of it was read, whoever rotated it. What
//! cannot be followed is reported: a row may come twice, and then says so, but none is skipped in
//! silence. Nothing is read that is not whole, or not yet committed where that is known. Nobody
//! waits in here: whoever calls [`Follower::poll`] waits [`POLL_INTERVAL`] when it is at the end.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::FileId;
use crate::journal::read::chain::{Chain, Link, OpenLink};
use crate::journal::read::event::{Event, Polled, Start};
use crate::journal::read::horizon::{Horizon, Readable};
use crate::journal::read::position::Position;
use crate::journal::read::row::Row;
use crate::journal::read::spans::{Next, Split, last_boundary, split};
use crate::journal::read::successor::Successor;
use crate::journal::read::time::RecordTime;
use crate::journal::read::trail::Trail;

/// How long to wait at the end before looking again. A look costs two calls of the system.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How much is read at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// The largest row that is waited for. More without the beginning of a record is damage.
const ROW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads rows in the order in which they were written.
pub struct Follower {
    pub(super) chain: Chain,
    pub(super) horizon: Horizon,
    pub(super) start: Option<Start>,
    pub(super) at: Option<At>,
    pub(super) trail: Trail,
    /// How much is read at once, and what it is where rows are small.
    chunk_bytes: usize,
    pub(super) chunk_bytes_min: usize,
    pub(super) last_time: Option<RecordTime>,
    /// Rows are missing behind the one of this time; said with the next row.
    missed_after: Option<Option<RecordTime>>,
    again: Option<Again>,
}

/// A place in an open file.
pub(super) struct At {
    open: OpenLink,
    offset: u64,
    pub(super) successor: Successor,
}

/// Up to this place rows may have come before.
struct Again {
    id: FileId,
    offset: u64,
}

impl Follower {
    /// A follower. Nothing is read before the first poll.
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
        }
    }

    /// Reads so many bytes at once, where rows are small.
    #[must_use]
    pub fn reading(mut self, bytes: usize) -> Self {
        (self.chunk_bytes, self.chunk_bytes_min) = (bytes, bytes);
        self
    }

    /// Where it is and where it was, the newest place first: all rows before the first place have
    /// been given out. Empty before there was one.
    #[must_use]
    pub fn trail(&self) -> Vec<Position> {
        self.trail.places()
    }

    /// Names without a number in the directory, as it knows them; `None` before it is in a file.
    #[must_use]
    pub fn unnumbered(&self) -> Option<Vec<PathBuf>> {
        let at = self.at.as_ref()?;
        Some(at.successor.unnumbered().to_vec())
    }

    /// When the last row was logged.
    #[must_use]
    pub fn last_time(&self) -> Option<RecordTime> {
        self.last_time
    }

    /// Reads on, a chunk at most.
    ///
    /// # Errors
    /// The disk's. Another poll tries again.
    pub fn poll(&mut self) -> io::Result<Polled> {
        let mut events = Vec::new();
        let is_at_end = !self.read_on(&mut events)?;
        Ok(Polled { events, is_at_end })
    }

    /// Returns whether it came further.
    fn read_on(&mut self, events: &mut Vec<Event>) -> io::Result<bool> {
        if self.at.is_none() && !self.begin()? {
            return Ok(false);
        }
        let Some(at) = &self.at else { return Ok(false) };
        let file = at.open.file.as_ref();
        let readable = self.horizon.readable(file, at.open.link.id)?;
        let bytes = readable.read(file, at.offset, self.chunk_bytes)?;
        // After the bytes were read: whoever cuts the file meanwhile and writes to it changes
        // what precedes them.
        if file.len()? < at.offset || (!bytes.is_empty() && !self.is_in_place()?) {
            self.go_back()?;
            return Ok(false);
        }
        let is_all = readable.ends_within(at.offset, bytes.len());
        // What may go on behind the chunk is read again with the next one.
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

    /// Whether what was read before its place is still there.
    fn is_in_place(&self) -> io::Result<bool> {
        match (&self.at, self.trail.newest()) {
            // At the beginning of a file nothing of it has been read.
            (Some(at), Some(place)) if at.offset > 0 => place.is_in(at.open.file.as_ref()),
            (Some(_) | None, _) => Ok(true),
        }
    }

    /// Gives out the rows of bytes that begin at its place.
    fn take(&mut self, bytes: &[u8], split: &Split, events: &mut Vec<Event>) -> io::Result<()> {
        let Some(at) = self.at.as_mut().filter(|_| split.end > 0) else {
            return Ok(());
        };
        let file = at.open.file.as_ref();
        let (id, number) = (at.open.link.id, at.open.link.number);
        let place = |offset: usize| at.offset.saturating_add(length(offset));
        // Places first: should the file be cut meanwhile, nothing has been given out.
        let mut rows = Vec::new();
        let mut position = Position::of(file, number, at.offset)?;
        for span in &split.spans {
            if position.offset() != place(span.start) {
                position = Position::of(file, number, place(span.start))?;
            }
            let raw = bytes.get(span.start..span.end).unwrap_or_default().to_vec();
            let row = Row::of(position, raw, span.last.saturating_sub(span.start));
            position = Position::of(file, number, place(span.end))?;
            rows.extend(row.map(|row| (row, position)));
        }
        let end = Position::of(file, number, place(split.end))?;
        for (row, end) in rows {
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
        if split.damaged > 0 {
            let (path, bytes) = (at.open.link.path.clone(), split.damaged);
            events.push(Event::Damaged { path, bytes });
        }
        at.offset = end.offset();
        self.trail.advance(length(split.end), end);
        Ok(())
    }

    /// A chunk without a whole row in it: a larger one is read, or, past the bound, it is left out.
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

    /// At the end of a file that is no longer written: goes on with the next one. Returns whether
    /// it did, or found more to read.
    fn change_file(&mut self, readable: Readable, events: &mut Vec<Event>) -> io::Result<bool> {
        let Some(at) = &self.at else { return Ok(false) };
        let Some(next) = at.successor.find(&self.chain, &at.open)? else {
            return Ok(false);
        };
        let Some(open) = self.chain.open(next.link)? else {
            return Ok(false);
        };
        // `serve` may write to a file that somebody renamed until it has written to the next one.
        if open.link.is_live && open.file.len()? == 0 {
            return Ok(false);
        }
        let file = at.open.file.as_ref();
        let now_readable = self.horizon.readable(file, at.open.link.id)?;
        if now_readable != readable {
            return Ok(true);
        }
        if now_readable.len() < file.len()? {
            // The journal has not yet said that all of it is committed.
            return Ok(false);
        }
        let was = at.open.link.path.clone();
        let rest = readable.read(file, at.offset, usize::MAX)?;
        self.take(&rest, &split(&rest, Next::Other), events)?;
        if !next.is_certain {
            self.miss();
        }
        if self.again.as_ref().map(|again| again.id) == self.file_id() {
            self.again = None;
        }
        events.push(Event::Continued {
            was,
            now: next.old_name,
            next: open.link.path.clone(),
        });
        self.enter(open, 0)?;
        Ok(true)
    }

    /// Reads on in a file, at a place between two rows.
    pub(super) fn enter(&mut self, open: OpenLink, offset: u64) -> io::Result<()> {
        self.at = Some(At {
            successor: Successor::of(&self.chain, &open.link)?,
            open,
            offset,
        });
        self.chunk_bytes = self.chunk_bytes_min;
        Ok(())
    }

    pub(super) fn readable(&self, open: &OpenLink) -> io::Result<Readable> {
        self.horizon.readable(open.file.as_ref(), open.link.id)
    }

    /// The file that it is in.
    pub(super) fn file_id(&self) -> Option<FileId> {
        self.at.as_ref().map(|at| at.open.link.id)
    }

    /// Rows may be missing before the next one.
    pub(super) fn miss(&mut self) {
        self.missed_after.get_or_insert(self.last_time);
    }

    /// Rows up to this place may have come before.
    pub(super) fn mark_until(&mut self, link: &Link, offset: u64) {
        self.again = Some(Again {
            id: link.id,
            offset,
        });
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
