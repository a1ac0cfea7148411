//! Time in milliseconds, so that it fits an atomic.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// The instant at which [`now_ms`] is 0.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The unit of [`now_ms`].
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Returns the time since the first connection, in ms.
pub(in crate::net) fn now_ms() -> u64 {
    millis(EPOCH.elapsed())
}

/// Returns the instant at `ms` of [`now_ms`].
pub(super) fn instant(ms: u64) -> Instant {
    EPOCH
        .checked_add(Duration::from_millis(ms))
        .unwrap_or(*EPOCH)
}

/// Returns a span in ms.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
