//! What may wait for the writer, counted with atomics: pushes and refusals have a room each.
//!
//! With one room for both, a flood of refusals, which strangers can cause, would turn genuine
//! pushes away. The queue itself is one, so that the logs keep the order in which things happened.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What the journal takes before it says no.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries not yet committed that answers wait for; as many again may be refusals.
    pub entries_max: usize,
    /// Their bytes.
    pub bytes_max: usize,
    /// The bytes of refusals not yet written. They wait in the same queue, so they are few enough
    /// for the slowest of disks: a push waits behind them.
    pub refused_bytes_max: usize,
    /// A batch is closed once it has this many bytes. Larger ones take longer to sync than they
    /// save.
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

/// What is in the queue and not yet written.
///
/// The orderings are relaxed: the counts bound memory and publish nothing. The queue hands the
/// entries over. Each count is exact, as it is only added to and subtracted from; the two of one
/// room may be of different moments.
#[derive(Default)]
pub(super) struct Room {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

/// What waits for the writer, or is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// Entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Room {
    pub(super) fn waits(&self) -> Waits {
        Waits {
            entries: self.entries.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Takes room for one entry, if there is.
    ///
    /// It takes first and gives back if that was too much. So two that come at once for the last
    /// room may both be refused, but are never both let in.
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
