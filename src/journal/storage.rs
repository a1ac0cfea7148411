//! What the writer writes to: both logs, and the commit log that makes a batch durable with one
//! sync.
//!
//! With a commit log a batch is written to both logs and, as a frame, to the commit log, which
//! alone is synced. Without one both logs are synced, as for a batch that is too large for a frame.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use strum::IntoEnumIterator as _;

use crate::journal::commit::CommitLog;
use crate::journal::entry::Entry;
use crate::journal::logs::{Fault, Log, LogFiles, Logs};
use crate::journal::meters::Meters;
use crate::journal::{Settings, SyncMode};

/// A log that changes more often than this at one time is written to as it is.
const CHANGES_MAX: usize = 3;

/// Proof that a batch is committed: it is written to both logs, and the commit log that holds it
/// was synced, or both logs were.
///
/// With `logs.sync` other than `always` it means what that mode promises: that the system has been
/// given both. Nothing else makes one than `Storage::write`, so nobody else can have a receipt
/// made:
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

/// Both logs and their commit log.
pub(super) struct Storage {
    logs: Logs,
    /// `None` if it is switched off.
    commit_log: Option<CommitLog>,
    sync: SyncMode,
    meters: Arc<Meters>,
    /// Bytes that were written since the last sync, and since when there are any.
    unsynced: usize,
    unsynced_since: Option<Instant>,
}

impl Storage {
    pub(super) fn new(
        logs: Logs,
        commit_log: Option<CommitLog>,
        settings: &Settings,
        meters: Arc<Meters>,
    ) -> Self {
        Self {
            logs,
            commit_log,
            sync: settings.sync,
            meters,
            unsynced: 0,
            unsynced_since: None,
        }
    }

    pub(super) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(super) fn logs_mut(&mut self) -> &mut Logs {
        &mut self.logs
    }

    /// Whether a commit syncs both logs, because there is no commit log at this moment.
    pub(super) fn syncs_both_logs(&self) -> bool {
        !self.commit_log.as_ref().is_some_and(CommitLog::is_ready)
    }

    /// Commits a batch. The modes that do not sync for an acknowledgement do so if `syncs`.
    pub(super) fn write(
        &mut self,
        entry: &Entry,
        syncs: bool,
        now: Instant,
    ) -> Result<Committed, Fault> {
        self.put(entry, syncs || self.sync == SyncMode::Always, now)?;
        // The sync has returned, or the mode promises no more than the write.
        Ok(Committed { _by_the_commit: () })
    }

    /// Writes a batch by which nobody is acknowledged, without a sync.
    pub(super) fn append(&mut self, entry: &Entry, now: Instant) -> Result<(), Fault> {
        self.put(entry, false, now)
    }

    fn put(&mut self, entry: &Entry, syncs: bool, now: Instant) -> Result<(), Fault> {
        self.begin(now)?;
        // Both before the first write: an error here leaves nothing to take back.
        for log in Log::iter() {
            self.follow(log, entry.of(log).len(), now)?;
        }
        let has_synced = self.write_batch(entry, syncs, now)?;
        if has_synced {
            self.all_is_synced(now);
        } else {
            self.unsynced = self.unsynced.saturating_add(entry.bytes());
            self.unsynced_since = self
                .unsynced_since
                .or_else(|| (self.unsynced > 0).then_some(now));
        }
        // In these modes the write is what is acknowledged, so no cut may reach it.
        if self.sync != SyncMode::Always {
            self.logs.commit();
        }
        Ok(())
    }

    /// What the other thread has done comes first, because it knows why a sync failed.
    fn begin(&mut self, now: Instant) -> Result<(), Fault> {
        if let Some(commit_log) = &mut self.commit_log {
            commit_log.poll(&mut self.logs, now)?;
        }
        self.logs.demand_sound()
    }

    /// Returns whether all that was written is durable.
    fn write_batch(&mut self, entry: &Entry, syncs: bool, now: Instant) -> Result<bool, Fault> {
        let Some(commit_log) = &mut self.commit_log else {
            return self.write_to_logs(entry, syncs);
        };
        if commit_log.make_room(entry, &mut self.logs, now)? {
            commit_log.write(entry, syncs, &mut self.logs, now)?;
            return Ok(syncs);
        }
        // What has no frame must be durable before a frame is behind it.
        let syncs = syncs || commit_log.is_ready();
        self.write_to_logs(entry, syncs)
    }

    /// The direct path.
    fn write_to_logs(&mut self, entry: &Entry, syncs: bool) -> Result<bool, Fault> {
        if syncs {
            let mark = self.commit_log.as_ref().map_or(0, CommitLog::mark);
            let synced = self.logs.append_synced(entry, mark)?;
            if let Some(commit_log) = &mut self.commit_log {
                commit_log.cover(&synced);
            }
        } else {
            self.logs.append(entry)?;
        }
        self.logs.keep(entry);
        Ok(syncs)
    }

    /// If somebody changed the length of a log it is measured again; if its name leads elsewhere,
    /// or if it would grow too large, another file is used from now on.
    fn follow(&mut self, log: Log, incoming: usize, now: Instant) -> Result<(), Fault> {
        for _change in 0..CHANGES_MAX {
            let Some(change) = self.logs.change_due(log, incoming, now)? else {
                return Ok(());
            };
            // From here on no frame names a place in the file as it was.
            if let Some(commit_log) = &mut self.commit_log
                && commit_log.is_ready()
            {
                commit_log.checkpoint(&mut self.logs, now)?;
                self.all_is_synced(now);
            }
            self.logs.change(log, change, now)?;
        }
        Ok(())
    }

    /// Follows what others did to the files, and what time has made due, without a write.
    pub(super) fn look(&mut self, now: Instant) -> Result<(), Fault> {
        self.begin(now)?;
        // The one whose log is gone must not keep the other from being followed.
        let [endpoint, access] = [Log::Endpoint, Log::Access].map(|log| self.follow(log, 0, now));
        endpoint.and(access)?;
        match &mut self.commit_log {
            Some(commit_log) => commit_log.look(&mut self.logs, now),
            None => Ok(()),
        }
    }

    /// Bytes that a sync would make durable.
    pub(super) fn unsynced(&self) -> usize {
        self.unsynced
    }

    /// When a sync is due although no batch asks for it.
    pub(super) fn sync_due(&self) -> Option<Instant> {
        match self.sync {
            SyncMode::Interval(span) => self
                .unsynced_since
                .and_then(|since| since.checked_add(span)),
            SyncMode::Always | SyncMode::Os => None,
        }
    }

    /// Makes all that was written durable.
    pub(super) fn sync(&mut self, now: Instant) -> Result<(), Fault> {
        self.begin(now)?;
        match &mut self.commit_log {
            Some(commit_log) if commit_log.is_ready() => commit_log.sync(&mut self.logs)?,
            Some(_) | None => self.logs.sync_all()?,
        }
        self.all_is_synced(now);
        Ok(())
    }

    /// Saves a snapshot of the duplicates, if it is time for one or if this is the end.
    pub(super) fn save(
        &mut self,
        now: Instant,
        save: impl FnOnce(&LogFiles, u64) -> io::Result<()>,
    ) -> Result<(), Fault> {
        if self.unsynced > 0 {
            self.sync(now)?;
        }
        self.logs.save(save);
        Ok(())
    }

    /// Leaves both logs whole by themselves, and nothing in the commit log.
    pub(super) fn close(&mut self, now: Instant) -> Result<(), Fault> {
        match &mut self.commit_log {
            Some(commit_log) => commit_log.close(&mut self.logs, now),
            None => Ok(()),
        }
    }

    fn all_is_synced(&mut self, now: Instant) {
        self.logs.commit();
        (self.unsynced, self.unsynced_since) = (0, None);
        self.meters.note_sync(now);
    }
}
