//! The last attempts: what was pushed and what was answered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::emulator::chaos::Trouble;

/// How many attempts are remembered.
const ATTEMPTS_KEPT: usize = 200;

/// A finished attempt.
#[derive(Debug, Clone)]
pub(super) struct PastAttempt {
    /// When it began.
    pub(super) at: SystemTime,
    pub(super) topic: String,
    pub(super) subscription: String,
    pub(super) message_id: String,
    /// 1 for the first push of a message.
    pub(super) attempt: u32,
    /// The kind of forgery, if a stranger sent this instead of MNS.
    pub(super) forgery: Option<Trouble>,
    /// The status of the answer, or why there was no usable one.
    pub(super) result: Result<u16, String>,
    pub(super) took: Duration,
}

/// The last attempts of all subscriptions.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// How many attempts were ever recorded.
    noted: u64,
    attempts: VecDeque<PastAttempt>,
}

impl Recent {
    /// Records an attempt. Evicts the oldest one.
    pub(super) fn add(&self, attempt: PastAttempt) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.attempts.len() >= ATTEMPTS_KEPT {
            kept.attempts.pop_front();
        }
        kept.attempts.push_back(attempt);
        kept.noted = kept.noted.saturating_add(1);
    }

    /// The remembered attempts, the newest first, each with its number from 1.
    pub(super) fn attempts(&self) -> Vec<(u64, PastAttempt)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Counts down from the newest. `zip` ends with the shorter one, the kept attempts.
        let numbers = (1..=kept.noted).rev();
        numbers.zip(kept.attempts.iter().rev().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_evicted_and_numbers_continue() {
        let recent = Recent::default();
        // Three more than are kept, so that the numbers 1 to 3 are evicted.
        for attempt in 1..=203 {
            recent.add(PastAttempt {
                at: SystemTime::UNIX_EPOCH,
                topic: "T".to_owned(),
                subscription: "S".to_owned(),
                message_id: "M".to_owned(),
                attempt,
                forgery: None,
                result: Ok(201),
                took: Duration::ZERO,
            });
        }
        let kept = recent.attempts();
        assert_eq!(kept.len(), ATTEMPTS_KEPT);
        let numbers = |(number, made): &(u64, PastAttempt)| (*number, made.attempt);
        assert_eq!(kept.first().map(numbers), Some((203, 203)));
        assert_eq!(kept.last().map(numbers), Some((4, 4)));
    }
}
