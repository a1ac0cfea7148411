//! The progress of the task of one subscription since it began.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::emulator::attempt::Failure;
use crate::report::Report;

/// The progress of the task of one subscription since it began.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Messages that the endpoint has accepted.
    pub(super) delivered: AtomicU64,
    /// Attempts that failed.
    pub(super) failed: AtomicU64,
    /// Messages that were given up.
    pub(super) given_up: AtomicU64,
    /// The reason of the last failed attempt.
    pub(super) last_failure: Mutex<Option<String>>,
    /// The gap between two pushes, in milliseconds.
    pub(super) gap_ms: AtomicU64,
    /// The earliest time of the next push, in milliseconds since 1970.
    pub(super) next_push_ms: AtomicU64,
    /// Pushes that wait for their answers.
    pub(super) in_flight: AtomicU64,
    /// Whether the next pushes were requested at once.
    pub(super) is_hurried: AtomicBool,
}

impl Progress {
    /// Counts a failed push and stores the reason.
    pub(super) fn note_failure(&self, failure: &Failure) {
        // Relaxed, because the count is only shown: no other data is published with it.
        self.failed.fetch_add(1, Ordering::Relaxed);
        let text = Report(failure).to_string();
        *self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}
