//! What a forwarder counts and what state it is in: it stores, others load, and nobody waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use strum::{EnumCount as _, IntoEnumIterator as _};

use crate::forward::{Delivered, Failure, Gap, Reason};
use crate::meter::DurationHistogram;

/// An election ends sooner. A stream without a leader for longer is reported as missing.
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
    /// Bytes of the log that were skipped, because the backlog was too large or too old.
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
    /// The duplicate window of the stream, in milliseconds; 0 if it is not known.
    duplicate_window_ms: AtomicU64,
    /// How long the last saved progress had been unsaved, in milliseconds.
    pub saved_after_ms: AtomicU64,
    /// How long the present progress has been unsaved, in milliseconds; 0 if all of it is saved.
    pub unsaved_ms: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of what is sent.
    trouble: Option<Trouble>,
    /// Why there is no connection, as far as the sink knows.
    no_connection: Option<Trouble>,
    gap: Option<Gap>,
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
            duplicate_window_ms: zero(),
            saved_after_ms: zero(),
            unsaved_ms: zero(),
            state: Mutex::default(),
        }
    }
}

/// Whole milliseconds.
pub(in crate::forward) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Meters {
    /// Attempts that failed, by reason.
    pub fn failures(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.failures.counted()
    }

    /// The duplicate window of the stream. `None`: it is not known, or the destination has none.
    #[must_use]
    pub fn duplicate_window(&self) -> Option<Duration> {
        let window = self.duplicate_window_ms.load(Ordering::Relaxed);
        (window > 0).then(|| Duration::from_millis(window))
    }

    pub(in crate::forward) fn note_duplicate_window(&self, window: Duration) {
        self.duplicate_window_ms
            .store(ms(window), Ordering::Relaxed);
    }

    /// Notes the duplicate window that an earlier process knew, unless this one knows it already.
    pub(in crate::forward) fn note_former_duplicate_window(&self, window: Duration) {
        // It stays as it is if it is known.
        let _known = self.duplicate_window_ms.compare_exchange(
            0,
            ms(window),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Dead letters, by reason.
    pub fn dead_letters(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.dead_letters.counted()
    }

    /// Why there is no connection, or else why nothing is delivered, `None` since the last
    /// delivery.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let state = self.lock();
        // Without a connection, failures of what was in flight before say less.
        let trouble = state.no_connection.as_ref().or(state.trouble.as_ref());
        trouble.cloned()
    }

    /// The most recent gap.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        self.lock().gap
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_gap(&self, gap: Option<Gap>) {
        self.lock().gap = gap;
    }

    /// Whether there is a connection, and why not if the sink knows it.
    pub(super) fn note_connection(
        &self,
        is_connected: bool,
        failure: Option<&Failure>,
        now: Instant,
    ) {
        let was_connected = self.is_connected.swap(is_connected, Ordering::Relaxed);
        // This runs in every turn of the loop, so the usual case takes no lock.
        if was_connected && is_connected {
            return;
        }
        let state = &mut self.lock().no_connection;
        let failure = failure.filter(|_| !is_connected);
        *state = failure.map(|failure| Trouble::after(state.as_ref(), failure, now));
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
        // One acknowledgement shows that the destination works, whatever has failed before.
        self.lock().trouble = None;
    }

    /// Returns whether the reason has changed.
    pub(super) fn note_failure(&self, failure: &Failure, now: Instant) -> bool {
        self.failures.count(failure.reason());
        let state = &mut self.lock().trouble;
        let before = state.as_ref().map(|trouble| trouble.reason);
        let trouble = Trouble::after(state.as_ref(), failure, now);
        let reason = trouble.reason;
        *state = Some(trouble);
        before != Some(reason)
    }

    pub(super) fn note_dead_letter(&self, reason: Reason) {
        self.dead_letters.count(reason);
    }
}

impl Trouble {
    /// The trouble after a failure, which may continue the one before.
    fn after(before: Option<&Self>, failure: &Failure, now: Instant) -> Self {
        let since = match before {
            Some(trouble) if trouble.is_for(failure.reason()) => trouble.since,
            Some(_) | None => now,
        };
        // An election is short. If nobody answers for longer, somebody has to look after the
        // stream, as if it were missing.
        let is_missing = failure.reason() == Reason::NoResponders
            && now.saturating_duration_since(since) >= ELECTION;
        let reason = if is_missing {
            Reason::StreamMissing
        } else {
            failure.reason()
        };
        Self {
            reason,
            detail: failure.detail().to_owned(),
            since,
        }
    }

    /// Whether a failure for this reason continues it.
    fn is_for(&self, reason: Reason) -> bool {
        // The failure still says `NoResponders` after the trouble became `StreamMissing`.
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

    #[test]
    fn why_there_is_no_connection_is_known_before_anything_is_sent_and_until_there_is_one() {
        let meters = Meters::default();
        let start = Instant::now();
        let failure = |reason| Failure::Down {
            reason,
            detail: "as the server said".to_owned(),
        };
        let forbidden = failure(Reason::Forbidden);
        meters.note_connection(false, Some(&forbidden), start);
        meters.note_connection(false, Some(&forbidden), start + ELECTION);
        let trouble = meters.trouble().unwrap();
        assert_eq!(
            (trouble.reason, trouble.since, trouble.detail.as_str()),
            (Reason::Forbidden, start, "as the server said")
        );
        // What was in flight before says less.
        meters.note_failure(&failure(Reason::AckTimeout), start);
        let state = || meters.trouble().map(|trouble| trouble.reason);
        assert_eq!(state(), Some(Reason::Forbidden));
        meters.note_connection(true, None, start + ELECTION);
        assert_eq!(state(), Some(Reason::AckTimeout));
        meters.note_connection(false, None, start + ELECTION);
        assert_eq!(state(), Some(Reason::AckTimeout));
        assert!(!meters.is_connected.load(Ordering::Relaxed));
    }
}
