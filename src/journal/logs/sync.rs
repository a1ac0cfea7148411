//! Syncing both logs, here or on another thread, and the proof that it was done.

use std::io;

use strum::IntoEnumIterator as _;

use crate::disk::DiskFile;
use crate::journal::Entry;
use crate::journal::logs::logs::{Fault, Logs};
use crate::journal::logs::per_log::{Log, PerLog};

/// A log is written back in pieces of this size while it grows, so that a later sync finds little
/// to do.
const WRITE_BACK_BYTES: u64 = 1024 * 1024;

/// Proof that both logs were synced after everything up to a mark was written to them.
///
/// The caller chooses the mark: the number of the last frame (copy of a batch) that was written to
/// the commit log before the sync began. Only a sync of both logs yields this proof, so no frame is
/// overwritten before its records are durable in the logs. This example does not compile:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::journal::LogsSynced { mark: 1 };
/// ```
///
/// This example compiles, so the path is right, and only the private field makes the example above
/// fail:
///
/// ```
/// fn of(synced: &mns_endpoint::journal::LogsSynced) {}
/// ```
#[derive(Debug)]
pub struct LogsSynced {
    mark: u64,
}

/// A sync for another thread to run.
pub(in crate::journal) struct PendingSync {
    files: PerLog<Box<dyn DiskFile>>,
    mark: u64,
}

/// A range of a log. Another thread starts to write it back.
pub(in crate::journal) struct WriteBack {
    file: Box<dyn DiskFile>,
    offset: u64,
    len: u64,
}

impl LogsSynced {
    /// Everything up to this mark is durable.
    pub(in crate::journal) fn mark(&self) -> u64 {
        self.mark
    }
}

impl PendingSync {
    /// Syncs the endpoint log first, so that an access line is not on disk long before its record.
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
    /// Writes a batch to both logs and syncs each. The caller then accepts it with
    /// [`keep`](Self::keep). Syncs the endpoint log before it writes the access log, so that no
    /// access line is ever on disk without its record.
    pub(in crate::journal) fn append_synced(
        &mut self,
        entry: &Entry,
        mark: u64,
    ) -> Result<LogsSynced, Fault> {
        self.append_to(Log::Endpoint, entry)?;
        self.sync_file(Log::Endpoint)?;
        let appended = self.append_to(Log::Access, entry);
        if let Err(Fault::Refused(_)) = appended {
            // The records of the batch were already durable when they were truncated. Without this
            // sync a power cut could bring them back, although their pushes are answered 503.
            self.sync_file(Log::Endpoint)?;
        }
        appended?;
        self.sync_file(Log::Access)?;
        Ok(LogsSynced { mark })
    }

    /// Syncs both logs. After an error the disk accepts no further write, and nothing was
    /// truncated.
    pub(in crate::journal) fn sync(&mut self, mark: u64) -> io::Result<LogsSynced> {
        Log::iter().try_for_each(|log| self.files.live[log].sync())?;
        Ok(LogsSynced { mark })
    }

    /// Syncs both logs. If that fails, truncates what is not acknowledged.
    pub(in crate::journal) fn sync_all(&mut self) -> Result<(), Fault> {
        Log::iter().try_for_each(|log| self.sync_file(log))
    }

    /// Prepares a [`sync`](Self::sync) for another thread. The sync does not cover what is written
    /// after this call.
    pub(in crate::journal) fn begin_sync(&self, mark: u64) -> io::Result<PendingSync> {
        let files = PerLog::try_from_fn(|log| self.files.live[log].duplicate())?;
        Ok(PendingSync { files, mark })
    }

    /// The range that was written since the last call, if it is long enough to write back.
    pub(in crate::journal) fn begin_write_back(&mut self, log: Log) -> Option<WriteBack> {
        let (offset, written) = (self.written_back[log], self.written[log]);
        let len = written.checked_sub(offset)?;
        if len < WRITE_BACK_BYTES {
            return None;
        }
        self.written_back[log] = written;
        // If no handle can be made, because no file descriptor is left, nothing is lost: the next
        // sync writes this range too.
        let file = self.files.live[log].duplicate().ok()?;
        Some(WriteBack { file, offset, len })
    }
}
