//! A forwarder moves its cursor, and saves it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::disk::NotReplaced;
use crate::forward::Sink;
use crate::forward::cursor::CursorFile;
use crate::forward::meters::ms;
use crate::forward::run::run::{Moved, Place, Run, now};
use crate::forward::run::step::Done;
use crate::forward::watermark::Passed;

/// How often a moving cursor is saved, and a failed save is retried.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// It is also saved after this many notifications, which bounds the repeats after a kill.
const SAVE_AFTER: u64 = 10_000;

impl<S: Sink> Run<S> {
    /// The watermark has moved.
    pub(super) fn pass(&mut self, passed: Option<Passed<Place>>) {
        let Some(passed) = passed else {
            return;
        };
        let Passed {
            end,
            delivered,
            dead_lettered,
            skipped,
        } = passed;
        let counts = &mut self.progress.counts;
        let notifications = delivered
            .saturating_add(dead_lettered)
            .saturating_add(skipped);
        counts.sequence = counts.sequence.saturating_add(notifications);
        counts.delivered = counts.delivered.saturating_add(delivered);
        counts.dead_lettered = counts.dead_lettered.saturating_add(dead_lettered);
        counts.skipped = counts.skipped.saturating_add(skipped);
        self.moved.is_moved = true;
        self.moved.notifications = self.moved.notifications.saturating_add(notifications);
        // Chunks before that of `end` are passed as a whole. The position of the reader after the
        // last of them is the base that `end` is saved with.
        if let Some(position) = self.behind.pass(end.chunk) {
            self.base = position;
        }
        self.place = Some(end.position);
        self.rest();
    }

    /// Moves the cursor to the reader's position if everything that was read is settled.
    pub(super) fn rest(&mut self) {
        if !self.queue.is_empty() || self.watermark.has_open() {
            return;
        }
        if let Some(position) = self.behind.take_last() {
            (self.base, self.place) = (position, None);
            self.moved.is_moved = true;
        }
    }

    /// Saves the cursor if that is due. Returns when it is due next.
    pub(super) fn save(&mut self, now: Instant) -> Instant {
        if self.moved.is_moved {
            self.moved.since.get_or_insert(now);
        }
        let next = |from: Instant| from.checked_add(SAVE_EVERY).unwrap_or(from);
        let due = self.moved.saved.map_or(now, next);
        if due <= now || self.moved.notifications >= SAVE_AFTER {
            self.save_now();
        }
        // Also if a save is under way. Its end wakes the loop.
        if due > now { due } else { next(now) }
    }

    /// Saves the cursor, unless a save is under way.
    pub(super) fn save_now(&mut self) {
        if !self.moved.is_moved {
            return;
        }
        let Some(mut cursor) = self.cursor.take() else {
            return;
        };
        self.saving_since = self.moved.since.or_else(|| Some(now()));
        // Reset at the beginning: what moves meanwhile is for the next save. A failed one sets it
        // again.
        self.moved = Moved {
            saved: Some(now()),
            ..Moved::default()
        };
        let (chain, hold) = (self.source.chain(), self.hold.clone());
        // A copy, because the loop continues while the job saves it.
        let mut progress = self.progress.clone();
        progress.saved = self.base.clone();
        // The newest place is the first that a start looks for.
        progress.saved.trail.splice(0..0, self.place);
        self.jobs.spawn_blocking(move || {
            let saved = cursor.save(&progress);
            // Only what a saved cursor has passed may be deleted. If its file is not found, the
            // hold stays and keeps more than needed.
            if saved.is_ok()
                && let Some(place) = progress.saved.trail.first()
                && let Ok(Some(file)) = chain.file_of(place)
            {
                hold.from(file);
            }
            Done::Saved(cursor, saved)
        });
    }

    pub(super) fn was_saved(&mut self, cursor: CursorFile, saved: Result<(), NotReplaced>) {
        self.cursor = Some(cursor);
        let since = self.saving_since.take();
        if let Err(NotReplaced { doing, path, cause }) = saved {
            let (destination, path) = (&self.settings.name, path.display());
            warn!(destination, doing, %path, %cause, "Cannot save a cursor: tried again. After a \
                kill more is sent again than needed");
            self.moved.is_moved = true;
            self.moved.since = since;
        } else if let Some(since) = since {
            let waited = ms(now().saturating_duration_since(since));
            self.meters.saved_after_ms.store(waited, Ordering::Relaxed);
        }
    }
}
