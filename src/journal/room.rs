//! Room for entries that wait for the writer, counted with atomics: pushes and refusals each have
//! their own.
//!
//! With one room for both, a flood of refusals, which strangers can cause, would turn genuine
//! pushes away. There is only one queue, so that the logs keep the order of events.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How much the journal queues before it refuses more.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The maximum number of entries that requests wait for and that are not yet committed. The
    /// same maximum applies, separately, to refusals.
    pub entries_max: usize,
    /// The maximum number of bytes in these entries.
    pub bytes_max: usize,
    /// The maximum number of bytes in refusals that are not yet written. A push waits behind them
    /// in the same queue, so the limit is low enough for the slowest disk.
    pub refused_bytes_max: usize,
    /// A batch is closed once it has this many bytes. In a larger batch, the longer sync costs more
    /// than the saved commits.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries_max: 8192,
            bytes_max: 64 * 1024 * 1024,
            refused_bytes_max: 4 * 1024 * 1024,
            batch_bytes: 256 * 1024,
        }
    }
}

/// Entries that are queued and not yet written.
///
/// The orderings are relaxed: the counts only bound memory, and it is the queue that publishes the
/// entries. Each count is exact, because only atomic additions and subtractions change it. The two
/// counts of a room are not read at the same instant.
#[derive(Default)]
pub(super) struct Room {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

/// Entries that wait for the writer or are being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// Entries.
    pub entries: usize,
    /// The bytes in these entries.
    pub bytes: usize,
}

impl Room {
    pub(super) fn waits(&self) -> Waits {
        Waits {
            entries: self.entries.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Reserves room for one entry. Returns `false` if there is not enough.
    ///
    /// Adds first, and subtracts again if the sum exceeds the limit. So two callers that compete
    /// for the last room may both be refused, but are never both admitted.
    pub(super) fn take(&self, bytes: usize, entries_max: usize, bytes_max: usize) -> bool {
        let entries_before = self.entries.fetch_add(1, Ordering::Relaxed);
        let bytes_before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = entries_before < entries_max && bytes_before.saturating_add(bytes) <= bytes_max;
        if !fits {
            self.give_back(1, bytes);
        }
        fits
    }

    pub(super) fn give_back(&self, entries: usize, bytes: usize) {
        self.entries.fetch_sub(entries, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
