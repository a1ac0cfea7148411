//! The commit log of a journal: created, written, synced, and replaced after a fault.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use strum::IntoEnumIterator as _;
use tracing::warn;

use crate::journal::commit::checkpointer::{Checkpointer, Done};
use crate::journal::commit::frame;
use crate::journal::commit::length::commit_log_bytes;
use crate::journal::commit::replay::{Found, Left};
use crate::journal::commit::segment::Segment;
use crate::journal::logs::{Fault, Log, Logs, LogsSynced};
use crate::journal::{CommitLogMeters, Entry, Meters};

/// How long after a failure to retry the creation of a commit log.
const RETRY: Duration = Duration::from_secs(60);

/// The commit log: its frames are copies of batches. Without a file, each commit syncs both logs.
pub(in crate::journal) struct CommitLog {
    pub(super) segment: Option<Segment>,
    bytes_max: u64,
    pub(super) checkpointer: Checkpointer,
    /// When to create a commit log. `None` while one exists or is being created.
    pub(super) retry_at: Option<Instant>,
    /// When the last frame was written.
    pub(super) last_frame: Instant,
}

impl CommitLog {
    /// Uses the commit log that an earlier process left, or starts to create a new one. Everything
    /// in the logs must already be durable.
    pub(in crate::journal) fn start(
        bytes_max: u64,
        left: Option<Left>,
        logs: &mut Logs,
        now: Instant,
    ) -> io::Result<Self> {
        let mut commit_log = Self {
            segment: None,
            bytes_max,
            checkpointer: Checkpointer::start()?,
            retry_at: None,
            last_frame: now,
        };
        let is_there = left.is_some();
        if let Some(left) = left.filter(|left| commit_log.is_usable(left, logs)) {
            commit_log.segment = Segment::begin(left.file, &left.found)
                .inspect_err(|error| warn!(%error, "The commit log cannot be used"))
                .ok();
        }
        if commit_log.segment.is_none() {
            if is_there {
                logs.files_mut().discard_commit_log()?;
            }
            commit_log.make(logs, now);
        }
        commit_log.publish(&logs.meters().commit_log);
        Ok(commit_log)
    }

    /// Whether a file is at most as large as allowed, and at least half as large as a new one.
    fn is_usable(&self, left: &Left, logs: &Logs) -> bool {
        let len = left.file.len().unwrap_or_default();
        let wanted = self.wanted_bytes(logs);
        len <= self.bytes_max && wanted.is_some_and(|wanted| len >= wanted / 2)
    }

    /// The length of a new commit log. `None` if there is no room for one.
    fn wanted_bytes(&self, logs: &Logs) -> Option<u64> {
        commit_log_bytes(self.bytes_max, logs.free_bytes().unwrap_or(u64::MAX))
    }

    /// Asks the checkpoint thread to create a new commit log. Until it is ready, each commit syncs
    /// both logs. If the directory of the logs was moved away, retries later: a new directory of
    /// that name may not be durable, so a power cut could remove it with the commit log in it.
    pub(super) fn make(&mut self, logs: &Logs, now: Instant) {
        let is_beside = logs.files().is_dir_in_place();
        if let Some(bytes) = self.wanted_bytes(logs).filter(|_| is_beside) {
            self.retry_at = None;
            self.checkpointer.make(logs.files().new_commit_log(bytes));
        } else {
            self.retry_later(now);
        }
    }

    fn retry_later(&mut self, now: Instant) {
        self.retry_at = now.checked_add(RETRY);
    }

    /// Handles the results of the jobs that the checkpoint thread has finished.
    pub(in crate::journal) fn poll(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        while let Some(done) = self.checkpointer.poll() {
            self.take(done, logs, now)?;
        }
        Ok(())
    }

    /// Waits for all pending jobs and handles their results.
    pub(super) fn settle(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        while let Some(done) = self.checkpointer.wait() {
            self.take(done, logs, now)?;
        }
        Ok(())
    }

    fn take(&mut self, done: Done, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        match done {
            Done::Synced(took, synced) => {
                let synced = synced.map_err(|cause| self.broken(cause, logs))?;
                self.cover(&synced);
                logs.meters().commit_log.checkpoint_time.observe(took);
            }
            Done::Made(Ok(())) => self.adopt(logs, now)?,
            Done::Made(Err(error)) => {
                warn!(%error, "No commit log can be created: until there is one, each commit syncs \
                    both logs, which takes longer");
                self.retry_later(now);
            }
        }
        Ok(())
    }

    /// Starts to use the new file. Refusals that were written without a sync have no frame, so they
    /// must be durable before the first frame is written.
    fn adopt(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        if !logs.files().is_dir_in_place() {
            self.retry_later(now);
            return Ok(());
        }
        logs.sync(0).map_err(|cause| self.broken(cause, logs))?;
        let file = logs.files().open_commit_log();
        match file.and_then(|file| Segment::begin(file, &Found::default())) {
            Ok(segment) => {
                self.segment = Some(segment);
                self.publish(&logs.meters().commit_log);
                Ok(())
            }
            Err(cause) => self.lose(cause, logs, now),
        }
    }

    /// Whether a commit log is ready.
    pub(in crate::journal) fn is_ready(&self) -> bool {
        self.segment.is_some()
    }

    /// The number of the last frame. A sync of the logs that begins now covers all frames up to it.
    pub(in crate::journal) fn mark(&self) -> u64 {
        self.segment.as_ref().map_or(0, Segment::number)
    }

    /// Records that the logs were synced.
    pub(in crate::journal) fn cover(&mut self, synced: &LogsSynced) {
        if let Some(segment) = &mut self.segment {
            segment.cover(synced);
        }
    }

    /// Makes room for the frame of a batch. Returns `false` if the batch is written without a
    /// frame: there is no commit log, or copying so large a batch costs more than a sync.
    pub(in crate::journal) fn make_room(
        &mut self,
        entry: &Entry,
        logs: &mut Logs,
        now: Instant,
    ) -> Result<bool, Fault> {
        self.demand_name(logs, now)?;
        match &self.segment {
            Some(segment) if segment.fits(entry) => {
                if !segment.has_room(entry) {
                    self.turn(logs, now)?;
                }
                Ok(self.is_ready())
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Replaces a truncated or deleted commit log: a deleted file is lost when this process ends.
    pub(super) fn demand_name(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        let Some(segment) = &self.segment else {
            return Ok(());
        };
        if is_in_place(segment, logs) {
            return Ok(());
        }
        warn!(
            "Somebody removed or truncated the commit log: both logs are synced, and a new one is \
                created"
        );
        self.leave(logs, now)?;
        self.make(logs, now);
        Ok(())
    }

    /// Writes a batch: to both logs first, so that a full disk fails before anything is committed,
    /// then as a frame. Syncs the frame if `syncs`.
    pub(in crate::journal) fn write(
        &mut self,
        entry: &Entry,
        syncs: bool,
        logs: &mut Logs,
        now: Instant,
    ) -> Result<(), Fault> {
        if entry.bytes() > 0 {
            let offsets = logs.written();
            logs.append(entry)?;
            let framed = self
                .segment
                .as_mut()
                .map_or(Ok(()), |segment| segment.append(entry, offsets));
            if let Err(cause) = framed {
                let fault = logs.take_back(cause);
                self.leave(logs, now)?;
                return Err(fault);
            }
            self.count_frame(entry, logs.meters());
            self.last_frame = now;
        }
        if syncs {
            self.sync(logs)?;
        }
        logs.keep(entry);
        Log::iter().for_each(|log| {
            if let Some(range) = logs.begin_write_back(log) {
                self.checkpointer.write_back(range);
            }
        });
        Ok(())
    }

    fn count_frame(&self, entry: &Entry, meters: &Meters) {
        let meters = &meters.commit_log;
        meters.frames.fetch_add(1, Ordering::Relaxed);
        meters
            .frame_bytes
            .fetch_add(frame::frame_bytes(entry), Ordering::Relaxed);
        self.publish(meters);
    }

    /// Publishes the length of the commit log and how much of it is in use.
    fn publish(&self, meters: &CommitLogMeters) {
        let segment = self.segment.as_ref();
        let (bytes, used) = segment.map_or((0, 0), |segment| (segment.len(), segment.place()));
        meters.bytes.store(bytes, Ordering::Relaxed);
        meters.used_bytes.store(used, Ordering::Relaxed);
    }

    /// Makes all frames durable: the one sync before a 201. If it fails, all bytes that are not
    /// acknowledged yet are truncated from the logs.
    pub(in crate::journal) fn sync(&mut self, logs: &mut Logs) -> Result<(), Fault> {
        let synced = self.segment.as_mut().map_or(Ok(()), Segment::sync);
        synced.map_err(|cause| logs.give_up(cause))
    }

    /// Handles a commit log that cannot be written: continues without it or, if a sync failed, ends
    /// the journal.
    pub(super) fn lose(
        &mut self,
        cause: io::Error,
        logs: &mut Logs,
        now: Instant,
    ) -> Result<(), Fault> {
        if logs.demand_sound().is_err() {
            return Err(logs.give_up(cause));
        }
        warn!(%cause, "The commit log cannot be used: until there is a new one, each commit \
            syncs both logs, which takes longer");
        self.leave(logs, now)
    }

    /// Stops using the file. First both logs are synced, so that they have all of its frames.
    fn leave(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        self.settle(logs, now)?;
        self.cover_now(logs)?;
        let segment = self.segment.take();
        let there = logs.files().commit_log_identity().ok();
        if segment.is_some_and(|segment| there == Some(segment.id())) {
            drop(logs.files().remove_commit_log());
        }
        self.publish(&logs.meters().commit_log);
        self.retry_later(now);
        logs.sync_dir()
    }
}

/// Whether a start will find the file of a segment: nobody has removed or truncated it.
pub(super) fn is_in_place(segment: &Segment, logs: &Logs) -> bool {
    let is_named = match logs.files().commit_log_identity() {
        Ok(there) => there == segment.id(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    is_named && !segment.is_cut()
}
