//! The table of open connections, behind the lock of the slots.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::net::activity::Activity;
use crate::net::limits::LOUD_CONNECTIONS_MIN;
use crate::net::slots::orders::{Keys, Order, Orders, keys};
use crate::net::slots::peers::Peers;

/// The most stale entries that one search files again, so that it does not occupy the lock for
/// long.
pub(super) const EXAMINED_MAX: usize = 64;

/// The open connections, and the order in which they give way.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The number of the next connection.
    next: u64,
    pub(super) open: HashMap<u64, OpenConnection>,
    /// How many of the open ones have given way.
    pub(super) leaving: usize,
    orders: Orders,
    /// The memory for all heads, in bytes.
    pub(super) head_bytes: u64,
    pub(super) peers: Peers,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct OpenConnection {
    activity: Arc<Activity>,
    peer: Option<IpAddr>,
    pub(super) keys: Keys,
    head_bytes: u64,
    is_unproved: bool,
    is_leaving: bool,
}

impl Table {
    /// Returns how many slots are taken. Connections that gave way have no slot any more.
    pub(super) fn taken(&self) -> usize {
        self.open.len().saturating_sub(self.leaving)
    }

    /// Adds a connection.
    pub(super) fn open(&mut self, peer: Option<IpAddr>, close: CancellationToken) -> Arc<Activity> {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.peers.add(peer, number);
        let activity = Arc::new(Activity::new(number, close));
        let entry = OpenConnection {
            activity: activity.clone(),
            peer,
            keys: Keys::default(),
            head_bytes: 0,
            is_unproved: true,
            is_leaving: false,
        };
        self.open.insert(number, entry);
        // Filed at once, so that a search finds a connection that never sends anything.
        self.file(number);
        activity
    }

    /// Removes a connection that has ended. Returns whether it had given way.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        self.unfile(number);
        let gave_way = self
            .open
            .remove(&number)
            .is_some_and(|entry| entry.is_leaving);
        self.leaving = self.leaving.saturating_sub(usize::from(gave_way));
        gave_way
    }

    /// Asks a connection to end. Returns whether it was unproved.
    pub(super) fn evict(&mut self, number: u64) -> Option<bool> {
        self.unfile(number);
        let entry = self.open.get_mut(&number)?;
        entry.is_leaving = true;
        self.leaving = self.leaving.saturating_add(1);
        entry.activity.give_way();
        Some(entry.activity.group().is_unproved())
    }

    /// Removes a connection from everything but the open ones. One that gave way is already
    /// removed.
    fn unfile(&mut self, number: u64) {
        let Some(entry) = self.open.get_mut(&number).filter(|entry| !entry.is_leaving) else {
            return;
        };
        let (before, peer) = (std::mem::take(&mut entry.keys), entry.peer);
        self.head_bytes = self
            .head_bytes
            .saturating_sub(std::mem::take(&mut entry.head_bytes));
        if std::mem::take(&mut entry.is_unproved) {
            self.peers.remove(peer, number);
        }
        self.orders.replace(number, &before, &Keys::default());
    }

    /// Files a connection where it now belongs.
    pub(super) fn file(&mut self, number: u64) {
        let Some(entry) = self.open.get_mut(&number).filter(|entry| !entry.is_leaving) else {
            return;
        };
        let place = entry.activity.file();
        let now = keys(&place);
        let before = std::mem::replace(&mut entry.keys, now);
        self.head_bytes = self
            .head_bytes
            .saturating_sub(entry.head_bytes)
            .saturating_add(place.head_bytes);
        entry.head_bytes = place.head_bytes;
        // From now on it does not count for its peer: only unproved connections make a peer loud.
        if entry.is_unproved && entry.activity.has_accepted() {
            entry.is_unproved = false;
            self.peers.remove(entry.peer, number);
        }
        self.orders.replace(number, &before, &now);
    }

    /// A trusted proxy has named the peer of a connection.
    pub(super) fn relabel(&mut self, number: u64, peer: Option<IpAddr>) {
        let Some(entry) = self
            .open
            .get_mut(&number)
            .filter(|entry| entry.is_unproved && entry.peer != peer)
        else {
            return;
        };
        let before = std::mem::replace(&mut entry.peer, peer);
        self.peers.remove(before, number);
        self.peers.add(peer, number);
    }

    /// Returns the connection that gives way first, in the order described in `slots`.
    pub(super) fn first_to_give_way(&mut self, slots_max: usize, now: u64) -> Option<u64> {
        if let Some(number) = self.first_without_progress(Order::UnprovedWorking, now) {
            return Some(number);
        }
        if let Some((_, number)) = self.first_in(Order::UnprovedIdle) {
            return Some(number);
        }
        if self.orders.count(Order::ProvedWorking) > LOUD_CONNECTIONS_MIN.max(slots_max / 2)
            && let Some((_, number)) = self.first_in(Order::ProvedWorking)
        {
            return Some(number);
        }
        if let Some(number) = self.first_of_the_loudest(now) {
            return Some(number);
        }
        if let Some((_, number)) = self.first_in(Order::UnprovedByAge) {
            return Some(number);
        }
        if let Some(number) = self.first_without_progress(Order::ProvedWorking, now) {
            return Some(number);
        }
        self.first_in(Order::ProvedIdle).map(|(_, number)| number)
    }

    fn first_without_progress(&mut self, order: Order, now: u64) -> Option<u64> {
        self.first_in(order)
            .filter(|(slow_at, _)| *slow_at <= now)
            .map(|(_, number)| number)
    }

    /// Returns the first connection in an order, after filing stale entries again. After
    /// [`EXAMINED_MAX`] of them, returns one that is close to the first.
    pub(super) fn first_in(&mut self, order: Order) -> Option<(u64, u64)> {
        for _ in 0..=EXAMINED_MAX {
            let first = self.orders.first(order)?;
            self.file(first.1);
            if self.orders.first(order) == Some(first) {
                return Some(first);
            }
        }
        let (_, number) = self.orders.first(order)?;
        self.file(number);
        let entry = self.open.get(&number)?;
        let key = entry.keys.get(order as usize).copied().flatten()?;
        Some((key, number))
    }

    fn first_of_the_loudest(&self, now: u64) -> Option<u64> {
        let numbers = self.peers.of_the_loudest(now)?;
        // A connection that has carried no push yet may be receiving one: its head exempts it.
        let is_unproved = |number: &u64| {
            let entry = self.open.get(number);
            entry.is_some_and(|entry| entry.activity.group().is_unproved())
        };
        numbers.iter().take(EXAMINED_MAX).copied().find(is_unproved)
    }
}
