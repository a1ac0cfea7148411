//! What is tried again, and for how long.
//!
//! Only what says nothing about the request itself: a broken connection and an answer of 5xx. Each
//! wait is twice the one before, with a random part, so that clients that failed together do not
//! come back together.

use std::time::Duration;

use crate::client::error::ClientError;

/// Tries after the first.
const RETRIES_MAX: u32 = 3;
/// The first wait; the next ones double it.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Whether a call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retries {
    /// It does the same however often it is made.
    Some,
    /// It could do its work twice.
    None,
}

/// The tries of one call.
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
    /// Waits for the next try; `false` if there is none.
    pub(super) async fn wait(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = left;
        // Between a half and the whole of the wait.
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
        ClientError::Unreachable { .. } => true,
        ClientError::TooLarge
        | ClientError::Endless(_)
        | ClientError::Malformed(_)
        | ClientError::Unexpected(_)
        | ClientError::Request(_)
        | ClientError::Tls(_) => false,
    }
}
