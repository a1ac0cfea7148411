//! The place of a connection among all: what decides when it gives way.

/// Connections that are alike in how readily they give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::net) enum Group {
    /// Reads, writes or waits for a certificate; ordered by when it stops making progress.
    UnprovedWorking,
    /// Between two requests; ordered by since when.
    UnprovedIdle,
    /// As the first, for a request of MNS's or on a connection that has carried one.
    ProvedWorking,
    /// As the second.
    ProvedIdle,
    /// Waits for the disk or is answered with a stream, and never gives way.
    Lasting,
}

/// A place: a value, read from an activity at one moment.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Place {
    pub(in crate::net) group: Group,
    /// What orders the connection in its group, in ms: the first gives way first.
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
