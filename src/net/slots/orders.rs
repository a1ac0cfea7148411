//! The orders of open connections, so that the first of each is found at once.

use std::collections::BTreeSet;

use strum::EnumCount;

use crate::net::activity::{Group, Place};

/// The orders: one for each [`Group`] that can give way, and two more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount)]
#[repr(usize)]
pub(super) enum Order {
    UnprovedWorking,
    UnprovedIdle,
    ProvedWorking,
    ProvedIdle,
    /// The connections of the first order, by the start of their request. Bytes from the peer gain
    /// no time here.
    UnprovedByAge,
    /// The connections with a head in memory, the largest first.
    Heads,
}

/// The key of a connection in each order. `None` if it is not in that order.
pub(super) type Keys = [Option<u64>; Order::COUNT];

/// The key and the number of each connection, in every order.
#[derive(Debug, Default)]
pub(super) struct Orders([BTreeSet<(u64, u64)>; Order::COUNT]);

impl Orders {
    /// Moves a connection to new keys. Changes only the orders whose key changes.
    pub(super) fn replace(&mut self, number: u64, before: &Keys, now: &Keys) {
        for ((order, before), now) in self.0.iter_mut().zip(before).zip(now) {
            if before != now {
                before.map(|key| order.remove(&(key, number)));
                now.map(|key| order.insert((key, number)));
            }
        }
    }

    /// Returns the key and the number of the first connection in an order.
    pub(super) fn first(&self, order: Order) -> Option<(u64, u64)> {
        self.0.get(order as usize)?.first().copied()
    }

    pub(super) fn count(&self, order: Order) -> usize {
        self.0.get(order as usize).map_or(0, BTreeSet::len)
    }
}

/// Returns the keys for a place.
pub(super) fn keys(place: &Place) -> Keys {
    let mut keys = Keys::default();
    let [
        unproved_working,
        unproved_idle,
        proved_working,
        proved_idle,
        unproved_by_age,
        heads,
    ] = &mut keys;
    let at = Some(place.at);
    match place.group {
        Group::UnprovedWorking => (*unproved_working, *unproved_by_age) = (at, Some(place.began)),
        Group::UnprovedIdle => *unproved_idle = at,
        Group::ProvedWorking => *proved_working = at,
        Group::ProvedIdle => *proved_idle = at,
        // In no order, so that no search finds it.
        Group::Lasting => {}
    }
    // Inverted, so that the largest head is the first.
    *heads = (place.head_bytes > 0).then(|| u64::MAX.saturating_sub(place.head_bytes));
    keys
}
