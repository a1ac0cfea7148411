//! The log of certificates that could not be obtained, rate-limited.

use std::fmt::Display;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use crate::mns::SigningCertUrl;

/// The minimum time between two warnings of one kind.
const WARNING_PAUSE: Duration = Duration::from_secs(10);

/// The failures of one kind, and how many of them no warning has reported yet.
#[derive(Default)]
pub(super) struct FailureLog(Mutex<Unlogged>);

#[derive(Default)]
struct Unlogged {
    warned_at: Option<Instant>,
    left_out: u64,
}

impl FailureLog {
    /// Warns at most once in [`WARNING_PAUSE`], because strangers can cause any number of failures.
    pub(super) fn warn(&self, url: &SigningCertUrl, error: &impl Display, what: &str) {
        let mut unlogged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if unlogged
            .warned_at
            .is_some_and(|at| at.elapsed() < WARNING_PAUSE)
        {
            unlogged.left_out = unlogged.left_out.saturating_add(1);
            debug!(%url, %error, "{what}");
        } else {
            let left_out = mem::take(&mut unlogged.left_out);
            unlogged.warned_at = Some(Instant::now());
            warn!(%url, %error, left_out, "{what}");
        }
    }
}
