//! What the service does when a push fails.

use std::fmt;
use std::str::FromStr;

/// What happens when a push fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyStrategy {
    /// Three more tries, each 10 to 20 s after the one before; then the message is gone.
    BackoffRetry,
    /// 176 more tries, after 1, 2, 4, ... 512 s and then each 512 s: a day in all.
    ExponentialDecayRetry,
}

impl fmt::Display for NotifyStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BackoffRetry => "BACKOFF_RETRY",
            Self::ExponentialDecayRetry => "EXPONENTIAL_DECAY_RETRY",
        })
    }
}

impl FromStr for NotifyStrategy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "BACKOFF_RETRY" => Ok(Self::BackoffRetry),
            "EXPONENTIAL_DECAY_RETRY" => Ok(Self::ExponentialDecayRetry),
            _ => Err(()),
        }
    }
}
