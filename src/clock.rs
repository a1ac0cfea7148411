//! The clock, behind a trait so that a test can set the time.

use std::time::{Duration, Instant, SystemTime};

/// A clock. Durations are measured between instants, because the time of day may jump.
pub trait Clock: Send + Sync {
    /// The current time of day.
    fn now(&self) -> SystemTime;

    /// A monotonic instant.
    fn instant(&self) -> Instant {
        Instant::now()
    }

    /// How long a thread may sleep if its next work is at `due`. A clock that a test can advance
    /// returns less, so that the thread checks it again.
    fn until(&self, due: Instant) -> Duration {
        due.saturating_duration_since(self.instant())
    }
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
