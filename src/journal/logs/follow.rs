//! One log is left for another: because it is full, or because somebody renamed, deleted or cut it.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::journal::logs::files::LogFiles;
use crate::journal::logs::logs::{Fault, Logs, SAVE_AFTER_BYTES};
use crate::journal::logs::per_log::{Log, PerLog};
use crate::journal::logs::torn::{self, DamagedLog};

/// A file that could not be rotated or reopened is tried again after this time.
const SWITCH_RETRY: Duration = Duration::from_secs(1);

/// What a log needs before the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::journal) enum Change {
    /// Somebody changed its length: it is measured again.
    Measure {
        /// The length that it has now, in bytes.
        len: u64,
    },
    /// Its name leads elsewhere or to no file: the file that is found or made there takes over.
    Reopen,
    /// It would grow too large: a new file takes over.
    Rotate,
}

impl Logs {
    /// A rotation or reopening that failed may be tried at once.
    pub(in crate::journal) fn retry_now(&mut self) {
        self.switch_after = PerLog::default();
    }

    /// What a log needs before so many bytes are appended to it.
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
        // Each attempt begins with a sync, so a switch that failed is not tried with each batch.
        if self.switch_after[log].is_some_and(|after| now < after) {
            return self.demand_name(log).map(|()| None);
        }
        // If that is not known, the current file still takes records.
        if self.files.is_moved(log).unwrap_or(false) {
            return Ok(Some(Change::Reopen));
        }
        let after = self.written[log].saturating_add(u64::try_from(incoming).unwrap_or(u64::MAX));
        // A batch that alone is larger has a file of its own: an empty file is never rotated.
        let is_full =
            self.written[log] > 0 && self.rotate_bytes.is_some_and(|bytes_max| after > bytes_max);
        Ok(is_full.then_some(Change::Rotate))
    }

    /// Makes a change. Both logs have been synced, and no frame names a place in them any more.
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
                    expected, len, "Somebody else changed the length of a log: measured anew"
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

    /// The old file may stay in use under another name, but not under none: what is written to a
    /// deleted file goes with the process.
    fn demand_name(&self, log: Log) -> Result<(), Fault> {
        match self.files.live[log].is_linked() {
            Ok(false) => Err(Fault::Refused(io::Error::new(
                io::ErrorKind::NotFound,
                "somebody deleted the log, and no new one can be opened",
            ))),
            // If that is not known, the current file still takes records.
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// Leaves a file, whole and synced, for another; `false` if there is no other, and the old one
    /// stays in use.
    fn switch(
        &mut self,
        log: Log,
        now: Instant,
        open: impl FnOnce(&mut LogFiles) -> io::Result<()>,
    ) -> Result<bool, Fault> {
        self.sync_file(log)?;
        if let Err(error) = open(&mut self.files) {
            if self.switch_after[log].is_none() {
                warn!(log = log.name(), %error, "Cannot open a new log: the old file stays in use \
                    until that works");
            }
            self.switch_after[log] = now.checked_add(SWITCH_RETRY);
            return Ok(false);
        }
        self.switch_after[log] = None;
        // From here on a cut is one of the new file, and what is in it may be acknowledged: so no
        // cut reaches it before it was adopted.
        self.written[log] = u64::MAX;
        self.floor[log] = u64::MAX;
        info!(log = log.name(), "Opened a new log");
        // The last snapshot names a place in the old file: one of the new file is due.
        if log == Log::Endpoint {
            self.unsaved = SAVE_AFTER_BYTES;
        }
        self.sync_dir()?;
        self.adopt(log, 0).map(|()| true)
    }

    /// Takes a file as it is: a torn end is closed off, but nothing before `known`, and what
    /// precedes it is durable before anything follows.
    fn adopt(&mut self, log: Log, known: u64) -> Result<(), Fault> {
        let (torn, damaged) =
            torn::close_off(&mut self.files, log, known).map_err(Fault::Refused)?;
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
        let len = self.files.live[log].len().map_err(Fault::Refused)?;
        (self.written[log], self.floor[log]) = (len, len);
        self.written_back[log] = len;
        self.publish_len(log);
        Ok(())
    }
}
