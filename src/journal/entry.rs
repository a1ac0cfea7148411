//! An entry: the records and lines that are written together or not at all.

use crate::journal::Log;
use crate::journal::duplicates::Fingerprint;
use crate::journal::notification::AcceptedRows;
use crate::journal::record::Head;

/// Records of the endpoint log and lines of the access log that are written together or not at all.
#[derive(Debug, Default)]
pub struct Entry {
    /// Whole records.
    pub endpoint: Vec<u8>,
    /// Whole lines.
    pub access: Vec<u8>,
    /// The line for `logs.stdout = "messages"`. Empty if the entry accepts no notification, or if
    /// stdout has another setting.
    pub message: Vec<u8>,
    /// The notification that the entry reports as accepted, if any.
    pub identity: Option<Identity>,
    /// What `endpoint` reports as accepted, for followers in this process.
    pub accepted: AcceptedRows,
}

/// The notification that an entry reports as accepted. The writer uses it to recognise duplicates.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    pub(super) fingerprint: Fingerprint,
    /// The offsets of the place (such as `receive.rs:2`) and of the title in the record that
    /// reports the acceptance. The writer replaces both if the notification is a duplicate. `None`
    /// leaves the record unchanged.
    pub(super) head: Option<Head>,
}

/// Why an entry is not on disk. The cause is our process or the disk, never the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The queue is full, or the writer has been blocked for
    /// [`STALL_LIMIT`](crate::journal::STALL_LIMIT). Nothing was queued.
    #[error("the journal's queue is full, or its disk does not answer")]
    Full,
    /// The write failed and was rolled back.
    #[error("the disk refused the record")]
    Refused,
    /// A sync failed earlier, or the writer has ended: nothing is written until the next start.
    #[error("the journal has failed and accepts nothing more")]
    Failed,
}

impl Entry {
    pub(super) fn of(&self, log: Log) -> &[u8] {
        match log {
            Log::Endpoint => &self.endpoint,
            Log::Access => &self.access,
        }
    }

    /// The number of bytes written to both logs.
    pub(super) fn bytes(&self) -> usize {
        self.endpoint.len().saturating_add(self.access.len())
    }

    /// The number of bytes that the entry occupies while it is queued.
    pub(super) fn held_bytes(&self) -> usize {
        let copies = self.message.len().saturating_add(self.accepted.bytes());
        self.bytes().saturating_add(copies)
    }
}
