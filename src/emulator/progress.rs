//! What the task of one subscription has done since it began.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::emulator::attempt::Failure;
use crate::report::Report;

/// What a subscription's task has done since it began.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Messages that the endpoint has accepted.
    pub(super) delivered: AtomicU64,
    /// Attempts that failed.
    pub(super) failed: AtomicU64,
    /// Messages that were given up.
    pub(super) given_up: AtomicU64,
    /// Why the last failed attempt failed.
    pub(super) last_failure: Mutex<Option<String>>,
    /// The gap between two pushes, in milliseconds.
    pub(super) gap_ms: AtomicU64,
    /// No push begins before this time, in milliseconds since 1970.
    pub(super) next_push_ms: AtomicU64,
    /// Pushes that wait for their answers.
    pub(super) in_flight: AtomicU64,
    /// Whether somebody wants the next pushes at once.
    pub(super) is_hurried: AtomicBool,
}

impl Progress {
    /// Counts a failed push, and keeps why it failed.
    pub(super) fn note_failure(&self, failure: &Failure) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let text = Report(failure).to_string();
        *self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}
