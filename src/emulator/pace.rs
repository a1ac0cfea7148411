//! The pace of pushes to a subscription: full speed, or slower and slower while its endpoint fails
//! (protocol.md 1.5).
//!
//! The extremes are documented: the gap grows from 0 over 500 ms to 60 s, the pushes in flight
//! decrease from 32 to 1, and a recovery takes up to 100 s. The steps between them are the
//! emulator's own: each doubles or halves.

use std::time::{Duration, Instant};

/// Pushes in flight at full speed.
const FLIGHTS_MAX: usize = 32;
/// The first gap.
const GAP_MIN: Duration = Duration::from_millis(500);
/// The longest gap.
const GAP_MAX: Duration = Duration::from_secs(60);
/// The number of the slowest step: its gap would be the first one above the longest.
const STEPS_MAX: u32 = 8;
/// Consecutive failures that do not slow the pace yet.
// The emulator's own choice: an occasional failure must not slow an endpoint that works.
const FAILURES_FREE: u32 = 2;

/// The pace of one subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    step: u32,
    failures: u32,
    changed: Instant,
}

impl Pace {
    /// Full speed.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            step: 0,
            failures: 0,
            changed: now,
        }
    }

    /// The gap between two pushes, before any time warp.
    pub(super) fn gap(&self) -> Duration {
        match self.step.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => GAP_MIN
                .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
                .min(GAP_MAX),
        }
    }

    /// The number of pushes that may be in flight.
    pub(super) fn flights_max(&self) -> usize {
        // 32 becomes 1 at the fifth step, and the slower steps still need one push in flight.
        FLIGHTS_MAX
            .checked_shr(self.step)
            .unwrap_or_default()
            .max(1)
    }

    /// A push that began at `begun` succeeded.
    pub(super) fn succeeded(&mut self, begun: Instant, now: Instant) {
        self.failures = 0;
        self.change(self.step.saturating_sub(1), begun, now);
    }

    /// A push that began at `begun` failed.
    pub(super) fn failed(&mut self, begun: Instant, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures > FAILURES_FREE {
            self.change(self.step.saturating_add(1).min(STEPS_MAX), begun, now);
        }
    }

    /// Pushes that were in flight together carry the same information, so only the first of them
    /// changes the pace.
    fn change(&mut self, step: u32, begun: Instant, now: Instant) {
        // A push that began before the last change says nothing about the new pace.
        if begun >= self.changed && step != self.step {
            (self.step, self.changed) = (step, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_falls_step_by_step_and_recovers_within_100_seconds() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let mut seen = Vec::new();
        for _ in 0..12 {
            seen.push((pace.gap().as_millis(), pace.flights_max()));
            now += Duration::from_secs(1);
            pace.failed(now, now);
        }
        let fallen = [
            (0, 32),
            (0, 32),
            (0, 32),
            (500, 16),
            (1000, 8),
            (2000, 4),
            (4000, 2),
            (8000, 1),
            (16000, 1),
            (32000, 1),
            (60000, 1),
            (60000, 1),
        ];
        assert_eq!(seen, fallen);
        let mut recovery = Duration::ZERO;
        while pace.gap() > Duration::ZERO {
            pace.succeeded(now, now);
            recovery += pace.gap();
            now += pace.gap();
        }
        assert!(recovery <= Duration::from_secs(100), "{recovery:?}");
        assert_eq!(pace.flights_max(), 32);
    }

    #[test]
    fn pushes_in_flight_together_count_once() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        for _ in 0..32 {
            pace.failed(begun, begun + Duration::from_millis(1));
        }
        assert_eq!(pace.gap(), GAP_MIN);
    }

    #[test]
    fn an_occasional_failure_changes_nothing() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..10 {
            pace.failed(now, now);
            pace.failed(now, now);
            pace.succeeded(now, now);
        }
        assert_eq!((pace.gap(), pace.flights_max()), (Duration::ZERO, 32));
    }
}
