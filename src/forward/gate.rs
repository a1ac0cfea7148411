//! Whether pushes may come as far as a destination goes: its forwarder stores, requests load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A destination is away if it acknowledges nothing for this long while something is in flight. MNS
/// waits for 5 s, and a push may take 3 s in all.
const SILENCE: Duration = Duration::from_secs(3);
/// While the destination is away, one push is let through in each such interval. What is in flight
/// may not be sent again for minutes, or may be what the destination never accepts, so only a new
/// notification shows that the destination is back. The interval is longer than a push waits, so
/// that the next push after an unanswered one is turned away.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// What requests ask of a destination before their body is read.
///
/// All orderings are relaxed: no value depends on another, and a request that arrives too early
/// gets its 503 later.
#[derive(Debug)]
pub struct Gate {
    started: Instant,
    is_full: AtomicBool,
    has_ended: AtomicBool,
    /// Milliseconds from `started` to the last acknowledgement or, if later, to the time at which
    /// something was in flight again; 0 while nothing is in flight.
    silent_since_ms: AtomicU64,
    /// Milliseconds from `started` to the last push that was let through while away.
    probed_ms: AtomicU64,
}

impl Gate {
    /// Makes a gate that lets everything through.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            is_full: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            silent_since_ms: AtomicU64::new(0),
            probed_ms: AtomicU64::new(0),
        }
    }

    /// Whether the backlog of the destination has reached a bound.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Whether the destination is away, or its forwarder has ended.
    #[must_use]
    pub fn is_away(&self, now: Instant) -> bool {
        let since = self.silent_since_ms.load(Ordering::Relaxed);
        let is_silent =
            since != 0 && u128::from(self.ms(now).saturating_sub(since)) >= SILENCE.as_millis();
        is_silent || self.has_ended()
    }

    /// Whether a push is turned away: the destination is away, and this is not the one push that is
    /// let through in each `PROBE_EVERY`.
    #[must_use]
    pub fn turns_away(&self, now: Instant) -> bool {
        // A forwarder that has ended does not run again before the next start, so no probe could
        // find out anything.
        if !self.is_away(now) || self.has_ended() {
            return self.has_ended();
        }
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let since = self.silent_since_ms.load(Ordering::Relaxed);
        let away_since = since.saturating_add(ms(SILENCE));
        let probed = self.probed_ms.load(Ordering::Relaxed);
        let now = self.ms(now);
        // The interval begins with this outage or with its last probe. A probe of an earlier outage
        // does not count.
        if now.saturating_sub(probed.max(away_since)) < ms(PROBE_EVERY) {
            return true;
        }
        // Of several pushes that arrive together, only the winner of the exchange is let through.
        let (relaxed, mark) = (Ordering::Relaxed, &self.probed_ms);
        mark.compare_exchange(probed, now, relaxed, relaxed)
            .is_err()
    }

    /// Whether nothing is forwarded until the next start.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    pub(super) fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// Sets since when the destination has been silent with something in flight, or `None`.
    pub(super) fn is_silent_since(&self, since: Option<Instant>) {
        // At least 1, since 0 means that nothing is in flight.
        let ms = since.map_or(0, |since| self.ms(since).max(1));
        self.silent_since_ms.store(ms, Ordering::Relaxed);
    }

    fn ms(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_away_when_it_is_silent_for_three_seconds_with_something_in_flight() {
        let start = Instant::now();
        let gate = Gate::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!gate.is_away(at(100)), "nothing is in flight");
        gate.is_silent_since(Some(at(100)));
        assert!(!gate.is_away(at(102)));
        assert!(gate.is_away(at(103)));
        gate.is_silent_since(None);
        assert!(!gate.is_away(at(200)));
        gate.fill(true);
        assert!(gate.is_full() && !gate.is_away(at(200)));
        gate.end();
        assert!(gate.is_away(at(0)) && gate.has_ended());
    }

    #[test]
    fn now_and_then_a_push_may_show_that_the_destination_is_back() {
        let start = Instant::now();
        let gate = Gate::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        let may_come = |ms| !gate.turns_away(at(ms));
        gate.is_silent_since(Some(at(1000)));
        assert!(may_come(3999) && !may_come(4000) && !may_come(8999));
        assert!(may_come(9000));
        assert!(!may_come(9000) && !may_come(13_999));
        assert!(may_come(15_000));
        assert!(!may_come(19_999));
        // It was back, and is away again.
        gate.is_silent_since(Some(at(20_000)));
        assert!(may_come(20_001) && !may_come(27_999) && may_come(28_000));
        gate.end();
        assert!(!may_come(40_000) && !may_come(50_000));
    }
}
