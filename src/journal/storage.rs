//! The storage behind the writer: both logs, and the commit log that makes a batch durable with one
//! sync.
//!
//! With a commit log, a batch is written to both logs and, as a frame, to the commit log, and only
//! the commit log is synced. Without one, or if the batch is too large for a frame, both logs are
//! synced.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use strum::IntoEnumIterator as _;

use crate::journal::commit::CommitLog;
use crate::journal::entry::Entry;
use crate::journal::logs::{Fault, Log, LogFiles, Logs};
use crate::journal::meters::Meters;
use crate::journal::{Settings, SyncMode};

/// How many changes of a log the writer follows before it writes a batch. After that many it writes
/// to the log as it is, so that somebody who keeps changing the log cannot block the writer.
const CHANGES_MAX: usize = 3;

/// Proof that a batch is committed: it is written to both logs, and either the commit log that
/// contains it or both logs have been synced.
///
/// If `logs.sync` is not `always`, it proves only that the kernel has the bytes. Only
/// `Storage::write` creates this proof, so no other code can cause a receipt, and this example does
/// not compile:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::journal::Committed { _by_the_commit: () };
/// ```
///
/// This example compiles, so the path is right, and only the private field makes the example above
/// fail:
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
    /// `None` if the commit log is switched off.
    commit_log: Option<CommitLog>,
    sync: SyncMode,
    meters: Arc<Meters>,
    /// How many bytes were written since the last sync, and when the first of those writes was.
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

    /// Whether a commit syncs both logs, because no commit log is ready.
    pub(super) fn syncs_both_logs(&self) -> bool {
        !self.commit_log.as_ref().is_some_and(CommitLog::is_ready)
    }

    /// Commits a batch. [`SyncMode::Always`] always syncs, the other modes only if `syncs`.
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

    /// Writes a batch that acknowledges no push, without a sync.
    pub(super) fn append(&mut self, entry: &Entry, now: Instant) -> Result<(), Fault> {
        self.put(entry, false, now)
    }

    fn put(&mut self, entry: &Entry, syncs: bool, now: Instant) -> Result<(), Fault> {
        self.begin(now)?;
        // Follow both logs before the first write, so that an error leaves nothing to roll back.
        for log in Log::iter() {
            self.follow(log, entry.of(log).len(), now)?;
        }
        let has_synced = self.write_batch(entry, syncs, now)?;
        if has_synced {
            self.all_is_synced(now);
        } else {
            self.unsynced = self.unsynced.saturating_add(entry.bytes());
            // An interval begins with the first unsynced write, not with the last.
            self.unsynced_since = self
                .unsynced_since
                .or_else(|| (self.unsynced > 0).then_some(now));
        }
        // The other modes acknowledge the write itself, so no later rollback may truncate it.
        if self.sync != SyncMode::Always {
            self.logs.commit();
        }
        Ok(())
    }

    /// Handles the results of the checkpoint thread before it checks that no sync has failed: if
    /// one failed there, the result has the cause.
    fn begin(&mut self, now: Instant) -> Result<(), Fault> {
        if let Some(commit_log) = &mut self.commit_log {
            // Poll in each round, so that the commit log learns early which of its frames are
            // durable in the logs, and usually need not wait before it overwrites them.
            commit_log.poll(&mut self.logs, now)?;
        }
        self.logs.demand_sound()
    }

    /// Writes a batch. Returns whether everything written so far is durable.
    fn write_batch(&mut self, entry: &Entry, syncs: bool, now: Instant) -> Result<bool, Fault> {
        let Some(commit_log) = &mut self.commit_log else {
            return self.write_to_logs(entry, syncs);
        };
        if commit_log.make_room(entry, &mut self.logs, now)? {
            commit_log.write(entry, syncs, &mut self.logs, now)?;
            return Ok(syncs);
        }
        // A batch without a frame must be durable before a later frame is written, because a replay
        // cannot restore it.
        let syncs = syncs || commit_log.is_ready();
        self.write_to_logs(entry, syncs)
    }

    /// Writes a batch on the direct path: without a frame. If `syncs`, syncs the logs themselves.
    fn write_to_logs(&mut self, entry: &Entry, syncs: bool) -> Result<bool, Fault> {
        if syncs {
            // The sync also covers all earlier frames: their bytes are already in the logs.
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

    /// Prepares a log for a write. If somebody changed its length, measures it again. If its name
    /// no longer leads to this file, or the write would make the file too large, switches to
    /// another file.
    fn follow(&mut self, log: Log, incoming: usize, now: Instant) -> Result<(), Fault> {
        for _change in 0..CHANGES_MAX {
            let Some(change) = self.logs.change_due(log, incoming, now)? else {
                return Ok(());
            };
            // The offsets in earlier frames are those of the log before its change. After this
            // checkpoint, which syncs both logs and records that, no start replays those frames.
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

    /// Reacts to changes of the files and does the work that is due, without writing a batch.
    pub(super) fn look(&mut self, now: Instant) -> Result<(), Fault> {
        self.begin(now)?;
        // Check both logs before an error of either is returned: if one log is gone, the other must
        // still be followed.
        let [endpoint, access] = [Log::Endpoint, Log::Access].map(|log| self.follow(log, 0, now));
        endpoint.and(access)?;
        match &mut self.commit_log {
            Some(commit_log) => commit_log.look(&mut self.logs, now),
            None => Ok(()),
        }
    }

    /// The number of bytes that are written and not synced.
    pub(super) fn unsynced(&self) -> usize {
        self.unsynced
    }

    /// When a sync is due even if no batch asks for one.
    pub(super) fn sync_due(&self) -> Option<Instant> {
        match self.sync {
            SyncMode::Interval(span) => self
                .unsynced_since
                .and_then(|since| since.checked_add(span)),
            SyncMode::Always | SyncMode::Os => None,
        }
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&mut self, now: Instant) -> Result<(), Fault> {
        self.begin(now)?;
        match &mut self.commit_log {
            Some(commit_log) if commit_log.is_ready() => commit_log.sync(&mut self.logs)?,
            Some(_) | None => self.logs.sync_all()?,
        }
        self.all_is_synced(now);
        Ok(())
    }

    /// Saves a snapshot of the fingerprints, after it has synced all records that the snapshot
    /// covers.
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

    /// Makes both logs durable, so that no start needs the frames of the commit log, and erases
    /// these. Without a commit log there is nothing to do.
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
