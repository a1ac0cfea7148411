//! The retry strategy of the service after a push fails.

use std::fmt;
use std::str::FromStr;

/// The retry strategy after a push fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyStrategy {
    /// Three retries, each 10 to 20 s after the previous attempt. Then the message is dropped.
    BackoffRetry,
    /// 176 retries, after 1, 2, 4, ... 512 s and then every 512 s: a day in total.
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
