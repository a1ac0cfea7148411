//! How long to wait before a notification is sent again.

use std::time::Duration;

use crate::forward::Destination;

/// The random part of a wait, so that notifications that failed together are not all sent again
/// together.
const JITTER: f64 = 0.5;

/// Waits that double from the first to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    /// The wait after the first failure.
    pub(super) first: Duration,
    /// The longest wait.
    pub(super) longest: Duration,
}

impl Backoff {
    /// The back-off of a destination. A cluster elects a leader within seconds, while a service is
    /// often repaired by people.
    #[must_use]
    pub(super) fn of(destination: &Destination) -> Self {
        let (first, longest) = match destination {
            Destination::Nats(_) => (Duration::from_millis(50), Duration::from_secs(2)),
            Destination::Http(_) => (Duration::from_secs(1), Duration::from_secs(300)),
        };
        Self { first, longest }
    }

    /// The wait after this many failures in a row, without its random part.
    #[must_use]
    pub(super) fn base(&self, failures: u32) -> Duration {
        // A `u32` cannot be shifted by 32. After 31 doublings each wait is the longest anyway.
        let doublings = failures.saturating_sub(1).min(31);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// The wait after this many failures in a row.
    #[must_use]
    pub(super) fn wait(&self, failures: u32) -> Duration {
        let base = self.base(failures);
        // The random part only shortens a wait, so `longest` is an upper bound.
        base.mul_f64(rand::random_range((1.0 - JITTER)..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_chance_takes_half_at_most() {
        let backoff = Backoff {
            first: Duration::from_millis(50),
            longest: Duration::from_secs(2),
        };
        let bases = (0..9).map(|failures| backoff.base(failures).as_millis());
        assert_eq!(
            bases.collect::<Vec<_>>(),
            [50, 50, 100, 200, 400, 800, 1600, 2000, 2000]
        );
        assert_eq!(backoff.base(u32::MAX), backoff.longest);
        for failures in 0..50 {
            let (wait, base) = (backoff.wait(failures), backoff.base(failures));
            assert!(wait <= base && wait >= base / 2, "{wait:?} of {base:?}");
        }
    }
}
