//! Certificates that could not be obtained, logged without flooding the log.

use std::fmt::Display;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use crate::mns::SigningCertUrl;

/// The least time between two warnings of one kind.
const WARNING_PAUSE: Duration = Duration::from_secs(10);

/// Which failures of one kind have not been warned of yet.
#[derive(Default)]
pub(super) struct FailureLog(Mutex<Untold>);

#[derive(Default)]
struct Untold {
    warned_at: Option<Instant>,
    left_out: u64,
}

impl FailureLog {
    /// A stranger can cause as many as they like, so not each is worth a warning.
    pub(super) fn warn(&self, url: &SigningCertUrl, error: &impl Display, what: &str) {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if untold
            .warned_at
            .is_some_and(|at| at.elapsed() < WARNING_PAUSE)
        {
            untold.left_out = untold.left_out.saturating_add(1);
            debug!(%url, %error, "{what}");
        } else {
            let left_out = mem::take(&mut untold.left_out);
            untold.warned_at = Some(Instant::now());
            warn!(%url, %error, left_out, "{what}");
        }
    }
}
