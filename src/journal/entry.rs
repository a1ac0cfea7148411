//! What is handed over at once: records and lines that are written together or not at all.

use crate::journal::Log;
use crate::journal::duplicates::Fingerprint;
use crate::journal::record::Head;

/// Records of the endpoint log and lines of the access log that are written together or not at all.
#[derive(Debug, Default)]
pub struct Entry {
    /// Whole records.
    pub endpoint: Vec<u8>,
    /// Whole lines.
    pub access: Vec<u8>,
    /// The line of `logs.stdout = "messages"`, if it says that a notification was accepted and
    /// somebody wants it.
    pub message: Vec<u8>,
    /// Which notification it says was accepted, if it says so of one.
    pub identity: Option<Identity>,
}

/// The notification that an entry says was accepted, so that the writer knows a second one as a
/// duplicate.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    pub(super) fingerprint: Fingerprint,
    /// The head of the record of its outcome; `None` if that stays what it is for a duplicate too.
    pub(super) head: Option<Head>,
}

/// Why an entry is not on disk: ours or the disk's doing, never the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The queue is full, or nothing has left it for [`STALL_LIMIT`](crate::journal::STALL_LIMIT);
    /// nothing was handed over.
    #[error("the journal's queue is full, or its disk does not answer")]
    Full,
    /// The write failed and was taken back.
    #[error("the disk refused the record")]
    Refused,
    /// A sync failed before: nothing is written until the next start.
    #[error("the journal has failed and takes nothing more")]
    Failed,
}

impl Entry {
    pub(super) fn of(&self, log: Log) -> &[u8] {
        match log {
            Log::Endpoint => &self.endpoint,
            Log::Access => &self.access,
        }
    }

    /// What is written to both logs.
    pub(super) fn bytes(&self) -> usize {
        self.endpoint.len().saturating_add(self.access.len())
    }

    /// The room that it takes while it waits.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes().saturating_add(self.message.len())
    }
}
