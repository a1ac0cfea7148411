//! Both logs are synced, here or by another thread, and what that proves.

use std::io;

use strum::IntoEnumIterator as _;

use crate::disk::DiskFile;
use crate::journal::Entry;
use crate::journal::logs::logs::{Fault, Logs};
use crate::journal::logs::per_log::{Log, PerLog};

/// Logs are written back in pieces of this size while they grow, so that a sync of them finds
/// little to do.
const WRITE_BACK_BYTES: u64 = 1024 * 1024;

/// Proof that both logs were synced after all up to a mark was written to them.
///
/// The mark is the caller's: the number of the last frame that it had written before the sync
/// began. Only a sync of both logs makes one, so no frame is given up before its records are
/// durable in the logs:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::journal::LogsSynced { mark: 1 };
/// ```
///
/// This one compiles, so the one above fails for its private field and not for a wrong name:
///
/// ```
/// fn of(synced: &mns_endpoint::journal::LogsSynced) {}
/// ```
#[derive(Debug)]
pub struct LogsSynced {
    mark: u64,
}

/// A sync that another thread makes.
pub(in crate::journal) struct PendingSync {
    files: PerLog<Box<dyn DiskFile>>,
    mark: u64,
}

/// A range of a log that another thread begins to write to the disk.
pub(in crate::journal) struct WriteBack {
    file: Box<dyn DiskFile>,
    offset: u64,
    len: u64,
}

impl LogsSynced {
    /// Up to where all is durable.
    pub(in crate::journal) fn mark(&self) -> u64 {
        self.mark
    }
}

impl PendingSync {
    /// The endpoint log first, so that an access line is not on disk long before its record.
    pub(in crate::journal) fn run(mut self) -> io::Result<LogsSynced> {
        Log::iter().try_for_each(|log| self.files[log].sync())?;
        Ok(LogsSynced { mark: self.mark })
    }
}

impl WriteBack {
    pub(in crate::journal) fn run(&self) {
        self.file.begin_write_back(self.offset, self.len);
    }
}

impl Logs {
    /// Writes a batch to both logs and syncs each; [`keep`](Self::keep) counts it. The endpoint log
    /// is synced before the access log is written, so that no access line is ever on disk without
    /// its record.
    pub(in crate::journal) fn append_synced(
        &mut self,
        entry: &Entry,
        mark: u64,
    ) -> Result<LogsSynced, Fault> {
        self.append_to(Log::Endpoint, entry)?;
        self.sync_file(Log::Endpoint)?;
        self.append_to(Log::Access, entry)?;
        self.sync_file(Log::Access)?;
        Ok(LogsSynced { mark })
    }

    /// Syncs both logs. After an error the latch is closed, and nothing was cut.
    pub(in crate::journal) fn sync(&mut self, mark: u64) -> io::Result<LogsSynced> {
        Log::iter().try_for_each(|log| self.files.live[log].sync())?;
        Ok(LogsSynced { mark })
    }

    /// Syncs both logs. What is not acknowledged is cut off them if that fails.
    pub(in crate::journal) fn sync_all(&mut self) -> Result<(), Fault> {
        Log::iter().try_for_each(|log| self.sync_file(log))
    }

    /// The same as [`sync`](Self::sync), to be made by another thread. It does not cover what is
    /// written in the meantime.
    pub(in crate::journal) fn begin_sync(&self, mark: u64) -> io::Result<PendingSync> {
        let files = PerLog::try_from_fn(|log| self.files.live[log].duplicate())?;
        Ok(PendingSync { files, mark })
    }

    /// What was written to a log since this was asked last, if it is worth writing back.
    pub(in crate::journal) fn begin_write_back(&mut self, log: Log) -> Option<WriteBack> {
        let (offset, written) = (self.written_back[log], self.written[log]);
        let len = written.checked_sub(offset)?;
        if len < WRITE_BACK_BYTES {
            return None;
        }
        self.written_back[log] = written;
        let file = self.files.live[log].duplicate().ok()?;
        Some(WriteBack { file, offset, len })
    }
}
