//! How often something took how long: counted with atomics, without a lock and without memory for each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the buckets, in milliseconds. MNS gives up at 5 s.
pub const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

/// Spans of time in buckets.
#[derive(Debug, Default)]
pub struct Spans {
    buckets: [AtomicU64; BOUNDS_MS.len()],
    longer: AtomicU64,
    sum_us: AtomicU64,
}

/// What was counted up to a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// How many fell into each bucket; the last is for those past every bound.
    pub buckets: Vec<u64>,
    /// All spans together, in microseconds.
    pub sum_us: u64,
}

impl Spans {
    /// Counts one.
    pub fn note(&self, span: Duration) {
        let bucket = BOUNDS_MS.iter().zip(&self.buckets).find(|(bound, _)| span <= Duration::from_millis(**bound));
        bucket.map_or(&self.longer, |(_, bucket)| bucket).fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let buckets = self.buckets.iter().chain([&self.longer]).map(|bucket| bucket.load(Ordering::Relaxed));
        Counted { buckets: buckets.collect(), sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_falls_into_the_first_bucket_that_holds_it() {
        let spans = Spans::default();
        for ms in [0, 1, 2, 3, 5000, 5001] {
            spans.note(Duration::from_millis(ms));
        }
        assert_eq!(
            spans.counted(),
            Counted { buckets: vec![2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], sum_us: 10_007_000 }
        );
    }
}
