//! The journal's metrics: updated without locks, so that no thread waits for another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::journal::Replayed;
use crate::meter::{DurationHistogram, SizeHistogram};

/// The upper bounds of the buckets of [`Meters::batch_entries`].
const ENTRIES: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// The upper bounds of the buckets of [`Meters::batch_bytes`]. A batch is closed once it has
/// 256 KiB; with a large last entry it has more.
const BYTES: [u64; 8] = [
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 17,
    1 << 18,
    1 << 19,
    1 << 20,
];

/// What the writer has done.
///
/// All orderings are relaxed: a metric publishes no other memory, and may lag behind.
#[derive(Debug)]
pub struct Meters {
    /// Entries in each batch.
    pub batch_entries: SizeHistogram<11>,
    /// Bytes of each batch, in both logs.
    pub batch_bytes: SizeHistogram<8>,
    /// How long the disk took for each batch: both writes, and the syncs if there were any.
    pub batch_time: DurationHistogram,
    /// The length of the access log.
    pub access_log_bytes: AtomicU64,
    /// The length of the endpoint log.
    pub endpoint_log_bytes: AtomicU64,
    /// How many times a log was rotated because it was full.
    pub rotations: AtomicU64,
    /// How many times a log was reopened because its name belonged to another file or to none.
    pub reopenings: AtomicU64,
    /// Rotated files that were deleted because they were older than `logs.keep`.
    pub deletions: AtomicU64,
    /// Files that are older than `logs.keep` and are kept, because a reader needs them.
    pub held_files: AtomicU64,
    /// How many notifications are remembered to recognise duplicates.
    pub remembered: AtomicU64,
    /// Notifications that the log had already when they arrived.
    pub duplicates: AtomicU64,
    /// Refusals that were not logged for lack of room.
    pub refusals_dropped: AtomicU64,
    /// Lines that stdout did not take in time.
    pub lines_not_copied: AtomicU64,
    /// The commit log.
    pub commit_log: CommitLogMeters,
    started: Instant,
    /// Milliseconds from `started` to the last sync of both logs.
    synced_ms: AtomicU64,
}

/// The state and the work of the commit log, in which each frame is the copy of a batch.
#[derive(Debug, Default)]
pub struct CommitLogMeters {
    /// The length of the commit log in bytes; 0 while no commit log is ready and each commit
    /// syncs both logs.
    pub bytes: AtomicU64,
    /// Bytes in use in the half that takes the frames now: the commit log has two halves, used in
    /// turn.
    pub used_bytes: AtomicU64,
    /// Frames that were written.
    pub frames: AtomicU64,
    /// The bytes of those frames, padding included.
    pub frame_bytes: AtomicU64,
    /// How long each checkpoint took to sync both logs.
    pub checkpoint_time: DurationHistogram,
    /// Frames that the start replayed.
    pub replayed_frames: AtomicU64,
    /// Frames that had been synced, but that the start could not read.
    pub missing_frames: AtomicU64,
}

impl CommitLogMeters {
    pub(super) fn note_replay(&self, replayed: &Replayed) {
        let of_the_start = [
            (&self.replayed_frames, replayed.frames),
            (&self.missing_frames, replayed.missing),
        ];
        for (meter, frames) in of_the_start {
            meter.store(frames, Ordering::Relaxed);
        }
    }
}

impl Meters {
    /// All zero; the content of the files counts as synced just now.
    pub(super) fn new() -> Self {
        Self {
            batch_entries: SizeHistogram::up_to(ENTRIES),
            batch_bytes: SizeHistogram::up_to(BYTES),
            batch_time: DurationHistogram::default(),
            access_log_bytes: AtomicU64::new(0),
            endpoint_log_bytes: AtomicU64::new(0),
            rotations: AtomicU64::new(0),
            reopenings: AtomicU64::new(0),
            deletions: AtomicU64::new(0),
            held_files: AtomicU64::new(0),
            remembered: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            refusals_dropped: AtomicU64::new(0),
            lines_not_copied: AtomicU64::new(0),
            commit_log: CommitLogMeters::default(),
            started: Instant::now(),
            synced_ms: AtomicU64::new(0),
        }
    }

    /// How long ago both logs were synced.
    #[must_use]
    pub fn since_sync(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(
            self.synced_ms.load(Ordering::Relaxed),
        ))
    }

    pub(super) fn observe_batch(&self, entries: usize, bytes: usize, took: Duration) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.batch_entries.observe(number(entries));
        self.batch_bytes.observe(number(bytes));
        self.batch_time.observe(took);
    }

    pub(super) fn note_sync(&self, at: Instant) {
        let since = at.saturating_duration_since(self.started).as_millis();
        self.synced_ms
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
