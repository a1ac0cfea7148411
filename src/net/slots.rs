//! The slots of connections: which are taken, and which connection gives way when all are.
//!
//! A connection is proved while its request is one of MNS's, and between requests if it has carried
//! one that was accepted and no duplicate: of a push that somebody has seen, copies can be sent on
//! any number of connections. These give way, in this order:
//! 1. unproved and without progress, the one that has made none for longest first, whoever its peer
//!    is;
//! 2. unproved and idle, the one that has been idle for longest first;
//! 3. while those that are proved and wait for their peers have more than half of the slots, and
//!    are more than 8, the one of them that is closest to making no progress: pushes come whole,
//!    and heads that MNS signed for another account can be sent to anyone;
//! 4. the oldest unproved one of the peer that has most of them, unless that address has sent a
//!    verified push in the last hour: MNS comes from few addresses, often all through one balancer;
//! 5. unproved and making progress, the one whose request began first;
//! 6. proved and without progress;
//! 7. proved and idle, the one that has been idle for longest first.
//!
//! A push that waits for the disk never does. If heads take too much memory, the largest ones go.
//!
//! A connection reports only that it waits for its peer in another group, or further in front, than
//! before. So pushes that arrive whole on a kept connection take no lock. A stale entry sorts too
//! early, and is refiled when it reaches the front.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strum::EnumCount;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::net::Counters;
use crate::net::activity::{Activity, now_ms};
use crate::net::limits::{
    LEAVING_MAX, LOUD_CONNECTIONS_MIN, VERIFIED_PEER_KEPT, VERIFIED_PEERS_MAX,
};

/// How many entries that are out of date are put right in one search, so that nobody waits long for
/// the lock.
const EXAMINED_MAX: usize = 64;

/// Connections that are alike in how readily they give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Group {
    /// Reads, writes or waits for a certificate; ordered by when it stops making progress.
    UnprovedWorking,
    /// Between two requests; ordered by since when.
    UnprovedIdle,
    /// As the first, for a request of MNS's or on a connection that has carried one.
    ProvedWorking,
    /// As the second.
    ProvedIdle,
    /// Waits for the disk, and never gives way.
    Committing,
}

/// The orders in which connections are kept: one for each [`Group`], and two more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount)]
#[repr(usize)]
enum Order {
    UnprovedWorking,
    UnprovedIdle,
    ProvedWorking,
    ProvedIdle,
    /// Those of the first by when their request began. What a peer sends buys it no time here.
    UnprovedByAge,
    /// Those that hold a head, the largest first.
    Heads,
}

/// Where a connection stands in each order; `None` where it is not in it.
type Places = [Option<u64>; Order::COUNT];

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    slots_max: usize,
    head_bytes_max: u64,
    counters: Arc<Counters>,
    table: Mutex<Table>,
    /// One that gave way has ended.
    left: Notify,
}

/// A slot, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) activity: Arc<Activity>,
    slots: Arc<Slots>,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// Every connection is proved and busy.
    AllBusy,
    /// [`LEAVING_MAX`] connections that gave way have not ended yet.
    Leaving,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Entry>,
    /// Of those that are open, the ones that gave way.
    leaving: usize,
    orders: [BTreeSet<(u64, u64)>; Order::COUNT],
    head_bytes: u64,
    peers: Peers,
}

#[derive(Debug)]
struct Entry {
    activity: Arc<Activity>,
    peer: Option<IpAddr>,
    places: Places,
    head_bytes: u64,
    is_unproved: bool,
    is_leaving: bool,
}

/// The peers of connections that have not carried a verified push.
#[derive(Debug, Default)]
struct Peers {
    unproved: HashMap<IpAddr, BTreeSet<u64>>,
    loudest: BTreeSet<(usize, IpAddr)>,
    /// When an address last sent a verified push, in ms of [`now_ms`].
    verified: HashMap<IpAddr, u64>,
}

impl Slots {
    /// `slots_max` connections, whose unanswered heads take `head_bytes_max` bytes together.
    pub(super) fn new(slots_max: usize, head_bytes_max: u64, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            slots_max,
            head_bytes_max,
            counters,
            table: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// A slot for a new connection. If all are taken another connection gives way. `peer` is `None`
    /// until a trusted proxy has said who it is.
    ///
    /// # Errors
    /// [`NoSlot`]
    pub(super) fn take(
        self: &Arc<Self>,
        peer: Option<IpAddr>,
        close: CancellationToken,
    ) -> Result<Slot, NoSlot> {
        let mut table = self.table();
        if table.taken() >= self.slots_max {
            if table.leaving >= LEAVING_MAX {
                return Err(NoSlot::Leaving);
            }
            let number = table
                .first_to_give_way(self.slots_max, now_ms())
                .ok_or(NoSlot::AllBusy)?;
            self.evict(&mut table, number);
        }
        let number = table.next;
        table.next = number.wrapping_add(1);
        let activity = Arc::new(Activity::new(number, self.clone(), close));
        table.insert(number, activity.clone(), peer.map(network));
        Ok(Slot {
            activity,
            slots: self.clone(),
        })
    }

    /// Waits until a connection that gave way has ended.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }

    /// Puts a connection where it belongs now. If heads hold too much, connections with one give
    /// way.
    pub(super) fn file(&self, number: u64) {
        let mut table = self.table();
        table.refresh(number);
        while table.head_bytes > self.head_bytes_max
            && let Some((_, largest)) = table.first_in(Order::Heads)
        {
            self.evict(&mut table, largest);
        }
        self.publish_head_bytes(&table);
    }

    /// A request says that it comes from `peer`, through a proxy whose word is taken.
    pub(super) fn note_peer(&self, number: u64, peer: IpAddr) {
        self.table().relabel(number, Some(network(peer)));
    }

    /// An address has sent a verified push.
    pub(super) fn note_verified_peer(&self, peer: IpAddr) {
        self.table().peers.note_verified(network(peer), now_ms());
    }

    fn evict(&self, table: &mut Table, number: u64) {
        if let Some(is_unproved) = table.evict(number) {
            let counters = &self.counters;
            let count = if is_unproved {
                &counters.evicted_unproved
            } else {
                &counters.evicted_proved
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn publish_head_bytes(&self, table: &Table) {
        let gauge: &AtomicU64 = &self.counters.head_bytes;
        gauge.store(table.head_bytes, Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.slots.table();
        let gave_way = table.remove(self.activity.number);
        self.slots.publish_head_bytes(&table);
        drop(table);
        if gave_way {
            self.slots.left.notify_one();
        }
    }
}

impl Table {
    fn taken(&self) -> usize {
        self.open.len().saturating_sub(self.leaving)
    }

    fn insert(&mut self, number: u64, activity: Arc<Activity>, peer: Option<IpAddr>) {
        self.peers.add(peer, number);
        let places = Places::default();
        let entry = Entry {
            activity,
            peer,
            places,
            head_bytes: 0,
            is_unproved: true,
            is_leaving: false,
        };
        self.open.insert(number, entry);
        self.refresh(number);
    }

    /// Gives whether it had given way.
    fn remove(&mut self, number: u64) -> bool {
        self.forget(number);
        let gave_way = self
            .open
            .remove(&number)
            .is_some_and(|entry| entry.is_leaving);
        self.leaving = self.leaving.saturating_sub(usize::from(gave_way));
        gave_way
    }

    /// Asks a connection to end; gives whether it was unproved.
    fn evict(&mut self, number: u64) -> Option<bool> {
        self.forget(number);
        let entry = self.open.get_mut(&number)?;
        entry.is_leaving = true;
        self.leaving = self.leaving.saturating_add(1);
        entry.activity.give_way();
        Some(matches!(
            entry.activity.group(),
            Group::UnprovedWorking | Group::UnprovedIdle
        ))
    }

    /// Takes a connection out of everything but the open ones. One that gave way is out already.
    fn forget(&mut self, number: u64) {
        let Some(entry) = self.open.get_mut(&number).filter(|entry| !entry.is_leaving) else {
            return;
        };
        let (places, peer) = (std::mem::take(&mut entry.places), entry.peer);
        self.head_bytes = self
            .head_bytes
            .saturating_sub(std::mem::take(&mut entry.head_bytes));
        if std::mem::take(&mut entry.is_unproved) {
            self.peers.remove(peer, number);
        }
        self.replace(number, &places, &Places::default());
    }

    fn refresh(&mut self, number: u64) {
        let Some(entry) = self.open.get_mut(&number).filter(|entry| !entry.is_leaving) else {
            return;
        };
        let activity = entry.activity.clone();
        activity.begin_filing();
        let (group, head_bytes) = (activity.group(), activity.head_bytes());
        let place = activity.place(group);
        let now = places(group, place, activity.began_ms(), head_bytes);
        let before = std::mem::replace(&mut entry.places, now);
        self.head_bytes = self
            .head_bytes
            .saturating_sub(entry.head_bytes)
            .saturating_add(head_bytes);
        entry.head_bytes = head_bytes;
        activity.set_filed(group, place, head_bytes);
        if entry.is_unproved && activity.has_accepted() {
            entry.is_unproved = false;
            self.peers.remove(entry.peer, number);
        }
        self.replace(number, &before, &now);
    }

    fn replace(&mut self, number: u64, before: &Places, now: &Places) {
        for ((order, before), now) in self.orders.iter_mut().zip(before).zip(now) {
            if before != now {
                before.map(|place| order.remove(&(place, number)));
                now.map(|place| order.insert((place, number)));
            }
        }
    }

    fn relabel(&mut self, number: u64, peer: Option<IpAddr>) {
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

    /// The order is that of the page.
    fn first_to_give_way(&mut self, slots_max: usize, now: u64) -> Option<u64> {
        if let Some(number) = self.first_without_progress(Order::UnprovedWorking, now) {
            return Some(number);
        }
        if let Some((_, number)) = self.first_in(Order::UnprovedIdle) {
            return Some(number);
        }
        if self.count(Order::ProvedWorking) > LOUD_CONNECTIONS_MIN.max(slots_max / 2)
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

    /// Returns the first in an order, after refiling stale entries. After [`EXAMINED_MAX`] of them
    /// one that is close to the first will do.
    fn first_in(&mut self, order: Order) -> Option<(u64, u64)> {
        for _ in 0..=EXAMINED_MAX {
            let first = self.first_filed(order)?;
            self.refresh(first.1);
            if self.first_filed(order) == Some(first) {
                return Some(first);
            }
        }
        let (_, number) = self.first_filed(order)?;
        self.refresh(number);
        let place = self
            .open
            .get(&number)?
            .places
            .get(order as usize)
            .copied()
            .flatten();
        place.map(|place| (place, number))
    }

    fn count(&self, order: Order) -> usize {
        self.orders.get(order as usize).map_or(0, BTreeSet::len)
    }

    fn first_filed(&self, order: Order) -> Option<(u64, u64)> {
        self.orders.get(order as usize)?.first().copied()
    }

    fn first_of_the_loudest(&self, now: u64) -> Option<u64> {
        let numbers = self.peers.of_the_loudest(now)?;
        let is_unproved = |number: &u64| {
            let group = self.open.get(number).map(|entry| entry.activity.group());
            matches!(group, Some(Group::UnprovedWorking | Group::UnprovedIdle))
        };
        numbers.iter().take(EXAMINED_MAX).copied().find(is_unproved)
    }
}

fn places(group: Group, place: u64, began: u64, head_bytes: u64) -> Places {
    let mut places = Places::default();
    let [
        unproved_working,
        unproved_idle,
        proved_working,
        proved_idle,
        unproved_by_age,
        heads,
    ] = &mut places;
    match group {
        Group::UnprovedWorking => {
            (*unproved_working, *unproved_by_age) = (Some(place), Some(began))
        }
        Group::UnprovedIdle => *unproved_idle = Some(place),
        Group::ProvedWorking => *proved_working = Some(place),
        Group::ProvedIdle => *proved_idle = Some(place),
        Group::Committing => {}
    }
    *heads = (head_bytes > 0).then(|| u64::MAX.saturating_sub(head_bytes));
    places
}

impl Peers {
    fn add(&mut self, peer: Option<IpAddr>, number: u64) {
        self.change(peer, |numbers| numbers.insert(number));
    }

    fn remove(&mut self, peer: Option<IpAddr>, number: u64) {
        self.change(peer, |numbers| numbers.remove(&number));
    }

    fn change(&mut self, peer: Option<IpAddr>, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let Some(peer) = peer else { return };
        let numbers = self.unproved.entry(peer).or_default();
        self.loudest.remove(&(numbers.len(), peer));
        let is_changed = change(numbers);
        debug_assert!(is_changed, "a connection is counted once for a peer");
        match numbers.len() {
            0 => drop(self.unproved.remove(&peer)),
            count => drop(self.loudest.insert((count, peer))),
        }
    }

    fn note_verified(&mut self, peer: IpAddr, now: u64) {
        self.verified.insert(peer, now);
        if self.verified.len() > VERIFIED_PEERS_MAX {
            let oldest = self
                .verified
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(peer, _)| *peer);
            oldest.map(|oldest| self.verified.remove(&oldest));
        }
    }

    fn of_the_loudest(&self, now: u64) -> Option<&BTreeSet<u64>> {
        let is_known = |peer: &IpAddr| {
            let verified = self.verified.get(peer);
            verified.is_some_and(|at| {
                Duration::from_millis(now.saturating_sub(*at)) < VERIFIED_PEER_KEPT
            })
        };
        let loud = self
            .loudest
            .iter()
            .rev()
            .take_while(|(count, _)| *count >= LOUD_CONNECTIONS_MIN);
        let (_, peer) = loud.into_iter().find(|(_, peer)| !is_known(peer))?;
        self.unproved.get(peer)
    }
}

/// What counts as one peer: an IPv4 address or an IPv6 network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        peer @ IpAddr::V4(_) => peer,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::net::activity::Phase;

    fn slots(count: usize) -> (Arc<Slots>, Arc<Counters>) {
        let counters: Arc<Counters> = Arc::default();
        (Slots::new(count, 2000, counters.clone()), counters)
    }

    fn take(slots: &Arc<Slots>, peer: Option<&str>) -> Slot {
        slots
            .take(
                peer.map(|peer| peer.parse().unwrap()),
                CancellationToken::new(),
            )
            .unwrap()
    }

    /// A head of so many bytes that is not complete.
    fn send_head(slot: &Slot, bytes: usize) {
        slot.activity.note_read(&vec![b'x'; bytes]);
        slot.activity.wait();
    }

    /// A push up to where it waits for the disk. It has come whole.
    fn begin_push(slot: &Slot) {
        slot.activity.note_read(b"POST / HTTP/1.1\r\n\r\n");
        slot.activity.begin_request(Some(1));
        slot.activity.note_admitted();
        slot.activity.note_accepted([192, 0, 2, 9].into());
    }

    fn end_push(slot: &Slot) {
        slot.activity.end_request();
        slot.activity.note_flushed();
        slot.activity.wait();
    }

    fn gone(slots: &[Slot]) -> Vec<usize> {
        let gone = slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.activity.gives_way());
        gone.map(|(at, _)| at).collect()
    }

    #[test]
    fn heads_give_way_by_size_and_connections_without_one_do_not() {
        let (slots, counters) = slots(100);
        let all: Vec<_> = (0..5).map(|_| take(&slots, None)).collect();
        for (slot, bytes) in all[1..].iter().zip([300, 900, 100, 900]) {
            send_head(slot, bytes);
        }
        assert_eq!(gone(&all), [2], "the first of the largest");
        assert_eq!(counters.head_bytes.load(Ordering::Relaxed), 1300);
        assert_eq!(counters.evicted_unproved.load(Ordering::Relaxed), 1);
        // What is behind a request counts on when more of it comes.
        let mut bytes = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        bytes.extend_from_slice(&[b'x'; 600]);
        all[0].activity.note_read(&bytes);
        all[0].activity.begin_request(Some(0));
        end_push(&all[0]);
        assert_eq!(
            (all[0].activity.phase(), all[0].activity.head_bytes()),
            (Phase::Behind, 600)
        );
        send_head(&all[0], 1);
        assert_eq!(
            (all[0].activity.phase(), all[0].activity.head_bytes()),
            (Phase::Head, 601)
        );
        drop(all);
        assert_eq!(counters.head_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_push_that_waits_for_the_disk_never_gives_way_however_stale_its_entry_is() {
        let count = EXAMINED_MAX + 10;
        let (slots, counters) = slots(count);
        let all: Vec<_> = (0..count).map(|_| take(&slots, None)).collect();
        for slot in &all {
            begin_push(slot);
            end_push(slot);
            begin_push(slot);
        }
        let none = slots.take(None, CancellationToken::new());
        assert_eq!((none.err(), gone(&all)), (Some(NoSlot::AllBusy), vec![]));
        // One whose answer nobody reads is found again.
        all[7].activity.end_request();
        all[7].activity.wait();
        end_push(&all[9]);
        drop(take(&slots, None));
        assert_eq!(
            (gone(&all), counters.evicted_proved.load(Ordering::Relaxed)),
            (vec![9], 1)
        );
    }

    #[test]
    fn heads_that_mns_signed_hold_half_of_the_slots_at_most_against_newcomers() {
        let (slots, _) = slots(20);
        let all: Vec<_> = (0..20).map(|_| take(&slots, None)).collect();
        for slot in &all {
            slot.activity.note_read(b"POST / HTTP/1.1\r\n\r\n");
            slot.activity.begin_request(Some(1));
            slot.activity.note_proved_head();
        }
        let newcomers: Vec<_> = (0..10).map(|_| take(&slots, None)).collect();
        assert_eq!((gone(&all), gone(&newcomers)), ((0..10).collect(), vec![]));
        let more: Vec<_> = (0..3).map(|_| take(&slots, None)).collect();
        assert_eq!(
            (gone(&all).len(), gone(&newcomers), gone(&more)),
            (10, vec![0, 1, 2], vec![])
        );
    }

    #[test]
    fn so_many_may_be_leaving_and_a_place_is_free_when_one_has_left() {
        let (slots, _) = slots(LEAVING_MAX * 2);
        let mut all: Vec<_> = (0..LEAVING_MAX * 3).map(|_| take(&slots, None)).collect();
        assert_eq!(
            gone(&all),
            (0..LEAVING_MAX).collect::<Vec<_>>(),
            "the oldest first"
        );
        assert_eq!(
            slots.take(None, CancellationToken::new()).err(),
            Some(NoSlot::Leaving)
        );
        drop(all.remove(0));
        drop(take(&slots, None));
    }

    #[test]
    fn a_peer_is_an_ipv4_address_or_an_ipv6_network_and_one_that_has_sent_a_push_is_not_the_loud_one_for_an_hour()
     {
        let mut peers = Peers::default();
        let peer = |text: &str| Some(network(text.parse().unwrap()));
        for number in 0..10 {
            peers.add(peer(&format!("2001:db8::{number}")), number);
            peers.add(peer(&format!("2001:db8:0:{number}::1")), 100 + number);
            peers.add(
                peer(&format!("::ffff:192.0.2.{}", number / 9)),
                200 + number,
            );
        }
        let loudest = |peers: &Peers, now| {
            peers
                .of_the_loudest(now)
                .and_then(|numbers| numbers.first().copied())
        };
        assert_eq!(loudest(&peers, 5), Some(0));
        peers.note_verified(network("2001:db8::77".parse().unwrap()), 5);
        assert_eq!(loudest(&peers, 5), Some(200));
        let hour = u64::try_from(VERIFIED_PEER_KEPT.as_millis()).unwrap();
        assert_eq!(
            (loudest(&peers, 4 + hour), loudest(&peers, 5 + hour)),
            (Some(200), Some(0))
        );
        (0..=VERIFIED_PEERS_MAX).for_each(|number| {
            peers.note_verified([10, 0, 0, 0].into(), u64::try_from(number).unwrap())
        });
        for number in 0..5000_u32 {
            peers.note_verified(IpAddr::from(number.to_be_bytes()), 9);
        }
        assert!(peers.verified.len() <= VERIFIED_PEERS_MAX);
    }

    #[test]
    fn a_wait_beside_a_search_is_not_lost() {
        const ROUNDS: usize = 20_000;
        let (slots, _) = slots(4);
        let slot = take(&slots, None);
        let (turn, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Spins at first, since the race needs both at the same time, but gives way where one core
        // has to do for both.
        let wait = |counter: &AtomicUsize, round| {
            for look in 0.. {
                match counter.load(Ordering::SeqCst) {
                    reached if reached >= round => break,
                    _ if look < 1000 => std::hint::spin_loop(),
                    _ => std::thread::yield_now(),
                }
            }
        };
        let mut lost = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    wait(&turn, round);
                    slots.table().refresh(slot.activity.number);
                    done.store(round, Ordering::SeqCst);
                }
            });
            for round in 1..=ROUNDS {
                begin_push(&slot);
                end_push(&slot);
                begin_push(&slot);
                turn.store(round, Ordering::SeqCst);
                (0..round % 64).for_each(|_| std::hint::spin_loop());
                end_push(&slot);
                wait(&done, round);
                let places = slots.table().open[&slot.activity.number].places;
                // Counted, since a panic here would leave the other thread behind.
                lost += usize::from(places[Order::ProvedIdle as usize].is_none());
            }
        });
        assert_eq!(lost, 0);
    }
}
