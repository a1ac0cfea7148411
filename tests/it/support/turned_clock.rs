//! A clock that a test advances.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use mns_endpoint::clock::{Clock, SystemClock};

use super::LOOK_AGAIN;

/// The system's clock, advanced by the test.
#[derive(Default)]
pub struct TurnedClock(AtomicU64);

impl TurnedClock {
    pub fn turn(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Advances the clock in small steps until a condition holds. Returns how long that took by
    /// this clock. The clock does not advance while `is_held_up`: a writer that gets no CPU time on
    /// a busy machine must not look like a hanging disk.
    pub async fn turn_until(
        &self,
        wanted: impl Fn() -> bool,
        is_held_up: impl Fn() -> bool,
    ) -> Duration {
        let started = self.instant();
        while !wanted() {
            if is_held_up() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            } else {
                self.turn(Duration::from_millis(50));
                tokio::task::yield_now().await;
            }
        }
        self.instant() - started
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> SystemTime {
        SystemClock.now() + self.ahead()
    }

    fn instant(&self) -> Instant {
        Instant::now() + self.ahead()
    }

    fn until(&self, due: Instant) -> Duration {
        due.saturating_duration_since(self.instant())
            .min(LOOK_AGAIN)
    }
}
