//! The place under which a connection is filed, which the connection reads without a lock.
//!
//! Two threads meet here. The connection changes what it is doing without a lock, and asks to be
//! filed again only if that changed its place for the worse. A search for a connection that gives
//! way files any connection again at any time, under the lock of the slots. Each writes one thing
//! and then reads the other's:
//!
//! ```text
//! the connection, before it waits     the search, under the lock
//!   1. writes the new phase             1. filed = UNFILED
//!   2. fence(SeqCst)                    2. fence(SeqCst)
//!   3. reads `filed`                    3. reads the phase
//!                                       4. filed = what it has read
//! ```
//!
//! One of the two fences is first. If it is that of the search, the connection does not read the
//! place from before the search: it reads `UNFILED` or the place of step 4, and compares that with
//! its own. If it is that of the connection, the search reads the new phase. With weaker orderings
//! both may read the old value: the search files the connection as busy, and the connection takes
//! the old place, idle, for the one that it has. Then a connection that should give way is in no
//! order until its next request.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use crate::net::activity::place::Place;

/// No group: the place is being read.
const UNFILED: u8 = u8::MAX;

/// The place under which the slots have a connection.
#[derive(Debug)]
pub(super) struct Filed {
    /// A `Group`, or [`UNFILED`]. Written last, so that whoever reads it has the other two.
    group: AtomicU8,
    at: AtomicU64,
    head_bytes: AtomicU64,
}

impl Filed {
    pub(super) fn nowhere() -> Self {
        Self {
            group: AtomicU8::new(UNFILED),
            at: AtomicU64::new(0),
            head_bytes: AtomicU64::new(0),
        }
    }

    /// Files the connection under the place that `read` returns. Only under the lock of the slots.
    pub(super) fn file(&self, read: impl FnOnce() -> Place) -> Place {
        self.group.store(UNFILED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let place = read();
        self.at.store(place.at, Ordering::Relaxed);
        self.head_bytes.store(place.head_bytes, Ordering::Relaxed);
        self.group.store(place.group as u8, Ordering::Release);
        place
    }

    /// Whether the connection is filed where `read` says that it belongs, or in front of it: a
    /// search then finds it too early and files it again.
    pub(super) fn serves_for(&self, read: impl FnOnce() -> Place) -> bool {
        fence(Ordering::SeqCst);
        let place = read();
        self.group.load(Ordering::Acquire) == place.group as u8
            && self.head_bytes.load(Ordering::Relaxed) == place.head_bytes
            && self.at.load(Ordering::Relaxed) <= place.at
    }
}
