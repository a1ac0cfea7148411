//! Checkpoints: both logs catch up with the commit log, so that its frames can be overwritten.
//!
//! A frame is the copy of a batch in the commit log, which has two halves that are used in turn.

use std::io;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::journal::commit::commit_log::{CommitLog, is_in_place};
use crate::journal::commit::segment::Segment;
use crate::journal::logs::{Fault, Logs};

/// After this time without a batch the logs are synced, so that they are complete without the
/// commit log.
const IDLE: Duration = Duration::from_secs(1);

impl CommitLog {
    /// Continues in the other half of the commit log. First makes sure that the frames in that half
    /// are durable in the logs, because they are overwritten.
    pub(super) fn turn(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        let is_covered = |segment: &Option<Segment>| {
            let segment = segment.as_ref();
            segment.is_none_or(Segment::is_other_half_covered)
        };
        // A sync under way may make the frames of the other half durable: wait for its end first.
        if !is_covered(&self.segment) {
            self.settle(logs, now)?;
        }
        if !is_covered(&self.segment) {
            self.cover_now(logs)?;
        }
        match self.segment.as_mut().map_or(Ok(()), Segment::turn) {
            Ok(()) => self.begin_checkpoint(logs),
            Err(cause) => self.lose(cause, logs, now),
        }
    }

    pub(super) fn cover_now(&mut self, logs: &mut Logs) -> Result<(), Fault> {
        let synced = logs
            .sync(self.mark())
            .map_err(|cause| self.broken(cause, logs))?;
        self.cover(&synced);
        Ok(())
    }

    /// The fault after a failed sync of a log. Nothing is truncated: what was acknowledged is in
    /// the frames, from which a start restores it, or in the logs, as durably as `logs.sync`
    /// requires.
    pub(super) fn broken(&self, cause: io::Error, logs: &Logs) -> Fault {
        let segment = self.segment.as_ref();
        if segment.is_some_and(|segment| is_in_place(segment, logs)) {
            error!(%cause, "A log cannot be synced: nothing more is written until the next start, \
                which completes the logs from the commit log");
        } else {
            error!(%cause, "A log cannot be synced, and there is no commit log in use: nothing \
                more is written until the next start, which uses the logs as the disk has them");
        }
        Fault::Broken(cause)
    }

    /// Asks the checkpoint thread to sync both logs.
    fn begin_checkpoint(&mut self, logs: &mut Logs) -> Result<(), Fault> {
        match logs.begin_sync(self.mark()) {
            Ok(sync) => {
                self.checkpointer.sync(sync);
                Ok(())
            }
            // No file descriptor is left for the other thread, so sync here.
            Err(_) => self.cover_now(logs),
        }
    }

    /// Syncs both logs, then writes and syncs a frame that records the sync of the logs, so that
    /// the next start replays no earlier frame. Afterwards the logs can be rotated, reopened or
    /// truncated, because no frame that a start would replay refers to them.
    pub(in crate::journal) fn checkpoint(
        &mut self,
        logs: &mut Logs,
        now: Instant,
    ) -> Result<(), Fault> {
        if self.segment.as_ref().is_none_or(Segment::is_checkpointed) {
            return Ok(());
        }
        self.settle(logs, now)?;
        self.cover_now(logs)?;
        match self
            .segment
            .as_mut()
            .map_or(Ok(()), Segment::write_checkpoint)
        {
            Ok(()) => Ok(()),
            Err(cause) => self.lose(cause, logs, now),
        }
    }

    /// Called once a second: syncs the logs after a pause, and retries creating a commit log.
    pub(in crate::journal) fn look(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        self.demand_name(logs, now)?;
        if self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            self.make(logs, now);
        }
        let is_idle = now.saturating_duration_since(self.last_frame) >= IDLE;
        let Some(segment) = &mut self.segment else {
            return Ok(());
        };
        // While the other thread syncs the logs there is nothing to do: a later call writes the
        // checkpoint.
        if !is_idle || segment.is_checkpointed() || self.checkpointer.is_busy() {
            return Ok(());
        }
        if !segment.is_covered() {
            return self.begin_checkpoint(logs);
        }
        self.checkpoint(logs, now)
    }

    /// Syncs both logs and overwrites the frames with zeros.
    pub(in crate::journal) fn close(&mut self, logs: &mut Logs, now: Instant) -> Result<(), Fault> {
        self.checkpoint(logs, now)?;
        let erased = self.segment.as_mut().map_or(Ok(()), Segment::erase);
        // This failure does not make the close fail: the checkpoint is synced, and the logs have
        // everything.
        if let Err(error) = erased {
            warn!(%error, "The commit log cannot be overwritten: the contents of messages stay in \
                it");
        }
        Ok(())
    }
}
