//! Time, asked in one place so that a test can say what it is.

use std::time::{Duration, Instant, SystemTime};

/// Says what time it is. Spans of time are measured between instants, as the time of day may jump.
pub trait Clock: Send + Sync {
    /// Now, by this clock.
    fn now(&self) -> SystemTime;

    /// A monotonic instant.
    fn instant(&self) -> Instant {
        Instant::now()
    }

    /// How long a thread may sleep that has something to do at `due`. A clock that can be turned
    /// returns less, so that the thread looks at it again.
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
