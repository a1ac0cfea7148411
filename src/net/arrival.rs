//! How a request arrived: from whom, when, and on which connection.

use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

use crate::net::tracker::Tracker;

/// How a request arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The sender: the other end of the connection, or the client that a trusted proxy names.
    pub peer: SocketAddr,
    /// When its first byte arrived.
    pub first_byte: Instant,
    /// The connection that it arrived on.
    pub connection: Connection,
}

/// Through this the service reports on the current request, so that the connection of a genuine
/// push does not give way to others.
#[derive(Debug, Clone)]
pub struct Connection {
    tracker: Tracker,
}

impl Connection {
    pub(super) fn of(tracker: &Tracker) -> Self {
        Self {
            tracker: tracker.clone(),
        }
    }

    /// A handle for a request without a slot, on a connection that is turned away or in a
    /// benchmark.
    #[must_use]
    pub fn detached() -> Self {
        Self {
            tracker: Tracker::detached(),
        }
    }

    /// The body is complete, and whether MNS sent the request is not known yet.
    pub fn note_whole(&self) {
        self.tracker.activity.note_whole();
    }

    /// MNS signed the head of the request; its body is still incomplete.
    pub fn note_proved_head(&self) {
        self.tracker.note_proved_head();
    }

    /// The request is a push that is meant for us, and waits for the disk.
    pub fn note_admitted(&self) {
        self.tracker.activity.note_admitted();
    }

    /// The request is a push of `peer` that is on disk and was not there before. Takes a lock only
    /// for the first push and then once a minute.
    pub fn note_accepted(&self, peer: IpAddr) {
        self.tracker.note_accepted(peer);
    }

    /// Whether a request on this connection was such a push.
    #[must_use]
    pub fn has_accepted(&self) -> bool {
        self.tracker.activity.has_accepted()
    }
}
