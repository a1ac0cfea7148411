//! A forwarder reads ahead.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::forward::Sink;
use crate::forward::reader::{Chunk, Reader};
use crate::forward::run::run::{Run, now};
use crate::forward::run::step::Done;

/// How long to wait after a failed read.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long commits are collected before they are read, unless pushes wait for them: a read and a
/// write to the destination cost about the same for one notification as for fifty.
const GATHER: Duration = Duration::from_millis(10);

impl<S: Sink> Run<S> {
    /// Whether to read on. Less than a window is then left of the last chunk, so that the window
    /// does not run empty.
    fn is_read_wanted(&self, now: Instant) -> bool {
        self.queue.len() < self.settings.in_flight
            && !self.is_at_end
            && self.read_after.is_none_or(|after| after <= now)
    }

    /// Takes the next chunk if it is in memory. Returns whether there may be more.
    pub(super) fn take_from_memory(&mut self, now: Instant) -> bool {
        if !self.is_read_wanted(now) {
            return false;
        }
        let Some(chunk) = self.reader.as_mut().and_then(|reader| reader.take()) else {
            return false;
        };
        self.read_after = None;
        self.enqueue(chunk);
        true
    }

    /// Reads the next chunk from the files.
    pub(super) fn read(&mut self, now: Instant) {
        if !self.is_read_wanted(now) {
            return;
        }
        // The job has the reader while it reads, so there is one read at a time.
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        self.read_after = None;
        self.jobs.spawn_blocking(move || {
            let chunk = reader.read();
            Done::Read(reader, chunk)
        });
    }

    /// There is more to read than at the end of the last chunk.
    pub(super) fn more_is_committed(&mut self) {
        self.is_at_end = false;
        // Measured with a debug build at 500 pushes a second: 1,170 us of CPU a push with this
        // delay, 1,640 us without it, and 680 us without a forwarder.
        if self.answers.is_none() {
            self.read_after = now().checked_add(GATHER);
        }
    }

    pub(super) fn was_read(&mut self, reader: Box<Reader>, chunk: io::Result<Chunk>) {
        self.reader = Some(reader);
        match chunk {
            Ok(chunk) => self.enqueue(chunk),
            Err(error) => {
                let destination = &self.settings.name;
                warn!(destination, %error, "Cannot read the endpoint log to forward it: tried \
                    again");
                self.read_after = now().checked_add(TRY_AGAIN);
            }
        }
    }

    fn enqueue(&mut self, chunk: Chunk) {
        let destination = &self.settings.name;
        for gap in chunk.gaps {
            let time = |time: Option<_>| time.map_or_else(String::new, |time| format!("{time}"));
            let (after, before) = (time(gap.after), time(gap.before));
            error!(
                destination,
                after,
                before,
                "Notifications between these times may not have \
                been forwarded: somebody deleted, packed or cut a log"
            );
            self.progress.gap = Some(gap);
            self.meters.note_gap(self.progress.gap);
            self.progress.counts.gaps = self.progress.counts.gaps.saturating_add(1);
            self.meters.gaps.fetch_add(1, Ordering::Relaxed);
        }
        for (path, bytes) in chunk.damaged {
            let path = path.display();
            error!(destination, %path, bytes, "A log is damaged, and nothing is forwarded from \
                that part: see logs verify");
        }
        if chunk.repeats > 0 {
            let rows = chunk.repeats;
            warn!(
                destination,
                rows,
                "The log ends before the cursor, or was changed before it: \
                what may have been forwarded is sent again"
            );
        }
        self.is_at_end = chunk.is_at_end;
        if chunk.rows.is_empty() {
            let last = self.behind.last_mut();
            let known = last.as_deref().unwrap_or(&self.base).trail.first();
            let place = chunk.behind.trail.first();
            // An idle forwarder would otherwise move and save its cursor after each read.
            if chunk.is_at_end && (place.is_none() || place == known) {
                return;
            }
            // Refusals that come from memory have no rows. They are passed with what is before
            // them, so that they take no room while that is open.
            if let Some(last) = last {
                *last = chunk.behind;
                return;
            }
        }
        self.chunk = self.chunk.saturating_add(1);
        let number = self.chunk;
        self.behind.push(number, chunk.behind);
        self.queue
            .extend(chunk.rows.into_iter().map(|row| (row, number)));
        // A chunk without rows has nothing to settle, so it is passed here.
        self.rest();
    }
}
