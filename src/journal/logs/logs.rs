//! Both logs in step: written and cut back together, whatever fails.
//!
//! `written` is where the last whole batch ends, `floor` where a cut must stop: nothing before it
//! may go, because it may have been acknowledged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use strum::IntoEnumIterator as _;
use tracing::{error, info, warn};

use crate::journal::entry::Entry;
use crate::journal::logs::files::LogFiles;
use crate::journal::logs::per_log::{Log, PerLog};
use crate::journal::meters::Meters;

/// A start reads at most this much of the endpoint log for duplicates after a clean stop; after a
/// kill, one file more.
pub(super) const SAVE_AFTER_BYTES: u64 = 128 * 1024 * 1024;

/// Why a batch is not in the files.
#[derive(Debug)]
pub(in crate::journal) enum Fault {
    /// The disk refused it and nothing of it is left; the next one may fare better.
    Refused(io::Error),
    /// What is on disk is not known any more, so nothing may be written.
    Broken(io::Error),
}

/// Both files of a port.
pub(in crate::journal) struct Logs {
    pub(super) files: LogFiles,
    pub(super) rotate_bytes: Option<u64>,
    pub(super) written: PerLog<u64>,
    pub(super) floor: PerLog<u64>,
    /// Up to where the system was told to begin writing to the disk.
    pub(super) written_back: PerLog<u64>,
    /// A file that could not be left for another is tried again after this time.
    pub(super) switch_after: PerLog<Option<Instant>>,
    /// Bytes of the endpoint log since the last snapshot; a new file counts as
    /// [`SAVE_AFTER_BYTES`].
    pub(super) unsaved: u64,
    pub(super) meters: Arc<Meters>,
}

impl Logs {
    /// Two files that were recovered: everything in them is durable.
    pub(in crate::journal) fn new(
        files: LogFiles,
        rotate_bytes: Option<u64>,
        meters: Arc<Meters>,
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
        };
        Log::iter().for_each(|log| logs.publish_len(log));
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

    /// Where the next batch goes.
    pub(in crate::journal) fn written(&self) -> PerLog<u64> {
        self.written
    }

    /// Writes a batch to both logs. [`keep`](Self::keep) or [`take_back`](Self::take_back) decides
    /// what becomes of it.
    pub(in crate::journal) fn append(&mut self, entry: &Entry) -> Result<(), Fault> {
        Log::iter().try_for_each(|log| self.append_to(log, entry))
    }

    pub(super) fn append_to(&mut self, log: Log, entry: &Entry) -> Result<(), Fault> {
        let appended = self.files.live[log].append(entry.of(log));
        appended.map_err(|cause| self.take_back(cause))
    }

    /// A batch that was appended stays.
    pub(in crate::journal) fn keep(&mut self, entry: &Entry) {
        for log in Log::iter() {
            let added = u64::try_from(entry.of(log).len()).unwrap_or(u64::MAX);
            self.written[log] = self.written[log].saturating_add(added);
            self.publish_len(log);
            if log == Log::Endpoint {
                self.unsaved = self.unsaved.saturating_add(added);
            }
        }
    }

    /// All that was written may be acknowledged, so no cut may reach it.
    pub(in crate::journal) fn commit(&mut self) {
        self.floor = self.written;
    }

    /// Whether it is time for a snapshot of the duplicates.
    pub(in crate::journal) fn is_save_due(&self) -> bool {
        self.unsaved >= SAVE_AFTER_BYTES
    }

    /// Saves a snapshot of the duplicates. Everything that it knows must survive a power cut: it
    /// must not call a push a duplicate of a record that is gone.
    pub(in crate::journal) fn save(&mut self, save: impl FnOnce(&LogFiles, u64) -> io::Result<()>) {
        // Before the attempt: one that fails is made again after as many bytes, not with each
        // batch.
        self.unsaved = 0;
        // Up to what was written, not up to the end of the file: if somebody has just cut it, a
        // snapshot up to there would match whatever is written there next.
        if let Err(error) = save(&self.files, self.written[Log::Endpoint]) {
            warn!(%error, "Cannot save what is known of duplicates: the next start reads the logs \
                for it");
        }
    }

    /// The space that is left for the files, in bytes.
    pub(in crate::journal) fn free_bytes(&self) -> io::Result<u64> {
        self.files.free_bytes()
    }

    /// When the newest rotated file was written, if there is one and that is known.
    pub(in crate::journal) fn newest_rotated(&self) -> Option<SystemTime> {
        self.files.newest_rotated()
    }

    /// Deletes rotated files to which nothing was written since `before`.
    pub(in crate::journal) fn prune(&self, before: SystemTime) {
        match self.files.prune(before, &self.meters.deletions) {
            Ok(0) => {}
            Ok(files) => info!(files, "Deleted rotated logs that were older than logs.keep"),
            Err(error) => warn!(%error, "Cannot delete rotated logs that are older than logs.keep"),
        }
    }

    /// An error once what is on disk is not known any more.
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

    /// A sync that failed is never tried again: the kernel may have thrown the data away, and call
    /// the next one a success.
    pub(super) fn sync_file(&mut self, log: Log) -> Result<(), Fault> {
        let synced = self.files.live[log].sync();
        synced.map_err(|cause| self.give_up(cause))
    }

    /// After a failed write: cuts both files back to their last whole batch.
    pub(in crate::journal) fn take_back(&mut self, cause: io::Error) -> Fault {
        let cut = Log::iter().try_for_each(|log| self.files.live[log].cut(self.written[log]));
        if cut.is_ok() {
            Fault::Refused(cause)
        } else {
            self.give_up(cause)
        }
    }

    /// Makes the names of the files durable. A file without a durable name keeps nothing.
    pub(in crate::journal) fn sync_dir(&mut self) -> Result<(), Fault> {
        self.files.dir.sync().map_err(|cause| self.give_up(cause))
    }

    /// Nothing is written after this. What was not acknowledged is cut off; a file where even that
    /// fails is put out of the way, so that nothing in it ever counts.
    pub(in crate::journal) fn give_up(&mut self, cause: io::Error) -> Fault {
        error!(%cause, "The disk failed for good: nothing more is written until the next start");
        // A sync that fails closes the latch by itself. A cut that fails does not.
        self.files.disk.close();
        for log in Log::iter() {
            let Err(error) = self.files.live[log].cut(self.floor[log]) else {
                continue;
            };
            error!(log = log.name(), %error, "What was being written cannot be cut off: renaming \
                the file to .suspect");
            if let Err(error) = self.files.suspect(log) {
                error!(log = log.name(), %error, "It cannot be renamed: the log may say 201 where \
                    503 was answered");
            }
        }
        // Past the latch: nobody is acknowledged by this, and without it a power cut may take the
        // renaming back.
        if let Err(error) = self.files.dir.sync() {
            error!(%error, "The directory of the logs cannot be synced");
        }
        Fault::Broken(cause)
    }
}
