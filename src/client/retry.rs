//! Retries: which errors are retried, and for how long.
//!
//! Only errors that say nothing about the request are retried: a broken connection and 5xx answers.
//! Each wait is twice as long as the last, with a random part, so that clients that failed together
//! do not retry together.

use std::time::Duration;

use crate::client::error::ClientError;

/// Attempts after the first one.
const RETRIES_MAX: u32 = 3;
/// The first wait. Each further one is twice as long.
// 200, 400 and 800 ms: a command whose service is down waits at most 1.4 s longer.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Whether a call may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retries {
    /// Yes: repeating it changes nothing.
    Some,
    /// No: it could do its work twice.
    None,
}

/// The attempts of one call.
pub(super) struct Tries {
    left: u32,
    wait: Duration,
}

impl Retries {
    pub(super) fn start(self) -> Tries {
        let left = match self {
            Self::Some => RETRIES_MAX,
            Self::None => 0,
        };
        Tries {
            left,
            wait: FIRST_WAIT,
        }
    }
}

impl Tries {
    /// Waits before the next attempt. `false` if no attempt is left.
    pub(super) async fn wait(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = left;
        // Between half of the wait and all of it.
        tokio::time::sleep(self.wait.mul_f64(rand::random_range(0.5..=1.0))).await;
        self.wait = self.wait.saturating_mul(2);
        true
    }
}

pub(super) fn is_worth_another_try(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, .. } | ClientError::Foreign(status) => {
            (500..600).contains(status)
        }
        // The request may have been processed. Calls for which that matters have no retries.
        ClientError::Unreachable { .. } => true,
        ClientError::TooLarge
        | ClientError::Endless(_)
        | ClientError::Malformed(_)
        | ClientError::Unexpected(_)
        | ClientError::Request(_)
        | ClientError::Tls(_) => false,
    }
}
