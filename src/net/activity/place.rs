//! The place of a connection among all: it decides when the connection gives way.

/// Groups of connections that give way equally readily.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::net) enum Group {
    /// Reads, writes or waits for a certificate. Ordered by when it stops making progress.
    UnprovedWorking,
    /// Between two requests. Ordered by how long.
    UnprovedIdle,
    /// Like `UnprovedWorking`, but for a request of MNS's or on a connection that has carried one.
    ProvedWorking,
    /// Like `UnprovedIdle`, but on a connection that has carried a request of MNS's.
    ProvedIdle,
    /// Waits for the disk or answers with a stream. Never gives way.
    Lasting,
}

/// A place, read from an activity at one instant.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Place {
    pub(in crate::net) group: Group,
    /// The key within the group, in ms: the lowest gives way first.
    pub(in crate::net) at: u64,
    /// When its current request began, in ms.
    pub(in crate::net) began: u64,
    /// The memory for its heads, in bytes.
    pub(in crate::net) head_bytes: u64,
}

impl Group {
    /// Whether nothing shows that MNS is at the other end.
    pub(in crate::net) fn is_unproved(self) -> bool {
        matches!(self, Self::UnprovedWorking | Self::UnprovedIdle)
    }
}
