//! Histograms of durations and sizes, counted with atomics, without a lock and without storing
//! single values.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets of [`DurationHistogram`], in microseconds. MNS gives up at 5 s.
const SPANS_US: [u64; 12] = [
    1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000,
];

/// A histogram of numbers.
#[derive(Debug)]
pub struct SizeHistogram<const N: usize> {
    bounds: [u64; N],
    buckets: [AtomicU64; N],
    larger: AtomicU64,
    sum: AtomicU64,
}

/// A histogram of durations.
#[derive(Debug)]
pub struct DurationHistogram(SizeHistogram<12>);

/// A snapshot of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The upper bound of each bucket and how many values are in it. The last bucket has no bound.
    pub buckets: Vec<(Option<u64>, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

impl<const N: usize> SizeHistogram<N> {
    /// Buckets with these upper bounds, in ascending order, and one above them.
    #[must_use]
    pub fn up_to(bounds: [u64; N]) -> Self {
        let buckets = std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            bounds,
            buckets,
            larger: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts one value.
    pub fn observe(&self, size: u64) {
        let bucket = self
            .bounds
            .iter()
            .zip(&self.buckets)
            .find(|(bound, _)| size <= **bound);
        bucket
            // Relaxed: no reader infers anything else from a count.
            .map_or(&self.larger, |(_, bucket)| bucket)
            .fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// Takes a snapshot.
    #[must_use]
    pub fn counted(&self) -> Counted {
        // Not one atomic snapshot: a value that is counted in the meantime may be missing in the
        // sum. The next snapshot has it.
        let bounds = self.bounds.iter().map(|bound| Some(*bound)).chain([None]);
        let counts = self
            .buckets
            .iter()
            .chain([&self.larger])
            .map(|bucket| bucket.load(Ordering::Relaxed));
        Counted {
            buckets: bounds.zip(counts).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl DurationHistogram {
    /// Counts one duration.
    pub fn observe(&self, span: Duration) {
        self.0
            .observe(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }

    /// Takes a snapshot, in microseconds.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.0.counted()
    }
}

impl Default for DurationHistogram {
    fn default() -> Self {
        Self(SizeHistogram::up_to(SPANS_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_counted_in_the_first_bucket_with_a_sufficient_bound() {
        let spans = DurationHistogram::default();
        // 1, 2 and 5000 are bounds, which belong to the bucket below them.
        for ms in [0, 1, 2, 3, 5000, 5001] {
            spans.observe(Duration::from_millis(ms));
        }
        let counted = spans.counted();
        let counts: Vec<u64> = counted.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(
            (counts, counted.sum),
            (vec![2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], 10_007_000)
        );
    }

    #[test]
    fn a_size_is_counted_in_the_first_bucket_with_a_sufficient_bound() {
        let sizes = SizeHistogram::up_to([1, 8]);
        [0, 1, 2, 8, 9]
            .into_iter()
            .for_each(|size| sizes.observe(size));
        let buckets = vec![(Some(1), 2), (Some(8), 2), (None, 1)];
        assert_eq!(sizes.counted(), Counted { buckets, sum: 20 });
    }
}
