//! The counters of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::net::workers::Place;

/// Counts what ends before there is a request to log.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that got a slot.
    pub opened: AtomicU64,
    /// Connections with a slot that have ended.
    pub closed: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub failed_handshakes: AtomicU64,
    /// Heads that were broken, too slow or too large; the HTTP library answered or closed.
    pub broken_heads: AtomicU64,
    /// Connections answered 503 because every slot was busy.
    pub turned_away: AtomicU64,
    /// Connections that were evicted although they had carried a verified push or were carrying
    /// one.
    pub evicted_proved: AtomicU64,
    /// Other connections that were evicted.
    pub evicted_unproved: AtomicU64,
    /// The memory for unanswered heads of connections that wait for their peers, in bytes.
    pub head_bytes: AtomicU64,
}

/// Counts the end of a connection, however it ends, and gives back its place on a thread.
pub(super) struct Ending {
    counters: Arc<Counters>,
    _place: Place,
}

impl Ending {
    pub(super) fn new(counters: Arc<Counters>, place: Place) -> Self {
        let _place = place;
        Self { counters, _place }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.counters.closed.fetch_add(1, Ordering::Relaxed);
    }
}
