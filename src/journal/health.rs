//! The journal's health: what the writer knows of its disk, published to the other threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// How long the journal is [`Health::Refused`] after the disk refused a write.
pub const REFUSAL_COOLDOWN: Duration = Duration::from_secs(5);
/// How long the disk may take for a commit, or for any other operation of the writer.
///
/// After that the journal accepts no more entries and is [`Health::Stalled`]. A longer wait would
/// not help a push, because MNS gives up after 5 s.
pub const STALL_LIMIT: Duration = Duration::from_secs(3);
/// Space is scarce below `low_water` divided by this.
const SCARCE_PART: u64 = 4;
/// The value of `free_bytes` before the first measurement.
const NOT_LOOKED_AT: u64 = u64::MAX;

/// What the journal can do now, and how much space it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Entries can be expected to reach the disk.
    Writable(Space),
    /// The disk refused a write within the last [`REFUSAL_COOLDOWN`]. After that time another write
    /// is attempted.
    Refused(Space),
    /// A sync or a truncation failed: nothing is written until the next start.
    Failed(Space),
    /// The writer has waited for the disk for longer than [`STALL_LIMIT`].
    Stalled(Space),
    /// The writer's thread has ended.
    Ended(Space),
}

/// The free space for the logs, as last measured: the writer tries to measure it once a second. The
/// variants are ordered from the least space to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Less than a quarter of [`Settings::low_water_bytes`](crate::journal::Settings) is free, or
    /// the disk refused a write for lack of space within the last [`REFUSAL_COOLDOWN`]. The
    /// remaining space is for pushes only.
    Scarce,
    /// Less than [`Settings::low_water_bytes`](crate::journal::Settings) is free.
    Low,
    /// At least [`Settings::low_water_bytes`](crate::journal::Settings) is free.
    Enough,
}

impl Health {
    /// The space for the logs.
    #[must_use]
    pub fn space(self) -> Space {
        match self {
            Self::Writable(space)
            | Self::Refused(space)
            | Self::Failed(space)
            | Self::Stalled(space)
            | Self::Ended(space) => space,
        }
    }

    /// Whether entries can be expected to reach the disk, regardless of free space.
    #[must_use]
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Writable(_))
    }

    /// Whether only a new process can help: the thread has ended, or hangs in a disk operation.
    #[must_use]
    pub fn is_stuck(self) -> bool {
        matches!(self, Self::Stalled(_) | Self::Ended(_))
    }
}

/// What the writer knows of its disk. The writer stores; all other threads load.
///
/// All orderings are relaxed: no value depends on another, and none publishes other memory.
/// Receipts go through a channel, which has its own ordering.
pub(super) struct Vitals {
    clock: Arc<dyn Clock>,
    started: Instant,
    /// Milliseconds from `started` to the last refused write; 0 for none.
    refused_ms: AtomicU64,
    /// Whether the last refused write was refused for lack of space.
    is_full: AtomicBool,
    /// Milliseconds from `started` to the start of the thread's current round; 0 while it is idle.
    working_ms: AtomicU64,
    /// The free space, in bytes.
    free_bytes: AtomicU64,
    /// The code of the [`Space`] that corresponds to `free_bytes`.
    space: AtomicU8,
    /// Whether the thread has ended.
    has_ended: AtomicBool,
    /// Cancelled when a sync or a truncation has failed, or the writer has panicked.
    pub(super) failed: CancellationToken,
}

impl Vitals {
    /// The state of a journal that has done nothing yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            started: clock.instant(),
            clock,
            refused_ms: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            working_ms: AtomicU64::new(0),
            free_bytes: AtomicU64::new(NOT_LOOKED_AT),
            space: AtomicU8::new(Space::Enough.code()),
            has_ended: AtomicBool::new(false),
            failed: CancellationToken::new(),
        }
    }

    pub(super) fn health(&self) -> Health {
        let now_ms = self.elapsed_ms();
        let is_refused = self.is_refused(now_ms);
        let space = if is_refused && self.is_full.load(Ordering::Relaxed) {
            // The disk has just reported that it is full, whatever was measured.
            Space::Scarce
        } else {
            Space::of(self.space.load(Ordering::Relaxed))
        };
        // Check for the worst state first: a thread that has ended may have failed before, and a
        // refused write does not matter while nothing is written at all.
        if self.has_ended.load(Ordering::Relaxed) {
            Health::Ended(space)
        } else if self.is_stalled_at(now_ms) {
            Health::Stalled(space)
        } else if self.failed.is_cancelled() {
            Health::Failed(space)
        } else if is_refused {
            Health::Refused(space)
        } else {
            Health::Writable(space)
        }
    }

    /// Whether the current round has taken longer than [`STALL_LIMIT`].
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled_at(self.elapsed_ms())
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::Relaxed)).filter(|free| *free != NOT_LOOKED_AT)
    }

    /// Records that the disk refused a write. Returns `false` if it refused another one within the
    /// last [`REFUSAL_COOLDOWN`].
    pub(super) fn refuse(&self, cause: io::ErrorKind) -> bool {
        let now_ms = self.elapsed_ms();
        // Ask before this refusal is stored, because `is_refused` returns `true` afterwards.
        let is_news = !self.is_refused(now_ms);
        let is_full = matches!(
            cause,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        self.is_full.store(is_full, Ordering::Relaxed);
        // At least 1, because 0 means never.
        self.refused_ms.store(now_ms.max(1), Ordering::Relaxed);
        is_news
    }

    /// Stores the free space. Returns the previous and the new [`Space`].
    pub(super) fn measure(&self, free_bytes: u64, low_water_bytes: u64) -> (Space, Space) {
        let space = if free_bytes < low_water_bytes.div_euclid(SCARCE_PART) {
            Space::Scarce
        } else if free_bytes < low_water_bytes {
            Space::Low
        } else {
            Space::Enough
        };
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        (
            Space::of(self.space.swap(space.code(), Ordering::Relaxed)),
            space,
        )
    }

    pub(super) fn begin_work(&self) {
        // At least 1, because 0 means idle.
        self.working_ms
            .store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    pub(super) fn end_work(&self) {
        self.working_ms.store(0, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    fn is_stalled_at(&self, now_ms: u64) -> bool {
        let since = self.working_ms.load(Ordering::Relaxed);
        since != 0 && u128::from(now_ms.saturating_sub(since)) > STALL_LIMIT.as_millis()
    }

    fn is_refused(&self, now_ms: u64) -> bool {
        let refused = self.refused_ms.load(Ordering::Relaxed);
        refused != 0 && u128::from(now_ms.saturating_sub(refused)) <= REFUSAL_COOLDOWN.as_millis()
    }

    fn elapsed_ms(&self) -> u64 {
        let elapsed = self.clock.instant().saturating_duration_since(self.started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Space {
    fn code(self) -> u8 {
        match self {
            Self::Scarce => 0,
            Self::Low => 1,
            Self::Enough => 2,
        }
    }

    fn of(code: u8) -> Self {
        match code {
            0 => Self::Scarce,
            1 => Self::Low,
            _ => Self::Enough,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn space_is_reported_together_with_every_other_fault() {
        let vitals = Vitals::new(Arc::new(SystemClock));
        assert_eq!(
            (vitals.health(), vitals.free_bytes()),
            (Health::Writable(Space::Enough), None)
        );
        for (free, before, space) in [
            (100, Space::Enough, Space::Enough),
            (99, Space::Enough, Space::Low),
            (25, Space::Low, Space::Low),
            (24, Space::Low, Space::Scarce),
            (100, Space::Scarce, Space::Enough),
        ] {
            assert_eq!(vitals.measure(free, 100), (before, space), "{free}");
            assert_eq!(vitals.health(), Health::Writable(space));
            assert_eq!(vitals.free_bytes(), Some(free));
        }
        vitals.measure(99, 100);
        assert!(vitals.refuse(io::ErrorKind::Other));
        assert_eq!(vitals.health(), Health::Refused(Space::Low));
        assert!(!vitals.refuse(io::ErrorKind::StorageFull));
        assert_eq!(vitals.health(), Health::Refused(Space::Scarce));
        vitals.failed.cancel();
        assert_eq!(vitals.health(), Health::Failed(Space::Scarce));
        vitals.end();
        assert_eq!(vitals.health(), Health::Ended(Space::Scarce));
    }
}
