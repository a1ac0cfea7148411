//! Searches an endpoint log from the newest row back.
//!
//! A search reads blocks backwards from the end. Each block begins where a row begins and is
//! scanned for the needles of the filter; only rows that contain them are parsed. There is no
//! index: reading 1 GiB took 0.3 to 0.7 s from memory and 4.3 s from a cold disk, and the newest
//! rows are found in the first block. The end of a range of times is found by bisection. A search
//! runs only while the caller asks for a page. The caller cancels it by not asking again.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use crate::journal::read::bisect::{end_of_earlier, is_after};
use crate::journal::read::chain::{Chain, Link, Located, OpenLink};
use crate::journal::read::filter::{Filter, Prefilter};
use crate::journal::read::horizon::Horizon;
use crate::journal::read::page::{Budget, Page, Progress, SearchStart};
use crate::journal::read::parts::Parts;
use crate::journal::read::position::Position;
use crate::journal::read::row::Row;
use crate::journal::read::spans::{Next, Span, first_record, row_begin, split};

/// How many bytes are read at once.
const BLOCK_BYTES: usize = 1024 * 1024;
/// The largest row, in bytes. More bytes without the beginning of a record are damage.
const ROW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A search, newest row first.
pub struct Search {
    chain: Chain,
    horizon: Horizon,
    filter: Filter,
    prefilter: Prefilter,
    pub(super) block_bytes: usize,
    at: Option<At>,
    found: VecDeque<Row>,
    progress: Progress,
    bytes_read: u64,
}

/// A file, and the end of the part of it that is still to be searched.
struct At {
    open: OpenLink,
    end: u64,
}

impl Search {
    /// Creates a search in the files of a chain. Returns `None` if the position to begin at is
    /// gone.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn new(
        chain: Chain,
        horizon: Horizon,
        filter: Filter,
        start: SearchStart,
    ) -> io::Result<Option<Self>> {
        let mut search = Self {
            prefilter: filter.prefilter(),
            chain,
            horizon,
            filter,
            block_bytes: BLOCK_BYTES,
            at: None,
            found: VecDeque::new(),
            progress: Progress::default(),
            bytes_read: 0,
        };
        let links = search.chain.links()?;
        match start {
            SearchStart::Newest => search.enter_youngest(&links)?,
            SearchStart::Before(position) => {
                let Located::In(open) = search.chain.locate(&position)? else {
                    return Ok(None);
                };
                let end = position.offset();
                search.progress = Progress::begun(&search.chain, &links, &open.link, end)?;
                search.enter(open, end)?;
            }
        }
        Ok(Some(search))
    }

    /// The progress of the search.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The number of bytes that were read. Less than the progress if a range of times excludes some
    /// bytes.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Continues until the budget is used up, everything was searched, or `is_cancelled`, which is
    /// called before each block, returns `true`.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn page(
        &mut self,
        budget: &Budget,
        mut is_cancelled: impl FnMut(&Progress) -> bool,
    ) -> io::Result<Page> {
        let begun = Instant::now();
        let bytes_before = self.bytes_read;
        let mut rows = Vec::new();
        loop {
            while rows.len() < budget.rows
                && let Some(row) = self.found.pop_front()
            {
                rows.push(row);
            }
            let bytes = self.bytes_read.saturating_sub(bytes_before);
            let is_used_up = rows.len() >= budget.rows
                || bytes >= budget.bytes
                || begun.elapsed() >= budget.time
                || is_cancelled(&self.progress);
            if is_used_up || !self.read_block(budget.uncaches)? {
                break;
            }
        }
        let next = self.place(rows.last())?;
        Ok(Page { rows, next })
    }

    /// The position at which the search continues.
    fn place(&self, last: Option<&Row>) -> io::Result<Option<Position>> {
        match (&self.at, last) {
            (_, Some(last)) if !self.found.is_empty() => Ok(Some(last.position)),
            (Some(at), _) => {
                let number = at.open.link.number;
                Position::of(at.open.file.as_ref(), number, at.end).map(Some)
            }
            (None, _) => Ok(None),
        }
    }

    /// Searches one block. Returns whether there was one.
    fn read_block(&mut self, uncaches: bool) -> io::Result<bool> {
        let Some(at) = &self.at else { return Ok(false) };
        if at.end == 0 {
            return self.enter_older();
        }
        let end = at.end;
        let (start, bytes) = self.block()?;
        // The first record of a block is its oldest.
        let oldest = Parts::of(first_record(&bytes)).and_then(|parts| parts.time);
        let moments = oldest.and_then(|time| time.moments(&self.filter.zone()));
        let spans = match (self.filter.until, moments) {
            (Some(until), Some((first, _))) if is_after(first, until) => Vec::new(),
            _ => self.spans(&bytes),
        };
        let Some(at) = &mut self.at else {
            return Ok(false);
        };
        // Go from the end of the block to its beginning, because newer rows come first.
        for span in spans.iter().rev() {
            let place = start.saturating_add(length(span.start));
            let position = Position::of(at.open.file.as_ref(), at.open.link.number, place)?;
            let raw = bytes.get(span.start..span.end).unwrap_or_default().to_vec();
            let row = Row::of(position, raw, span.last.saturating_sub(span.start));
            self.found
                .extend(row.filter(|row| self.filter.matches(row)));
        }
        at.end = start;
        let read = end.saturating_sub(start);
        // `serve` still writes to the live file, and others read it, so it stays in the page cache.
        if uncaches && !at.open.link.is_live {
            at.open.file.uncache(start, read);
        }
        self.bytes_read = self.bytes_read.saturating_add(read);
        self.progress.bytes = self.progress.bytes.saturating_add(read);
        self.progress.back_to = oldest.or(self.progress.back_to);
        // All blocks before this one are older still, so the search is complete.
        if let (Some(since), Some((_, last))) = (self.filter.since, moments)
            && is_after(since, last)
        {
            self.at = None;
        }
        Ok(true)
    }

    /// The last block that was not searched yet, and its offset. The block begins where a row
    /// begins.
    fn block(&self) -> io::Result<(u64, Vec<u8>)> {
        let Some(at) = &self.at else {
            return Ok((0, Vec::new()));
        };
        let readable = self
            .horizon
            .readable(at.open.file.as_ref(), at.open.link.id)?;
        let mut block = self.block_bytes;
        loop {
            let start = at.end.saturating_sub(length(block));
            let wanted = usize::try_from(at.end.saturating_sub(start)).unwrap_or(block);
            let mut bytes = readable.read(at.open.file.as_ref(), start, wanted)?;
            if start == 0 || bytes.is_empty() {
                return Ok((0, bytes));
            }
            if let Some(cut) = row_begin(&bytes) {
                bytes.drain(..cut);
                return Ok((start.saturating_add(length(cut)), bytes));
            }
            // These bytes are longer than any row: skip them as damage.
            if block >= ROW_BYTES_MAX {
                return Ok((start, Vec::new()));
            }
            block = block.saturating_mul(2);
        }
    }

    /// The rows in a block that may match.
    fn spans(&self, bytes: &[u8]) -> Vec<Span> {
        if self.prefilter.is_empty() {
            return split(bytes, Next::Other).spans;
        }
        // Most blocks contain no needle, so do not split them into rows.
        if !self.prefilter.admits(bytes) {
            return Vec::new();
        }
        let mut spans = split(bytes, Next::Other).spans;
        spans.retain(|span| {
            let row = bytes.get(span.start..span.end);
            row.is_some_and(|row| self.prefilter.admits(row))
        });
        spans
    }

    fn enter_youngest(&mut self, links: &[Link]) -> io::Result<()> {
        for link in links.iter().rev() {
            if let Some(open) = self.chain.open(link.clone())? {
                let end = self.end(&open)?;
                self.progress = Progress::begun(&self.chain, links, &open.link, end)?;
                return self.enter(open, end);
            }
        }
        Ok(())
    }

    /// Continues in a file, before `end` and before the rows that are too late for the filter.
    fn enter(&mut self, open: OpenLink, end: u64) -> io::Result<()> {
        let mut begin = end;
        if let Some(until) = self.filter.until {
            let readable = self.horizon.readable(open.file.as_ref(), open.link.id)?;
            let zone = self.filter.zone();
            begin = end_of_earlier(open.file.as_ref(), readable, end, |time| {
                let moments = time.moments(&zone);
                moments.is_some_and(|(first, _)| is_after(first, until))
            })?;
        }
        let left_out = end.saturating_sub(begin);
        self.progress.bytes = self.progress.bytes.saturating_add(left_out);
        self.at = Some(At { open, end: begin });
        Ok(())
    }

    /// Continues in the next older file. Returns whether there is one.
    fn enter_older(&mut self) -> io::Result<bool> {
        let Some(at) = self.at.take() else {
            return Ok(false);
        };
        // List the files again, because they may have been renamed.
        let mut links = self.chain.links()?;
        let is_before = |link: &Link| self.chain.is_older(link.number, at.open.link.number);
        match links.iter().position(|link| link.id == at.open.link.id) {
            Some(place) => links.truncate(place),
            None => links.retain(is_before),
        }
        while let Some(link) = links.pop() {
            if let Some(open) = self.chain.open(link)? {
                let end = self.end(&open)?;
                self.enter(open, end)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The end of the rows of a file.
    fn end(&self, open: &OpenLink) -> io::Result<u64> {
        let readable = self.horizon.readable(open.file.as_ref(), open.link.id)?;
        if open.link.is_live {
            readable.last_row_end(open.file.as_ref())
        } else {
            Ok(readable.len())
        }
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
