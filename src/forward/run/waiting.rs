//! How much waits for a destination, as it was measured last, and what of it is stepped over.

use std::time::Instant;

use jiff::Timestamp;

use crate::forward::Outgoing;
use crate::forward::reader::ReadRow;

/// How much waits for a destination.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) measured: Option<Instant>,
    pub(super) is_measuring: bool,
    pub(super) bytes: u64,
    /// The bytes of rows that were read and not settled when it was measured.
    pub(super) bytes_read: u64,
    /// Either bound is reached.
    pub(super) is_full: bool,
    /// How many bytes of the log are still to be passed, whether something is sent of them or not.
    pub(super) skip_bytes: u64,
    /// What was received before this time is skipped.
    pub(super) skip_before: Option<Timestamp>,
    pub(super) reported: Option<Instant>,
}

impl Backlog {
    /// Skips nothing that is not said to be skipped after this.
    pub(super) fn skip_nothing(&mut self) {
        (self.skip_bytes, self.skip_before) = (0, None);
    }

    /// A row is passed without being sent.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.skip_bytes = self.skip_bytes.saturating_sub(bytes);
    }

    /// Whether a row is skipped, for which no room is needed.
    pub(super) fn is_skipping(&self, row: &ReadRow) -> bool {
        row.outgoing.as_ref().is_some_and(|it| self.skips(it))
    }

    pub(super) fn skips(&self, outgoing: &Outgoing) -> bool {
        // Without a time in its record only the size decides.
        let both = outgoing.received.zip(self.skip_before);
        self.skip_bytes > 0 || both.is_some_and(|(received, end)| received < end)
    }
}
