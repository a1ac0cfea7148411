//! The requests of the last hour by minute, and the current rate. Both are differences of counters
//! that exist anyway, so they cost a push nothing.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::server::Counts;

/// The number of minutes that are shown.
const MINUTES: usize = 60;
/// The number of seconds that the rate is averaged over.
const RATE_SECONDS: usize = 4;
const SECONDS_A_MINUTE: u32 = 60;

/// The counters at one time.
#[derive(Debug, Clone, Default)]
struct Counted {
    accepted: u64,
    signed_refused: u64,
    other_refused: u64,
    /// The histogram of the time from the first byte of an accepted push to its answer: bounds in
    /// microseconds, and counts.
    answers: Vec<(Option<u64>, u64)>,
}

/// The counts of one minute.
#[derive(Debug, Clone, Default)]
struct Minute {
    accepted: u64,
    signed_refused: u64,
    other_refused: u64,
    p50_us: u64,
    p99_us: u64,
}

/// The counts of the last hour.
#[derive(Debug, Default)]
pub(super) struct Hour(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: Counted,
    minutes: VecDeque<Minute>,
    seconds_of_minute: u32,
    /// The number of requests in each second, oldest first.
    totals: VecDeque<u64>,
}

impl Counted {
    fn of(counts: &Counts) -> Self {
        Self {
            accepted: counts.accepted.load(Ordering::Relaxed),
            signed_refused: counts.refused_signed.load(Ordering::Relaxed),
            other_refused: counts.refused_unsigned.load(Ordering::Relaxed),
            answers: counts.answer.counted().buckets,
        }
    }

    fn since(&self, before: &Self) -> Minute {
        let earlier = before.answers.iter().map(|(_, count)| *count);
        let buckets: Vec<(Option<u64>, u64)> = self
            .answers
            .iter()
            .zip(earlier.chain(std::iter::repeat(0)))
            .map(|((bound, count), earlier)| (*bound, count.saturating_sub(earlier)))
            .collect();
        Minute {
            accepted: self.accepted.saturating_sub(before.accepted),
            signed_refused: self.signed_refused.saturating_sub(before.signed_refused),
            other_refused: self.other_refused.saturating_sub(before.other_refused),
            p50_us: percentile(&buckets, 50),
            p99_us: percentile(&buckets, 99),
        }
    }

    fn total(&self) -> u64 {
        self.accepted
            .saturating_add(self.signed_refused)
            .saturating_add(self.other_refused)
    }
}

impl Hour {
    /// Takes a sample of the counters. Must be called once a second.
    pub(super) fn tick(&self, counts: &Counts) {
        let now = Counted::of(counts);
        let mut state = self.lock();
        state.totals.push_back(now.total());
        // One more than the seconds: the rate is a difference of two totals.
        if state.totals.len() > RATE_SECONDS.saturating_add(1) {
            state.totals.pop_front();
        }
        state.seconds_of_minute = state.seconds_of_minute.saturating_add(1);
        if state.seconds_of_minute >= SECONDS_A_MINUTE {
            state.seconds_of_minute = 0;
            let minute = now.since(&state.begun);
            state.minutes.push_back(minute);
            // One less than is shown: the current minute is added when they are read.
            if state.minutes.len() >= MINUTES {
                state.minutes.pop_front();
            }
            state.begun = now;
        }
    }

    /// The requests per second.
    pub(super) fn rate(&self) -> f64 {
        let state = self.lock();
        let (Some(first), Some(last)) = (state.totals.front(), state.totals.back()) else {
            return 0.0;
        };
        let seconds = state.totals.len().saturating_sub(1).max(1);
        let requests = u32::try_from(last.saturating_sub(*first)).unwrap_or(u32::MAX);
        let seconds = u32::try_from(seconds).unwrap_or(1);
        f64::from(requests) / f64::from(seconds)
    }

    /// Sixty minutes, oldest first. The last one is not complete.
    pub(super) fn minutes(&self, counts: &Counts) -> Vec<Value> {
        let state = self.lock();
        let now = Counted::of(counts).since(&state.begun);
        let missing = MINUTES
            .saturating_sub(1)
            .saturating_sub(state.minutes.len());
        let before = std::iter::repeat_n(Minute::default(), missing);
        let minutes = before.chain(state.minutes.iter().cloned()).chain([now]);
        let json = |minute: Minute| {
            json!({
                "accepted": minute.accepted,
                "signed_refused": minute.signed_refused,
                "other_refused": minute.other_refused,
                "p50_us": minute.p50_us,
                "p99_us": minute.p99_us,
            })
        };
        minutes.map(json).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A percentile of a histogram, with values distributed evenly within a bucket.
fn percentile(buckets: &[(Option<u64>, u64)], of_hundred: u64) -> u64 {
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = all.saturating_mul(of_hundred).div_ceil(100);
    let (mut below, mut from) = (0_u64, 0_u64);
    for (bound, count) in buckets {
        // The last bucket has no upper bound, so its lower one is shown.
        let to = bound.unwrap_or(from);
        if *count > 0 && below.saturating_add(*count) >= wanted {
            let into = wanted
                .saturating_sub(below)
                .saturating_mul(to.saturating_sub(from));
            return from.saturating_add(into.checked_div(*count).unwrap_or(0));
        }
        below = below.saturating_add(*count);
        from = to;
    }
    0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn percentiles_lie_within_their_bucket() {
        let buckets = [(Some(1000), 50), (Some(2000), 49), (None, 1)];
        assert_eq!(percentile(&buckets, 50), 1000);
        assert_eq!(percentile(&buckets, 99), 2000);
        assert_eq!(percentile(&buckets, 100), 2000);
        assert_eq!(percentile(&[(Some(1000), 1)], 50), 1000);
        assert_eq!(percentile(&[(Some(1000), 0)], 50), 0);
    }

    #[test]
    fn an_hour_has_sixty_minutes_and_forgets_the_ones_before() {
        let (hour, counts) = (Hour::default(), Counts::default());
        for minute in 0..70_u64 {
            for _ in 0..SECONDS_A_MINUTE {
                counts.accepted.fetch_add(minute, Ordering::Relaxed);
                counts.answer.observe(Duration::from_micros(1500));
                hour.tick(&counts);
            }
        }
        assert_eq!(hour.rate(), 69.0);
        counts.accepted.fetch_add(5, Ordering::Relaxed);
        counts.refused_signed.fetch_add(1, Ordering::Relaxed);
        let minutes = hour.minutes(&counts);
        assert_eq!(minutes.len(), MINUTES);
        assert_eq!(minutes[0]["accepted"], 11 * 60);
        assert_eq!(
            (&minutes[59]["accepted"], &minutes[59]["signed_refused"]),
            (&json!(5), &json!(1))
        );
        assert!(minutes[58]["p50_us"].as_u64().unwrap() > 1000);
    }
}
