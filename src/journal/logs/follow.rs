//! Switching a log to another file, because it is full or somebody renamed, deleted or truncated
//! it.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::journal::logs::files::LogFiles;
use crate::journal::logs::logs::{Fault, Logs, SAVE_AFTER_BYTES};
use crate::journal::logs::per_log::{Log, PerLog};
use crate::journal::logs::recovered::DamagedLog;
use crate::journal::logs::torn;

/// How long after a failure to retry rotating or reopening a file.
const SWITCH_RETRY: Duration = Duration::from_secs(1);

/// What a log needs before the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::journal) enum Change {
    /// Somebody changed the log's length: measure it again.
    Measure {
        /// The current length, in bytes.
        len: u64,
    },
    /// The log's name leads to another file or to none: use the file that is found or created
    /// there.
    Reopen,
    /// The log would grow too large: use a new file.
    Rotate,
}

impl Logs {
    /// Allows a failed rotation or reopening to be retried at once.
    pub(in crate::journal) fn retry_now(&mut self) {
        self.switch_after = PerLog::default();
    }

    /// What a log needs before `incoming` bytes are appended to it.
    pub(in crate::journal) fn change_due(
        &self,
        log: Log,
        incoming: usize,
        now: Instant,
    ) -> Result<Option<Change>, Fault> {
        let len = self.files.live[log].len().map_err(Fault::Refused)?;
        if len != self.written[log] {
            return Ok(Some(Change::Measure { len }));
        }
        // Each attempt begins with a sync, so a failed switch is not retried with each batch.
        if self.switch_after[log].is_some_and(|after| now < after) {
            return self.demand_name(log).map(|()| None);
        }
        // If the name cannot be checked, the current file stays in use.
        if self.files.is_moved(log).unwrap_or(false) {
            return Ok(Some(Change::Reopen));
        }
        let after = self.written[log].saturating_add(u64::try_from(incoming).unwrap_or(u64::MAX));
        // A batch above the limit gets a file to itself: an empty file is never rotated.
        let is_full =
            self.written[log] > 0 && self.rotate_bytes.is_some_and(|bytes_max| after > bytes_max);
        Ok(is_full.then_some(Change::Rotate))
    }

    /// Makes a change. The offsets in the commit log are those of the log before the change. So, if
    /// there is a commit log, the caller must have made a checkpoint: then no start replays the
    /// frames in the commit log.
    pub(in crate::journal) fn change(
        &mut self,
        log: Log,
        change: Change,
        now: Instant,
    ) -> Result<(), Fault> {
        let (is_new, meter) = match change {
            Change::Measure { len } => {
                let expected = self.written[log];
                warn!(
                    log = log.name(),
                    expected,
                    len,
                    "Somebody else changed the length of a log: its end is checked again"
                );
                return self.adopt(log, self.floor[log]);
            }
            Change::Reopen => {
                let is_new = self.switch(log, now, |files| files.reopen(log))?;
                (is_new, &self.meters.reopenings)
            }
            Change::Rotate => {
                let is_new = self.switch(log, now, |files| files.rotate(log))?;
                (is_new, &self.meters.rotations)
            }
        };
        meter.fetch_add(u64::from(is_new), Ordering::Relaxed);
        if is_new {
            Ok(())
        } else {
            self.demand_name(log)
        }
    }

    /// Checks that the current file still has some name. A renamed file is good enough, but what is
    /// written to a deleted file is lost when the process ends.
    fn demand_name(&self, log: Log) -> Result<(), Fault> {
        match self.files.live[log].is_linked() {
            Ok(false) => Err(Fault::Refused(io::Error::new(
                io::ErrorKind::NotFound,
                "somebody deleted the log, and no new one can be opened",
            ))),
            // If the links cannot be counted, the current file stays in use.
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// Syncs the current file and replaces it with another. Returns `false` if no other file can be
    /// opened: the old one then stays in use.
    fn switch(
        &mut self,
        log: Log,
        now: Instant,
        open: impl FnOnce(&mut LogFiles) -> io::Result<()>,
    ) -> Result<bool, Fault> {
        // Sync the old file now: nothing syncs it later, and without a commit log a part of it may
        // not be durable.
        self.sync_file(log)?;
        if let Err(error) = open(&mut self.files) {
            // Log only the first failure, and not every retry.
            if self.switch_after[log].is_none() {
                warn!(log = log.name(), %error, "Cannot open a new log: the old file stays in use \
                    until that works");
            }
            self.switch_after[log] = now.checked_add(SWITCH_RETRY);
            return Ok(false);
        }
        self.switch_after[log] = None;
        // From here on a truncation would affect the new file, whose content may have been
        // acknowledged. So no truncation may reach that file before `adopt`.
        self.written[log] = u64::MAX;
        self.floor[log] = u64::MAX;
        info!(log = log.name(), "Opened a new log");
        // The last snapshot names an offset in the old file, so a snapshot of the new one is due.
        if log == Log::Endpoint {
            self.unsaved = SAVE_AFTER_BYTES;
        }
        self.sync_dir()?;
        self.adopt(log, 0).map(|()| true)
    }

    /// Prepares a file for appending. The file may already have content: truncates a torn end, but
    /// nothing before the offset `known`, up to which the file is durable, and syncs the rest.
    fn adopt(&mut self, log: Log, known: u64) -> Result<(), Fault> {
        let (torn, damaged) =
            torn::close_off(&mut self.files, log, known).map_err(Fault::Refused)?;
        if let Some(tail) = torn {
            warn!(
                log = log.name(),
                offset = tail.offset,
                bytes = tail.bytes,
                "A log ended within a record: its torn end was cut off"
            );
        }
        if let Some(DamagedLog { offset, places, .. }) = damaged {
            error!(
                log = log.name(),
                offset,
                places,
                "A log is damaged, and nothing was cut off: run mns-endpoint logs verify"
            );
        }
        self.sync_file(log)?;
        if log == Log::Endpoint {
            self.tail.forget();
        }
        let len = self.files.live[log].len().map_err(Fault::Refused)?;
        (self.written[log], self.floor[log]) = (len, len);
        self.written_back[log] = len;
        self.publish_len(log);
        self.publish_floor();
        Ok(())
    }
}
