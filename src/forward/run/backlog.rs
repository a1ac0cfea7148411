//! A forwarder measures how much waits for its destination, and what happens at the bounds.
//!
//! Once a second, so a bound may be passed by what arrives within a second.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{error, info, warn};

use crate::forward::run::run::{Run, now};
use crate::forward::run::step::Done;
use crate::forward::watermark::Settled;
use crate::forward::{Outgoing, Sink, WhenFull};
use crate::journal::Horizon;

/// How often it is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// A full backlog stays full until it is below this many percent of the bound, so that pushes are
/// not accepted and refused in turn.
const ENOUGH_PERCENT: u32 = 90;
/// Skipped notifications are logged at most this often.
const REPORT_EVERY: Duration = Duration::from_secs(60);

impl<S: Sink> Run<S> {
    /// Measures the backlog if that is due.
    pub(super) fn measure(&mut self, now: Instant) {
        let is_due = |last: Instant| now.saturating_duration_since(last) >= MEASURE_EVERY;
        if self.backlog.is_measuring || !self.backlog.measured.is_none_or(is_due) {
            return;
        }
        (self.backlog.measured, self.backlog.is_measuring) = (Some(now), true);
        // Rows that were read and settled no longer count, even if an open row keeps the cursor
        // before them. Otherwise the oldest would be skipped because of rows that do not wait.
        let queued = self.queue.iter().map(|(row, _)| row.bytes);
        self.backlog.bytes_read = queued.fold(self.window.row_bytes(), u64::saturating_add);
        let read = self.behind.last().unwrap_or(&self.base);
        let place = read.trail.first().copied();
        let (chain, mark) = (self.source.chain(), self.source.mark.clone());
        let horizon = Horizon::Committed(Box::new(move |file| mark.of(file)));
        self.jobs.spawn_blocking(move || {
            let place = place.map(|place| chain.bytes_after(&place, &horizon));
            Done::Measured(place.transpose().map(Option::flatten))
        });
    }

    pub(super) fn was_measured(&mut self, bytes: io::Result<Option<u64>>) {
        self.backlog.is_measuring = false;
        // A place that is gone is found again by the next read, or is a gap.
        match bytes {
            Ok(Some(bytes)) => {
                self.backlog.bytes = bytes.saturating_add(self.backlog.bytes_read);
            }
            Ok(None) => {}
            // The last size stays in effect: a failed measurement must not accept or refuse pushes.
            Err(error) => {
                let destination = &self.settings.name;
                warn!(destination, %error, "Cannot measure how much waits for a destination");
            }
        }
        let bytes = self.backlog.bytes;
        let age = self.age_of_the_oldest();
        let meters = &self.meters;
        meters.backlog_bytes.store(bytes, Ordering::Relaxed);
        meters
            .backlog_seconds
            .store(age.as_secs(), Ordering::Relaxed);
        let was_full = self.backlog.is_full;
        // Once full, it stays full until there is some room again.
        let percent = if was_full { ENOUGH_PERCENT } else { 100 };
        self.backlog.is_full = self.is_beyond(bytes, age, percent);
        self.gate.fill(self.backlog.is_full);
        self.backlog.skip_nothing();
        if self.backlog.is_full && self.settings.when_full == WhenFull::Skip {
            self.skip(bytes);
        } else if self.backlog.is_full != was_full {
            self.report_the_bound(bytes, age);
        }
    }

    fn is_beyond(&self, bytes: u64, age: Duration, percent: u32) -> bool {
        // Divided first, because a large bound times 100 would overflow. The remainder of under 100
        // bytes does not matter.
        let is_large = self
            .settings
            .max_backlog_bytes
            .is_some_and(|max| bytes >= max.div_euclid(100).saturating_mul(u64::from(percent)));
        let is_old = self
            .settings
            .max_backlog_age
            .is_some_and(|max| age >= max.saturating_mul(percent).checked_div(100).unwrap_or(max));
        is_large || is_old
    }

    fn age_of_the_oldest(&self) -> Duration {
        let queued = || self.queue.iter().find_map(|(row, _)| row.outgoing.as_ref());
        // What is in the window was read before what is in the queue.
        let oldest = self.window.oldest().or_else(queued);
        let Some(received) = oldest.and_then(|oldest| oldest.received) else {
            return Duration::ZERO;
        };
        let now = Timestamp::try_from(self.source.clock.now()).unwrap_or_default();
        // A negative age, after the clock was set back, counts as none.
        Duration::try_from(now.duration_since(received)).unwrap_or_default()
    }

    fn report_the_bound(&self, bytes: u64, age: Duration) {
        let destination = &self.settings.name;
        if self.backlog.is_full {
            error!(
                destination,
                bytes,
                ?age,
                "As much waits for a destination as max_backlog or \
                max_backlog_age allows: pushes are answered 503"
            );
        } else {
            info!(
                destination,
                bytes, "Less waits for a destination again: pushes are accepted"
            );
        }
    }

    /// Skips the oldest, beginning with those that wait to be sent again.
    fn skip(&mut self, bytes: u64) {
        // Down to the lower mark, so that the next notification does not reach the bound again.
        if let Some(max) = self.settings.max_backlog_bytes {
            let enough = max
                .div_euclid(100)
                .saturating_mul(u64::from(ENOUGH_PERCENT));
            self.backlog.skip_bytes = bytes.saturating_sub(enough);
        }
        if let Some(max) = self.settings.max_backlog_age {
            let enough = max.saturating_mul(ENOUGH_PERCENT).checked_div(100);
            let now = Timestamp::try_from(self.source.clock.now()).unwrap_or_default();
            self.backlog.skip_before = enough.and_then(|age| now.checked_sub(age).ok());
        }
        // Not what is being sent now, since the destination may still acknowledge it.
        while let Some((ticket, outgoing, bytes)) = self.window.first_waiting()
            && self.backlog.skips(outgoing)
        {
            self.window.take(ticket);
            self.count_skipped(bytes);
            let passed = self.watermark.settle(ticket, Settled::Skipped);
            self.pass(passed);
        }
    }

    /// Whether a notification is skipped. Counts the bytes of its row if so.
    pub(super) fn is_skipped(&mut self, outgoing: &Outgoing, bytes: u64) -> bool {
        let is_skipped = self.backlog.skips(outgoing);
        if is_skipped {
            self.count_skipped(bytes);
        }
        is_skipped
    }

    fn count_skipped(&mut self, bytes: u64) {
        self.backlog.pass(bytes);
        self.meters
            .skipped_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        let now = now();
        let is_due = |last: Instant| now.saturating_duration_since(last) >= REPORT_EVERY;
        if self.backlog.reported.is_none_or(is_due) {
            self.backlog.reported = Some(now);
            let destination = &self.settings.name;
            let skipped_bytes = self.meters.skipped_bytes.load(Ordering::Relaxed);
            error!(
                destination,
                skipped_bytes,
                "Notifications are not forwarded: as much waited \
                as max_backlog or max_backlog_age allows, and when_full is skip"
            );
        }
    }
}
