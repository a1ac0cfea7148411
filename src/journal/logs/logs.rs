//! Both logs in step: written, synced and cut back together, whatever fails.
//!
//! `written` is where the last whole batch ends, `floor` where a cut must stop: nothing before it
//! may go. With [`SyncMode::Always`] the floor is the last synced length; with the other modes
//! whatever was written was also acknowledged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use strum::IntoEnumIterator as _;
use tracing::{error, info, warn};

use crate::journal::SyncMode;
use crate::journal::entry::Entry;
use crate::journal::logs::files::LogFiles;
use crate::journal::logs::per_log::{Log, PerLog};
use crate::journal::meters::Meters;

/// A start reads at most this much of the endpoint log for duplicates after a clean stop; after a
/// kill, one file more.
pub(super) const SAVE_AFTER_BYTES: u64 = 128 * 1024 * 1024;

/// Proof that a batch is committed: both files were synced with it in them.
///
/// With `logs.sync` other than `always` it means what that mode promises: that the system has been
/// given both. Nothing else makes one than `Logs::write`, so nobody else can have a receipt made:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::journal::Committed { _by_the_commit: () };
/// ```
///
/// This one compiles, so the one above fails for its private field and not for a wrong name:
///
/// ```
/// fn of(committed: &mns_endpoint::journal::Committed) {}
/// ```
#[derive(Debug)]
pub struct Committed {
    _by_the_commit: (),
}

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
    sync: SyncMode,
    pub(super) rotate_bytes: Option<u64>,
    pub(super) written: PerLog<u64>,
    pub(super) floor: PerLog<u64>,
    /// Bytes that were written since the last sync, and since when there are any.
    unsynced: usize,
    unsynced_since: Option<Instant>,
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
        sync: SyncMode,
        rotate_bytes: Option<u64>,
        meters: Arc<Meters>,
    ) -> io::Result<Self> {
        let written = PerLog::try_from_fn(|log| files.live[log].len())?;
        let logs = Self {
            files,
            sync,
            rotate_bytes,
            written,
            floor: written,
            unsynced: 0,
            unsynced_since: None,
            switch_after: PerLog::default(),
            unsaved: 0,
            meters,
        };
        Log::iter().for_each(|log| logs.publish_len(log));
        Ok(logs)
    }

    /// Commits a batch: writes it to both files, and syncs both. The modes that do not sync for an
    /// acknowledgement do so if `syncs`.
    pub(in crate::journal) fn write(
        &mut self,
        entry: &Entry,
        syncs: bool,
        now: Instant,
    ) -> Result<Committed, Fault> {
        self.put(entry, syncs || self.sync == SyncMode::Always, now)?;
        // Both syncs have returned, or the mode promises no more than the write.
        Ok(Committed { _by_the_commit: () })
    }

    /// Writes a batch by which nobody is acknowledged, without a sync.
    pub(in crate::journal) fn append(&mut self, entry: &Entry, now: Instant) -> Result<(), Fault> {
        self.put(entry, false, now)
    }

    /// The endpoint log is synced before the access log is written, so that no access line is ever
    /// on disk without its record.
    fn put(&mut self, entry: &Entry, syncs: bool, now: Instant) -> Result<(), Fault> {
        self.demand_sound()?;
        // Both before the first write: an error here leaves nothing to take back.
        for log in Log::iter() {
            self.follow(log, entry.of(log).len(), now)?;
        }
        for log in Log::iter() {
            if let Err(cause) = self.files.live[log].append(entry.of(log)) {
                return Err(self.take_back(cause));
            }
            if syncs {
                self.sync_file(log)?;
            }
        }
        // Only now: up to here `take_back` cuts both files to their length before the batch.
        for log in Log::iter() {
            let added = u64::try_from(entry.of(log).len()).unwrap_or(u64::MAX);
            self.written[log] = self.written[log].saturating_add(added);
            self.publish_len(log);
            if log == Log::Endpoint {
                self.unsaved = self.unsaved.saturating_add(added);
            }
        }
        if syncs {
            self.all_is_synced(now);
        } else {
            self.unsynced = self.unsynced.saturating_add(entry.bytes());
            self.unsynced_since = self
                .unsynced_since
                .or_else(|| (self.unsynced > 0).then_some(now));
        }
        // In these modes the write is what is acknowledged, so no cut may reach it.
        if self.sync != SyncMode::Always {
            self.floor = self.written;
        }
        Ok(())
    }

    /// Bytes that a sync would make durable.
    pub(in crate::journal) fn unsynced(&self) -> usize {
        self.unsynced
    }

    /// When the files are to be synced although no batch asks for it.
    pub(in crate::journal) fn sync_due(&self) -> Option<Instant> {
        match self.sync {
            SyncMode::Interval(span) => self
                .unsynced_since
                .and_then(|since| since.checked_add(span)),
            SyncMode::Always | SyncMode::Os => None,
        }
    }

    /// Whether it is time for a snapshot of the duplicates.
    pub(in crate::journal) fn is_save_due(&self) -> bool {
        self.unsaved >= SAVE_AFTER_BYTES
    }

    /// Saves a snapshot of the duplicates. Everything that it knows is durable first: after a power
    /// cut it must not call a push a duplicate of a record that is gone.
    pub(in crate::journal) fn save(
        &mut self,
        now: Instant,
        save: impl FnOnce(&LogFiles, u64) -> io::Result<()>,
    ) -> Result<(), Fault> {
        if self.unsynced > 0 {
            self.sync_both(now)?;
        }
        // Before the attempt: one that fails is made again after as many bytes, not with each
        // batch.
        self.unsaved = 0;
        // Up to what was written, not up to the end of the file: if somebody has just cut it, a
        // snapshot up to there would match whatever is written there next.
        if let Err(error) = save(&self.files, self.written[Log::Endpoint]) {
            warn!(%error, "Cannot save what is known of duplicates: the next start reads the logs \
                for it");
        }
        Ok(())
    }

    /// Syncs both files.
    pub(in crate::journal) fn sync_both(&mut self, now: Instant) -> Result<(), Fault> {
        self.demand_sound()?;
        Log::iter().try_for_each(|log| self.sync_file(log))?;
        self.all_is_synced(now);
        Ok(())
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
    pub(super) fn demand_sound(&self) -> Result<(), Fault> {
        self.files.disk.check().map_err(Fault::Broken)
    }

    pub(super) fn publish_len(&self, log: Log) {
        let meter = match log {
            Log::Endpoint => &self.meters.endpoint_log_bytes,
            Log::Access => &self.meters.access_log_bytes,
        };
        meter.store(self.written[log], Ordering::Relaxed);
    }

    fn all_is_synced(&mut self, now: Instant) {
        self.floor = self.written;
        (self.unsynced, self.unsynced_since) = (0, None);
        self.meters.note_sync(now);
    }

    /// A sync that failed is never tried again: the kernel may have thrown the data away, and call
    /// the next one a success.
    pub(super) fn sync_file(&mut self, log: Log) -> Result<(), Fault> {
        let synced = self.files.live[log].sync();
        synced.map_err(|cause| self.give_up(cause))
    }

    /// After a failed write: cuts both files back to their last whole batch.
    fn take_back(&mut self, cause: io::Error) -> Fault {
        let cut = Log::iter().try_for_each(|log| self.files.live[log].cut(self.written[log]));
        if cut.is_ok() {
            Fault::Refused(cause)
        } else {
            self.give_up(cause)
        }
    }

    /// Nothing is written after this. What was not acknowledged is cut off; a file where even that
    /// fails is put out of the way, so that nothing in it ever counts.
    pub(super) fn give_up(&mut self, cause: io::Error) -> Fault {
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
