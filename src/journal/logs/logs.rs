//! The two files as one: written, synced, cut back, followed and rotated in step, whatever fails.
//!
//! `written` is where the last whole batch ends, `floor` where a cut must stop: nothing before it
//! may go. With [`SyncMode::Always`] the floor is the last synced length; with the other modes
//! whatever was written was also acknowledged.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use strum::{EnumCount as _, IntoEnumIterator as _};
use tracing::{error, info, warn};

use crate::journal::duplicates::Seen;
use crate::journal::entry::Entry;
use crate::journal::logs::torn;
use crate::journal::meters::Meters;
use crate::journal::{DamagedLog, Log, Storage, SyncMode};

/// A file that could not be rotated or reopened is tried again after this time.
const SWITCH_RETRY: Duration = Duration::from_secs(1);

/// Why a batch is not in the files.
#[derive(Debug)]
pub(in crate::journal) enum Fault {
    /// The disk refused it and nothing of it is left; the next one may fare better.
    Refused(io::Error),
    /// What is on disk is not known any more, so nothing may be written.
    Broken(io::Error),
}

/// Proof that a batch was committed: written to both files and, if `logs.sync` asks for it, synced.
///
/// Only the commit makes one, so that nobody else can have a receipt made:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::journal::Committed { _by_the_commit: () };
/// ```
#[derive(Debug)]
pub struct Committed {
    _by_the_commit: (),
}

/// A length of each file.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    endpoint: u64,
    access: u64,
}

impl Lengths {
    fn of(self, log: Log) -> u64 {
        match log {
            Log::Endpoint => self.endpoint,
            Log::Access => self.access,
        }
    }

    fn set(&mut self, log: Log, len: u64) {
        match log {
            Log::Endpoint => self.endpoint = len,
            Log::Access => self.access = len,
        }
    }
}

/// Both files of a port.
pub(in crate::journal) struct Logs {
    storage: Box<dyn Storage>,
    sync: SyncMode,
    rotate_bytes: Option<u64>,
    written: Lengths,
    floor: Lengths,
    /// Bytes that were written since the last sync, and since when there are any.
    unsynced: usize,
    unsynced_since: Option<Instant>,
    /// A file that could not be left for another is tried again after this time.
    switch_after: [Option<Instant>; Log::COUNT],
    /// Bytes of the endpoint log since the last snapshot; a new file counts as many.
    unsaved: u64,
    synced_at: Instant,
    rotations: u64,
    reopenings: u64,
}

/// So many bytes of the endpoint log are read again by a start at most, and a file more where it
/// was killed.
const SAVE_AFTER_BYTES: u64 = 128 * 1024 * 1024;

impl Logs {
    /// Two files that were recovered: all that stands in them is durable.
    pub(in crate::journal) fn new(
        storage: Box<dyn Storage>,
        sync: SyncMode,
        rotate_bytes: Option<u64>,
    ) -> io::Result<Self> {
        let written = Lengths {
            endpoint: storage.len(Log::Endpoint)?,
            access: storage.len(Log::Access)?,
        };
        let (unsynced, unsynced_since, switch_after) = (0, None, [None; Log::COUNT]);
        let (floor, unsaved) = (written, 0);
        let (synced_at, rotations, reopenings) = (Instant::now(), 0, 0);
        Ok(Self {
            storage,
            sync,
            rotate_bytes,
            written,
            floor,
            unsynced,
            unsynced_since,
            switch_after,
            unsaved,
            synced_at,
            rotations,
            reopenings,
        })
    }

    /// Writes a batch to both files, and syncs both where asked to.
    ///
    /// The endpoint log is synced before the access log is written, so that no access line is ever
    /// on disk without its record.
    pub(in crate::journal) fn write(
        &mut self,
        entry: &Entry,
        syncs: bool,
    ) -> Result<Committed, Fault> {
        for log in Log::iter() {
            self.follow(log, entry.of(log).len())?;
        }
        for log in Log::iter() {
            if let Err(cause) = self.storage.append(log, entry.of(log)) {
                return Err(self.take_back(cause));
            }
            if syncs {
                self.sync_file(log)?;
            }
        }
        for log in Log::iter() {
            let added = u64::try_from(entry.of(log).len()).unwrap_or(u64::MAX);
            self.written
                .set(log, self.written.of(log).saturating_add(added));
            self.unsaved =
                self.unsaved
                    .saturating_add(if log == Log::Endpoint { added } else { 0 });
        }
        if syncs {
            self.all_is_synced();
        } else {
            self.unsynced = self.unsynced.saturating_add(entry.bytes());
            self.unsynced_since = self
                .unsynced_since
                .or_else(|| (self.unsynced > 0).then(Instant::now));
        }
        if self.sync != SyncMode::Always {
            self.floor = self.written;
        }
        Ok(Committed { _by_the_commit: () })
    }

    /// Follows what others did to the files, without a write.
    pub(in crate::journal) fn look(&mut self) -> Result<(), Fault> {
        // The one whose log is gone must not keep the other from being followed.
        let [endpoint, access] = [Log::Endpoint, Log::Access].map(|log| self.follow(log, 0));
        endpoint.and(access)
    }

    /// A rotation or reopening that failed may be tried at once.
    pub(in crate::journal) fn retry_now(&mut self) {
        self.switch_after = [None; Log::COUNT];
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

    /// Tells how it stands.
    pub(in crate::journal) fn tell(&self, meters: &Meters) {
        meters
            .access_log_bytes
            .store(self.written.access, Ordering::Relaxed);
        meters
            .endpoint_log_bytes
            .store(self.written.endpoint, Ordering::Relaxed);
        meters.rotations.store(self.rotations, Ordering::Relaxed);
        meters.reopenings.store(self.reopenings, Ordering::Relaxed);
        meters.note_sync(self.synced_at);
    }

    /// Whether it is time for a snapshot of what is known of duplicates.
    pub(in crate::journal) fn is_save_due(&self) -> bool {
        self.unsaved >= SAVE_AFTER_BYTES
    }

    /// Saves such a snapshot. What it tells of is durable first: a power cut must not leave a
    /// duplicate of nothing.
    pub(in crate::journal) fn save(&mut self, seen: &Seen) -> Result<(), Fault> {
        if self.unsynced > 0 {
            self.sync_both()?;
        }
        self.unsaved = 0;
        if let Err(error) = seen.save(self.storage.as_mut()) {
            warn!(%error, "Cannot save what is known of duplicates: the next start reads the logs \
                for it");
        }
        Ok(())
    }

    /// Syncs both files.
    pub(in crate::journal) fn sync_both(&mut self) -> Result<(), Fault> {
        Log::iter().try_for_each(|log| self.sync_file(log))?;
        self.all_is_synced();
        Ok(())
    }

    /// The space that is left for the files.
    pub(in crate::journal) fn free_bytes(&self) -> io::Result<u64> {
        self.storage.free_bytes()
    }

    /// When the newest rotated file was written, if there is one and that is known.
    pub(in crate::journal) fn newest_rotated(&self) -> Option<SystemTime> {
        self.storage.newest_rotated().ok().flatten()
    }

    /// Deletes rotated files to which nothing was written since `before`.
    pub(in crate::journal) fn prune(&mut self, before: SystemTime) {
        match self.storage.prune(before) {
            Ok(0) => {}
            Ok(files) => info!(files, "Deleted rotated logs that were older than logs.keep"),
            Err(error) => warn!(%error, "Cannot delete rotated logs that are older than logs.keep"),
        }
    }

    /// Where somebody changed the length of a file it is measured anew; where its name leads
    /// elsewhere, or where it would grow too large, another file is used from now on.
    fn follow(&mut self, log: Log, incoming: usize) -> Result<(), Fault> {
        let len = self.storage.len(log).map_err(Fault::Refused)?;
        let expected = self.written.of(log);
        if len != expected {
            warn!(
                log = log.name(),
                expected, len, "Somebody else changed the length of a log: measured anew"
            );
            self.adopt(log, self.floor.of(log))?;
        }
        if self
            .held_off(log)
            .is_some_and(|after| Instant::now() < after)
        {
            return self.demand_name(log);
        }
        // Where that cannot be told, the file at hand still takes records.
        let is_moved = self.storage.is_moved(log).unwrap_or(false);
        let after = self
            .written
            .of(log)
            .saturating_add(u64::try_from(incoming).unwrap_or(u64::MAX));
        let is_full = self.written.of(log) > 0
            && self.rotate_bytes.is_some_and(|bytes_max| after > bytes_max);
        match (is_moved, is_full) {
            (true, _) => {
                let is_new = self.switch(log, |storage| storage.reopen(log))?;
                self.reopenings = self.reopenings.saturating_add(u64::from(is_new));
            }
            (false, true) => {
                let is_new = self.switch(log, |storage| storage.rotate(log))?;
                self.rotations = self.rotations.saturating_add(u64::from(is_new));
            }
            (false, false) => return Ok(()),
        }
        if self.held_off(log).is_some() {
            self.demand_name(log)
        } else {
            Ok(())
        }
    }

    fn held_off(&self, log: Log) -> Option<Instant> {
        self.switch_after.get(log.index()).copied().flatten()
    }

    fn hold_off(&mut self, log: Log, until: Option<Instant>) {
        if let Some(after) = self.switch_after.get_mut(log.index()) {
            *after = until;
        }
    }

    /// The old file may stay in use under another name, but not under none: what is written to a
    /// deleted file goes with the process.
    fn demand_name(&self, log: Log) -> Result<(), Fault> {
        match self.storage.has_name(log) {
            Ok(false) => Err(Fault::Refused(io::Error::new(
                io::ErrorKind::NotFound,
                "somebody deleted the log, and no new one can be opened",
            ))),
            // Where that cannot be told, the file at hand still takes records.
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// Leaves a file, whole and synced, for another. Where there is no other the old one stays in
    /// use: `false`.
    fn switch(
        &mut self,
        log: Log,
        open: impl Fn(&mut dyn Storage) -> io::Result<()>,
    ) -> Result<bool, Fault> {
        self.sync_file(log)?;
        if let Err(error) = open(self.storage.as_mut()) {
            if self.held_off(log).is_none() {
                warn!(log = log.name(), %error, "Cannot open a new log: the old file stays in use \
                    until that works");
            }
            self.hold_off(log, Instant::now().checked_add(SWITCH_RETRY));
            return Ok(false);
        }
        self.hold_off(log, None);
        // From here on a cut is one of the new file: what stands in it may be acknowledged.
        self.written.set(log, u64::MAX);
        self.floor.set(log, u64::MAX);
        info!(log = log.name(), "Opened a new log");
        if log == Log::Endpoint {
            self.unsaved = SAVE_AFTER_BYTES;
        }
        if let Err(cause) = self.storage.sync_names() {
            return Err(self.give_up(cause));
        }
        self.adopt(log, 0).map(|()| true)
    }

    /// Takes a file as it is: a torn end is closed off, but nothing before `known`, and what
    /// precedes it is durable before anything follows.
    fn adopt(&mut self, log: Log, known: u64) -> Result<(), Fault> {
        let (torn, damaged) =
            torn::close_off(self.storage.as_mut(), log, known).map_err(Fault::Refused)?;
        if let Some(tail) = torn {
            warn!(
                log = log.name(),
                offset = tail.offset,
                bytes = tail.bytes,
                "A log ended within a record: cut off"
            );
        }
        if let Some(DamagedLog { offset, places, .. }) = damaged {
            error!(
                log = log.name(),
                offset, places, "A log is damaged, and nothing of it was cut off: see logs verify"
            );
        }
        self.sync_file(log)?;
        let len = self.storage.len(log).map_err(Fault::Refused)?;
        self.written.set(log, len);
        self.floor.set(log, len);
        Ok(())
    }

    fn all_is_synced(&mut self) {
        self.floor = self.written;
        (self.unsynced, self.unsynced_since) = (0, None);
        self.synced_at = Instant::now();
    }

    /// A sync that failed is never tried again: the kernel may have thrown the data away, and call
    /// the next one a success.
    fn sync_file(&mut self, log: Log) -> Result<(), Fault> {
        self.storage.sync(log).map_err(|cause| self.give_up(cause))
    }

    /// After a failed write: cuts both files back to their last whole batch.
    fn take_back(&mut self, cause: io::Error) -> Fault {
        let cut = Log::iter().try_for_each(|log| self.cut(log, self.written.of(log)));
        if cut.is_ok() {
            Fault::Refused(cause)
        } else {
            self.give_up(cause)
        }
    }

    /// Nothing is written after this. What was not acknowledged is cut off; a file where even that
    /// fails is put out of the way, so that nothing in it ever counts.
    fn give_up(&mut self, cause: io::Error) -> Fault {
        error!(%cause, "The disk failed for good: nothing more is written until the next start");
        for log in Log::iter() {
            let Err(error) = self.cut(log, self.floor.of(log)) else {
                continue;
            };
            error!(log = log.name(), %error, "What was being written cannot be cut off: renaming \
                the file to .suspect");
            if let Err(error) = self.storage.suspect(log) {
                error!(log = log.name(), %error, "It cannot be renamed: the log may say 201 where \
                    503 was answered");
            }
        }
        if let Err(error) = self.storage.sync_names() {
            error!(%error, "The directory of the logs cannot be synced");
        }
        Fault::Broken(cause)
    }

    /// A file that someone else made shorter is left as it is: cutting it would fill it with zeros.
    fn cut(&mut self, log: Log, len: u64) -> io::Result<()> {
        if self.storage.len(log)? > len {
            self.storage.truncate(log, len)
        } else {
            Ok(())
        }
    }
}
