//! What a forwarder counts and what state it is in: it stores, others load, and nobody waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use strum::{EnumCount as _, IntoEnumIterator as _};

use crate::forward::{Delivered, Failure, Reason};
use crate::meter::DurationHistogram;

/// A stream that answers nobody for longer has no leader for another reason than an election.
const ELECTION: Duration = Duration::from_secs(30);

/// What a forwarder has done.
///
/// All orderings are relaxed: a metric publishes no other memory, and may lag behind.
#[derive(Debug)]
pub struct Meters {
    /// Notifications that the destination has stored.
    pub stored: AtomicU64,
    /// Those that it had stored before.
    pub duplicates: AtomicU64,
    /// Attempts that failed, by reason.
    failures: PerReason,
    /// Dead letters, by reason.
    dead_letters: PerReason,
    /// Bytes of the log that were stepped over, because the backlog was too large or too old.
    pub skipped_bytes: AtomicU64,
    /// Places where rows were missing.
    pub gaps: AtomicU64,
    /// Bytes of the log that are committed and not settled, and of the rows between them.
    pub backlog_bytes: AtomicU64,
    /// The age of the oldest notification that is not settled, in seconds.
    pub backlog_seconds: AtomicU64,
    /// Notifications that were sent, or wait to be sent again.
    pub in_flight: AtomicU64,
    /// Their bytes.
    pub in_flight_bytes: AtomicU64,
    /// Whether there is a connection.
    pub is_connected: AtomicBool,
    /// How long the destination took to acknowledge.
    pub ack: DurationHistogram,
    /// When the destination acknowledged last, in seconds since 1970; 0 for never.
    pub last_delivery_seconds: AtomicU64,
    state: Mutex<Option<Trouble>>,
}

/// A counter for each reason.
#[derive(Debug, Default)]
struct PerReason([AtomicU64; Reason::COUNT]);

/// Why nothing is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The reason of the last failure since the last delivery.
    pub reason: Reason,
    /// What the destination said.
    pub detail: String,
    /// Since when there is one for this reason.
    pub since: Instant,
}

impl Default for Meters {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            stored: zero(),
            duplicates: zero(),
            failures: PerReason::default(),
            dead_letters: PerReason::default(),
            skipped_bytes: zero(),
            gaps: zero(),
            backlog_bytes: zero(),
            backlog_seconds: zero(),
            in_flight: zero(),
            in_flight_bytes: zero(),
            is_connected: AtomicBool::new(false),
            ack: DurationHistogram::default(),
            last_delivery_seconds: zero(),
            state: Mutex::new(None),
        }
    }
}

impl Meters {
    /// Attempts that failed, by reason.
    pub fn failures(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.failures.counted()
    }

    /// Dead letters, by reason.
    pub fn dead_letters(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.dead_letters.counted()
    }

    /// Why nothing is delivered; `None` since the last delivery.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    pub(super) fn note_delivered(&self, delivered: Delivered, took: Duration, now_seconds: u64) {
        let count = if delivered.is_duplicate() {
            &self.duplicates
        } else {
            &self.stored
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.ack.observe(took);
        self.last_delivery_seconds
            .store(now_seconds, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = None;
    }

    /// Returns whether the reason is another one than before.
    pub(super) fn note_failure(&self, failure: &Failure, now: Instant) -> bool {
        self.failures.count(failure.reason());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.as_ref().map(|trouble| trouble.reason);
        let since = match &*state {
            Some(trouble) if trouble.is_for(failure.reason()) => trouble.since,
            Some(_) | None => now,
        };
        let is_missing = failure.reason() == Reason::NoResponders
            && now.saturating_duration_since(since) >= ELECTION;
        let reason = if is_missing {
            Reason::StreamMissing
        } else {
            failure.reason()
        };
        *state = Some(Trouble {
            reason,
            detail: failure.detail().to_owned(),
            since,
        });
        before != Some(reason)
    }

    pub(super) fn note_dead_letter(&self, reason: Reason) {
        self.dead_letters.count(reason);
    }
}

impl Trouble {
    /// Whether a failure for this reason goes on with it.
    fn is_for(&self, reason: Reason) -> bool {
        let is_election = reason == Reason::NoResponders && self.reason == Reason::StreamMissing;
        self.reason == reason || is_election
    }
}

impl PerReason {
    fn count(&self, reason: Reason) {
        let all = Reason::iter().zip(&self.0);
        if let Some((_, count)) = all.into_iter().find(|(known, _)| *known == reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted(&self) -> impl Iterator<Item = (Reason, u64)> {
        let loaded = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Reason::iter().zip(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_listening_is_a_missing_stream_once_no_election_takes_so_long() {
        let meters = Meters::default();
        let failure = Failure::Retry {
            reason: Reason::NoResponders,
            after: None,
            detail: "none".to_owned(),
        };
        let start = Instant::now();
        let state = || meters.trouble().map(|trouble| trouble.reason);
        assert!(meters.note_failure(&failure, start));
        assert!(!meters.note_failure(&failure, start + ELECTION / 2));
        assert_eq!(state(), Some(Reason::NoResponders));
        assert!(meters.note_failure(&failure, start + ELECTION));
        assert!(!meters.note_failure(&failure, start + ELECTION * 2));
        assert_eq!(state(), Some(Reason::StreamMissing));
        meters.note_delivered(Delivered::stored(), Duration::ZERO, 1);
        assert_eq!(state(), None);
        let counted: Vec<_> = meters.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Reason::NoResponders, 4)]);
    }
}
