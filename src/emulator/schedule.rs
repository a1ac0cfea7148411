//! When a failed push is retried (protocol.md 1.5).

use std::time::Duration;

use crate::mns::api::NotifyStrategy;

/// The number of retries of `BACKOFF_RETRY`.
const BACKOFF_RETRIES: u32 = 3;
/// The shortest wait of `BACKOFF_RETRY`.
const BACKOFF_WAIT_MIN: Duration = Duration::from_secs(10);
/// The largest random addition to that wait.
const BACKOFF_WAIT_SPREAD: Duration = Duration::from_secs(10);
/// The number of retries of `EXPONENTIAL_DECAY_RETRY`, which take a day in total.
const DECAY_RETRIES: u32 = 176;
/// Its longest wait is 2 to the power of this, in seconds.
const DECAY_DOUBLINGS: u32 = 9;

/// Returns the wait between failure number `failures` of a message and its next push. `None` after
/// the last retry.
///
/// `fraction`, from 0 to 1, selects a random wait within the allowed range.
pub(super) fn wait_after(
    strategy: NotifyStrategy,
    failures: u32,
    fraction: f64,
) -> Option<Duration> {
    match strategy {
        NotifyStrategy::BackoffRetry => {
            let spread = BACKOFF_WAIT_SPREAD.mul_f64(fraction.clamp(0.0, 1.0));
            (failures <= BACKOFF_RETRIES).then(|| BACKOFF_WAIT_MIN.saturating_add(spread))
        }
        NotifyStrategy::ExponentialDecayRetry => {
            // The first retry comes after 1 s, before any doubling.
            let doublings = failures.saturating_sub(1).min(DECAY_DOUBLINGS);
            let wait = Duration::from_secs(1_u64.checked_shl(doublings).unwrap_or(u64::MAX));
            (failures <= DECAY_RETRIES).then_some(wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_retry_tries_three_times_more_each_10_to_20_seconds_later() {
        for failures in 1..=3 {
            for (fraction, seconds) in [(0.0, 10), (0.5, 15), (1.0, 20)] {
                let wait = wait_after(NotifyStrategy::BackoffRetry, failures, fraction);
                assert_eq!(wait, Some(Duration::from_secs(seconds)));
            }
        }
        assert_eq!(wait_after(NotifyStrategy::BackoffRetry, 4, 0.5), None);
    }

    #[test]
    fn exponential_decay_retry_doubles_up_to_512_seconds_and_takes_a_day() {
        let waits: Vec<u64> = (1..=177)
            .map_while(|failures| wait_after(NotifyStrategy::ExponentialDecayRetry, failures, 0.5))
            .map(|wait| wait.as_secs())
            .collect();
        assert_eq!(waits.len(), 176);
        assert_eq!(waits[..11], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512]);
        assert_eq!(waits.iter().filter(|wait| **wait == 512).count(), 167);
        assert_eq!(waits.iter().sum::<u64>(), 86_015, "a day, within minutes");
    }
}
