//! What the writer and those who hand entries over know of each other: room, failures, counts.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::journal::meters::Meters;
use crate::journal::room::Room;

/// For how long a refused write counts against
/// [`Journal::is_writable`](crate::journal::Journal::is_writable).
pub const REFUSAL_COOLDOWN: Duration = Duration::from_secs(5);
/// All the time that the disk has for a commit, or for whatever else the writer asks of it.
///
/// Past it nothing more is handed over and
/// [`Journal::is_writable`](crate::journal::Journal::is_writable) says no. A request has no more
/// either.
pub const STALL_LIMIT: Duration = Duration::from_secs(3);

pub(super) struct Shared {
    /// Entries that answers wait for.
    pub(super) pushes: Room,
    /// Entries that nobody waits for: bounded on their own, so that refusals never crowd out a
    /// push.
    pub(super) refusals: Room,
    /// Requests to reopen: one stands for all.
    pub(super) reopens: Room,
    refusals_dropped: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) meters: Meters,
    /// Milliseconds from `started` to the last refused write; 0 for none.
    refused_ms: AtomicU64,
    /// The last refused write was refused for want of space.
    full: AtomicBool,
    /// Milliseconds from `started` to when the thread took up the work at hand; 0 while it waits
    /// for some.
    working_ms: AtomicU64,
    /// The Date of the last push that was verified, in seconds since 1970; 0 for none.
    confirmed_seconds: AtomicU64,
    started: Instant,
    /// Less space is free than there should be.
    low: AtomicBool,
    /// The free space, in bytes; `u64::MAX` before it was looked at.
    free_bytes: AtomicU64,
    /// So little that what is left is for pushes only.
    scarce: AtomicBool,
    /// The thread has ended.
    ended: AtomicBool,
    pub(super) failed: CancellationToken,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            pushes: Room::default(),
            refusals: Room::default(),
            reopens: Room::default(),
            refusals_dropped: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            meters: Meters::new(),
            refused_ms: AtomicU64::new(0),
            full: AtomicBool::new(false),
            working_ms: AtomicU64::new(0),
            confirmed_seconds: AtomicU64::new(0),
            started: Instant::now(),
            low: AtomicBool::new(false),
            free_bytes: AtomicU64::new(u64::MAX),
            scarce: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failed: CancellationToken::new(),
        }
    }

    pub(super) fn count_dropped(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if self.refusals_dropped.fetch_add(count, Ordering::Relaxed) == 0 && count > 0 {
            warn!(
                "Refusals cannot all be logged; those left out are counted, and told when serve \
                 stops"
            );
        }
    }

    pub(super) fn refusals_dropped(&self) -> u64 {
        self.refusals_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed) || self.is_full()
    }

    pub(super) fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Relaxed) || self.is_full()
    }

    /// A write was refused lately for want of space, whatever the marks say.
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) && self.refused_lately()
    }

    pub(super) fn set_scarce(&self, is_scarce: bool) {
        self.scarce.store(is_scarce, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// A write was refused; `false` where that is no news.
    pub(super) fn refuse(&self, cause: io::ErrorKind) -> bool {
        let is_news = !self.refused_lately();
        self.full.store(
            matches!(
                cause,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            Ordering::Relaxed,
        );
        self.refused_ms
            .store(self.elapsed_ms().max(1), Ordering::Relaxed);
        is_news
    }

    pub(super) fn confirm_time(&self, date: SystemTime) {
        let seconds = date
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        self.confirmed_seconds.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn confirmed_time(&self) -> Option<SystemTime> {
        let seconds = self.confirmed_seconds.load(Ordering::Relaxed);
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .filter(|_| seconds > 0)
    }

    pub(super) fn set_free_bytes(&self, free_bytes: u64) {
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::Relaxed)).filter(|free| *free != u64::MAX)
    }

    /// Says whether space is low; gives what was said before.
    pub(super) fn set_low(&self, is_low: bool) -> bool {
        self.low.swap(is_low, Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn begin_work(&self) {
        self.working_ms
            .store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    pub(super) fn end_work(&self) {
        self.working_ms.store(0, Ordering::Relaxed);
    }

    /// The work at hand has not come back from the disk for a while.
    pub(super) fn is_stalled(&self) -> bool {
        let since = self.working_ms.load(Ordering::Relaxed);
        since != 0 && u128::from(self.elapsed_ms().saturating_sub(since)) > STALL_LIMIT.as_millis()
    }

    pub(super) fn refused_lately(&self) -> bool {
        let refused = self.refused_ms.load(Ordering::Relaxed);
        refused != 0
            && u128::from(self.elapsed_ms().saturating_sub(refused)) <= REFUSAL_COOLDOWN.as_millis()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
