//! State that the writer and the handles share: room, meters, health, the confirmed time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::clock::Clock;
use crate::journal::health::Vitals;
use crate::journal::logs::{HighWater, Holds, LogTail};
use crate::journal::meters::Meters;
use crate::journal::room::Room;

pub(super) struct Shared {
    /// Room for entries that a request waits for.
    pub(super) pushes: Room,
    /// Room for entries that nobody waits for. It is separate, so that refusals never turn a push
    /// away.
    pub(super) refusals: Room,
    /// The pending command to reopen: there is at most one.
    pub(super) reopens: Room,
    pub(super) meters: Arc<Meters>,
    pub(super) vitals: Vitals,
    pub(super) high_water: Arc<HighWater>,
    /// What was committed last, for followers in this process.
    pub(super) tail: Arc<LogTail>,
    /// The files of the endpoint log that readers still need.
    pub(super) holds: Arc<Holds>,
    /// The Date of the last verified push, in seconds since 1970; 0 before the first one. Its
    /// ordering is relaxed, because it is a single number that a later Date may replace at any
    /// time.
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
            high_water: Arc::new(HighWater::new()),
            tail: Arc::new(LogTail::default()),
            holds: Arc::new(Holds::default()),
            confirmed_seconds: AtomicU64::new(0),
        }
    }

    /// Counts refusals that are not logged, and warns the first time.
    pub(super) fn drop_refusals(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let before = self
            .meters
            .refusals_dropped
            .fetch_add(count, Ordering::Relaxed);
        // Warn only once: refusals come in floods, and serve reports the number when it stops.
        if before == 0 && count > 0 {
            warn!(
                "Not all refusals can be logged: those left out are counted, and reported when \
                    serve stops"
            );
        }
    }

    /// What the writer publishes for followers.
    pub(super) fn published(&self) -> (Arc<HighWater>, Arc<LogTail>) {
        (self.high_water.clone(), self.tail.clone())
    }

    pub(super) fn confirm_time(&self, date: SystemTime) {
        let seconds = date
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        // Store the Date that arrived last, not the latest one: a Date far in the future proves
        // nothing, and would hide all others.
        self.confirmed_seconds.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn confirmed_time(&self) -> Option<SystemTime> {
        let seconds = self.confirmed_seconds.load(Ordering::Relaxed);
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .filter(|_| seconds > 0)
    }
}

/// Marks the journal as ended when the thread ends, even by a panic, so that nobody appends to a
/// journal without a writer.
pub(super) struct Ended(pub(super) Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Report the failure first: whoever waits for it ends the process.
        if thread::panicking() {
            self.0.vitals.failed.cancel();
        }
        self.0.vitals.end();
    }
}
