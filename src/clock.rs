//! The time of day, asked in one place so that a test can say what it is.

use std::time::SystemTime;

/// Tells the time of day. For spans of time use a monotonic instant instead.
pub trait Clock: Send + Sync {
    /// Now, by this clock.
    fn now(&self) -> SystemTime;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
        SystemTime::now()
    }
}
