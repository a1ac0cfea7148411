//! Both logs in step: written and truncated together, whatever fails.
//!
//! `written` is the end of the last complete batch. `floor` limits a truncation: bytes before it
//! may have been acknowledged and must stay.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use strum::IntoEnumIterator as _;
use tracing::{error, info, warn};

use crate::journal::entry::Entry;
use crate::journal::logs::files::LogFiles;
use crate::journal::logs::high_water::HighWater;
use crate::journal::logs::holds::Holds;
use crate::journal::logs::log_tail::LogTail;
use crate::journal::logs::names::Numbering;
use crate::journal::logs::per_log::{Log, PerLog};
use crate::journal::meters::Meters;

/// How many bytes of the endpoint log are written between two snapshots of the duplicates. A clean
/// stop saves a snapshot too. So a start re-reads hardly anything after a clean stop, and about
/// this many bytes after a kill.
pub(super) const SAVE_AFTER_BYTES: u64 = 128 * 1024 * 1024;

/// Why a batch is not in the files.
#[derive(Debug)]
pub(in crate::journal) enum Fault {
    /// The disk refused the batch, and nothing of it remains. The next batch may succeed.
    Refused(io::Error),
    /// The content of the disk is unknown, so nothing more may be written.
    Broken(io::Error),
}

/// Both files of a port.
pub(in crate::journal) struct Logs {
    pub(super) files: LogFiles,
    pub(super) rotate_bytes: Option<u64>,
    pub(super) written: PerLog<u64>,
    pub(super) floor: PerLog<u64>,
    /// The offset up to which the kernel was asked to write back.
    pub(super) written_back: PerLog<u64>,
    /// When a failed switch to another file may be retried.
    pub(super) switch_after: PerLog<Option<Instant>>,
    /// Bytes of the endpoint log since the last snapshot; a new file counts as
    /// [`SAVE_AFTER_BYTES`].
    pub(super) unsaved: u64,
    pub(super) meters: Arc<Meters>,
    high_water: Arc<HighWater>,
    pub(super) tail: Arc<LogTail>,
}

impl Logs {
    /// Takes over both files after their recovery: everything in them is durable.
    pub(in crate::journal) fn new(
        files: LogFiles,
        rotate_bytes: Option<u64>,
        meters: Arc<Meters>,
        (high_water, tail): (Arc<HighWater>, Arc<LogTail>),
    ) -> io::Result<Self> {
        let written = PerLog::try_from_fn(|log| files.live[log].len())?;
        let logs = Self {
            files,
            rotate_bytes,
            written,
            floor: written,
            written_back: written,
            switch_after: PerLog::default(),
            unsaved: 0,
            meters,
            high_water,
            tail,
        };
        Log::iter().for_each(|log| logs.publish_len(log));
        logs.publish_floor();
        Ok(logs)
    }

    /// Both files.
    pub(in crate::journal) fn files(&self) -> &LogFiles {
        &self.files
    }

    pub(in crate::journal) fn files_mut(&mut self) -> &mut LogFiles {
        &mut self.files
    }

    pub(in crate::journal) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// The offsets at which the next batch begins.
    pub(in crate::journal) fn written(&self) -> PerLog<u64> {
        self.written
    }

    /// Writes a batch to both logs. [`keep`](Self::keep) then accepts it, or
    /// [`take_back`](Self::take_back) removes it.
    pub(in crate::journal) fn append(&mut self, entry: &Entry) -> Result<(), Fault> {
        Log::iter().try_for_each(|log| self.append_to(log, entry))
    }

    pub(super) fn append_to(&mut self, log: Log, entry: &Entry) -> Result<(), Fault> {
        let appended = self.files.live[log].append(entry.of(log));
        appended.map_err(|cause| self.take_back(cause))
    }

    /// Accepts a batch that was appended.
    pub(in crate::journal) fn keep(&mut self, entry: &Entry) {
        // Before its commit is published, so that a follower that is woken by that finds it.
        let live = self.files.live[Log::Endpoint].id();
        self.tail.add(live, self.written[Log::Endpoint], entry);
        for log in Log::iter() {
            let added = u64::try_from(entry.of(log).len()).unwrap_or(u64::MAX);
            self.written[log] = self.written[log].saturating_add(added);
            self.publish_len(log);
            if log == Log::Endpoint {
                self.unsaved = self.unsaved.saturating_add(added);
            }
        }
    }

    /// Raises the floor: everything written so far may be acknowledged now, so no truncation may
    /// reach it.
    pub(in crate::journal) fn commit(&mut self) {
        self.floor = self.written;
        self.publish_floor();
    }

    /// Whether it is time for a snapshot of the duplicates.
    pub(in crate::journal) fn is_save_due(&self) -> bool {
        self.unsaved >= SAVE_AFTER_BYTES
    }

    /// Saves a snapshot of the duplicates. Everything that it covers must already be durable:
    /// otherwise, after a power cut, a push could be marked as the duplicate of a record that was
    /// lost.
    pub(in crate::journal) fn save(&mut self, save: impl FnOnce(&LogFiles, u64) -> io::Result<()>) {
        // Reset the count before the attempt, so that a failed attempt is repeated after the same
        // number of bytes again, and not with each batch.
        self.unsaved = 0;
        // The snapshot names the offset up to which the log was written, not the file's length now.
        // If somebody has just truncated the file, a snapshot with that length would pass for valid
        // at the next start, although it has fingerprints of records that are gone.
        if let Err(error) = save(&self.files, self.written[Log::Endpoint]) {
            warn!(%error, "Cannot save the snapshot of the duplicates: the next start reads \
                the logs instead");
        }
    }

    /// The free space for the files, in bytes.
    pub(in crate::journal) fn free_bytes(&self) -> io::Result<u64> {
        self.files.free_bytes()
    }

    /// When the newest rotated file was last written. `None` if there is no such file or its time
    /// cannot be read.
    pub(in crate::journal) fn newest_rotated(&self) -> Option<SystemTime> {
        self.files.newest_rotated()
    }

    /// Deletes rotated files to which nothing was written since `before`.
    pub(in crate::journal) fn prune(&self, before: SystemTime, holds: &Holds) {
        // Without `rotate_bytes` logrotate rotates the files, and its number 1 is the youngest.
        let numbering = match self.rotate_bytes {
            Some(_) => Numbering::Ascending,
            None => Numbering::Descending,
        };
        let pruned = match self.files.prune(before, holds, numbering) {
            Ok(pruned) => pruned,
            Err(error) => {
                warn!(%error, "Cannot look for rotated logs that are older than logs.keep");
                return;
            }
        };
        let number = |files: usize| u64::try_from(files).unwrap_or(u64::MAX);
        let (deleted, held) = (number(pruned.deleted), number(pruned.held));
        self.meters.held_files.store(held, Ordering::Relaxed);
        self.meters.deletions.fetch_add(deleted, Ordering::Relaxed);
        if deleted > 0 {
            let files = deleted;
            info!(files, "Deleted rotated logs that were older than logs.keep");
        }
        if let Some(error) = pruned.failure {
            warn!(%error, "Cannot delete rotated logs that are older than logs.keep");
        }
    }

    /// Fails once the content of the disk is unknown.
    pub(in crate::journal) fn demand_sound(&self) -> Result<(), Fault> {
        self.files.disk.check().map_err(Fault::Broken)
    }

    pub(super) fn publish_len(&self, log: Log) {
        let meter = match log {
            Log::Endpoint => &self.meters.endpoint_log_bytes,
            Log::Access => &self.meters.access_log_bytes,
        };
        meter.store(self.written[log], Ordering::Relaxed);
    }

    /// Lets followers read up to the floor. Must be called before anything is written to a file
    /// that replaces the live one: followers assume that every file except the published one is
    /// committed to its end.
    pub(super) fn publish_floor(&self) {
        let id = self.files.live[Log::Endpoint].id();
        self.high_water.publish(id, self.floor[Log::Endpoint]);
    }

    /// Syncs a log. A failed sync is never retried: the kernel may have dropped the data and would
    /// report success the next time.
    pub(super) fn sync_file(&mut self, log: Log) -> Result<(), Fault> {
        let synced = self.files.live[log].sync();
        synced.map_err(|cause| self.give_up(cause))
    }

    /// Truncates both files to their last complete batch, after a failed write.
    pub(in crate::journal) fn take_back(&mut self, cause: io::Error) -> Fault {
        let cut = Log::iter().try_for_each(|log| self.files.live[log].cut(self.written[log]));
        if cut.is_ok() {
            Fault::Refused(cause)
        } else {
            self.give_up(cause)
        }
    }

    /// Makes the names of the files durable. A crash may lose a file without a durable name.
    pub(in crate::journal) fn sync_dir(&mut self) -> Result<(), Fault> {
        self.files.dir.sync().map_err(|cause| self.give_up(cause))
    }

    /// Ends all writing. Truncates what was not acknowledged. A file that cannot be truncated is
    /// renamed, so that nothing in it is ever taken for acknowledged.
    pub(in crate::journal) fn give_up(&mut self, cause: io::Error) -> Fault {
        error!(%cause, "The disk failed permanently: nothing more is written until the next start");
        // Close the latch of the disk, which then accepts no further write. A failed sync has
        // closed it already, but a failed truncation has not.
        self.files.disk.close();
        for log in Log::iter() {
            let Err(error) = self.files.live[log].cut(self.floor[log]) else {
                continue;
            };
            error!(log = log.name(), %error, "The unacknowledged end of a log cannot be cut off: \
                renaming the file to .suspect");
            if let Err(error) = self.files.suspect(log) {
                error!(log = log.name(), %error, "The file cannot be renamed: the log may report \
                    201 for pushes that were answered 503");
            }
        }
        // This sync bypasses the latch, which is now closed: no acknowledgement depends on the
        // sync, and without the sync a power cut may undo the renaming.
        if let Err(error) = self.files.dir.sync() {
            error!(%error, "The directory of the logs cannot be synced");
        }
        Fault::Broken(cause)
    }
}
