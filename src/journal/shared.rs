//! What the writer and those who hand entries over share: room, meters, health, the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::clock::Clock;
use crate::journal::health::Vitals;
use crate::journal::meters::Meters;
use crate::journal::room::Room;

pub(super) struct Shared {
    /// Entries that answers wait for.
    pub(super) pushes: Room,
    /// Entries that nobody waits for. They have a room of their own, so that refusals never turn a
    /// push away.
    pub(super) refusals: Room,
    /// Requests to reopen: one is enough.
    pub(super) reopens: Room,
    pub(super) meters: Arc<Meters>,
    pub(super) vitals: Vitals,
    /// The Date of the last push that was verified, in seconds since 1970; 0 for none. Relaxed: it
    /// is one number, and a later one may take its place at any time.
    confirmed_seconds: AtomicU64,
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            pushes: Room::default(),
            refusals: Room::default(),
            reopens: Room::default(),
            meters: Arc::new(Meters::new()),
            vitals: Vitals::new(clock),
            confirmed_seconds: AtomicU64::new(0),
        }
    }

    /// Counts refusals that are not logged, and logs the first time that this happens.
    pub(super) fn drop_refusals(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let before = self
            .meters
            .refusals_dropped
            .fetch_add(count, Ordering::Relaxed);
        if before == 0 && count > 0 {
            warn!(
                "Refusals cannot all be logged; those left out are counted, and told when serve \
                 stops"
            );
        }
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
}

/// Marks the journal as ended when the thread ends, however it ends: after a panic too nobody may
/// append to it as if it worked.
pub(super) struct Ended(pub(super) Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Failed before ended: whoever sees the end after a panic sees the failure too.
        if thread::panicking() {
            self.0.vitals.failed.cancel();
        }
        self.0.vitals.end();
    }
}
