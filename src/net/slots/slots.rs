//! The slots, behind one lock.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::net::Counters;
use crate::net::activity::{Activity, now_ms};
use crate::net::limits::LEAVING_MAX;
use crate::net::slots::orders::Order;
use crate::net::slots::peers::network;
use crate::net::slots::table::Table;

/// All slots.
#[derive(Debug)]
pub(in crate::net) struct Slots {
    slots_max: usize,
    head_bytes_max: u64,
    counters: Arc<Counters>,
    table: Mutex<Table>,
    /// Signals that a connection that gave way has ended.
    left: Notify,
}

/// A slot. It is given back when dropped.
#[derive(Debug)]
pub(in crate::net) struct Slot {
    pub(in crate::net) activity: Arc<Activity>,
    pub(in crate::net) slots: Arc<Slots>,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum NoSlot {
    /// Every connection is proved and busy.
    AllBusy,
    /// [`LEAVING_MAX`] connections that gave way have not ended yet.
    Leaving,
}

impl Slots {
    /// Slots for `slots_max` connections, whose unanswered heads take at most `head_bytes_max`
    /// bytes together.
    pub(in crate::net) fn new(
        slots_max: usize,
        head_bytes_max: u64,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            slots_max,
            head_bytes_max,
            counters,
            table: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Returns a slot for a new connection. If all are taken another connection gives way. `peer`
    /// is `None` until a trusted proxy has named it.
    ///
    /// # Errors
    /// [`NoSlot`]
    pub(in crate::net) fn take(
        self: &Arc<Self>,
        peer: Option<IpAddr>,
        close: CancellationToken,
    ) -> Result<Slot, NoSlot> {
        let mut table = self.table();
        if table.taken() >= self.slots_max {
            // An evicted connection has its file descriptor until it ends, so their number is
            // bounded.
            if table.leaving >= LEAVING_MAX {
                return Err(NoSlot::Leaving);
            }
            let number = table
                .first_to_give_way(self.slots_max, now_ms())
                .ok_or(NoSlot::AllBusy)?;
            self.evict(&mut table, number);
        }
        Ok(Slot {
            activity: table.open(peer.map(network), close),
            slots: self.clone(),
        })
    }

    /// Waits until a connection that gave way has ended.
    pub(in crate::net) async fn left(&self) {
        self.left.notified().await;
    }

    /// Files a connection where it now belongs. If heads take too much memory, connections with a
    /// head give way.
    pub(in crate::net) fn file(&self, number: u64) {
        let mut table = self.table();
        table.file(number);
        // This ends: an eviction subtracts the head at once, although its memory is freed only when
        // the connection ends.
        while table.head_bytes > self.head_bytes_max
            && let Some((_, largest)) = table.first_in(Order::Heads)
        {
            self.evict(&mut table, largest);
        }
        self.publish_head_bytes(&table);
    }

    /// A trusted proxy named `peer` as the sender of a connection or of its request.
    pub(in crate::net) fn note_peer(&self, number: u64, peer: IpAddr) {
        self.table().relabel(number, Some(network(peer)));
    }

    /// An address has sent a verified push.
    pub(in crate::net) fn note_verified_peer(&self, peer: IpAddr) {
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
        // Dropped before the waiter is woken, which would otherwise wait for the lock at once.
        drop(table);
        if gave_way {
            // Not `notify_waiters`: it would be lost if the accept loop does not wait yet.
            self.slots.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::net::activity::Phase;
    use crate::net::slots::table::EXAMINED_MAX;
    use crate::net::tracker::Tracker;

    /// A connection that has a slot.
    struct Open {
        activity: Arc<Activity>,
        tracker: Tracker,
        _slot: Slot,
    }

    fn slots(count: usize) -> (Arc<Slots>, Arc<Counters>) {
        let counters: Arc<Counters> = Arc::default();
        // Four heads of 300, 900, 100 and 900 bytes are more, and less once one of the largest is
        // gone.
        (Slots::new(count, 2000, counters.clone()), counters)
    }

    fn take(slots: &Arc<Slots>, peer: Option<&str>) -> Open {
        let peer = peer.map(|peer| peer.parse().unwrap());
        let slot = slots.take(peer, CancellationToken::new()).unwrap();
        Open {
            activity: slot.activity.clone(),
            tracker: Tracker::of(&slot),
            _slot: slot,
        }
    }

    /// Sends an incomplete head of this size.
    fn send_head(slot: &Open, bytes: usize) {
        slot.activity.note_read(&vec![b'x'; bytes]);
        slot.tracker.wait();
    }

    /// Sends a complete push, which then waits for the disk.
    fn begin_push(slot: &Open) {
        slot.activity.note_read(b"POST / HTTP/1.1\r\n\r\n");
        slot.activity.begin_request(Some(1));
        slot.activity.note_admitted();
        slot.tracker.note_accepted([192, 0, 2, 9].into());
    }

    fn end_push(slot: &Open) {
        slot.activity.end_request();
        slot.activity.note_flushed();
        slot.tracker.wait();
    }

    fn gone(slots: &[Open]) -> Vec<usize> {
        let gone = slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.activity.gives_way());
        gone.map(|(at, _)| at).collect()
    }

    #[test]
    fn connections_give_way_by_the_size_of_their_heads_and_those_without_one_do_not() {
        let (slots, counters) = slots(100);
        let all: Vec<_> = (0..5).map(|_| take(&slots, None)).collect();
        for (slot, bytes) in all[1..].iter().zip([300, 900, 100, 900]) {
            send_head(slot, bytes);
        }
        assert_eq!(gone(&all), [2], "the first of the largest");
        assert_eq!(counters.head_bytes.load(Ordering::Relaxed), 1300);
        assert_eq!(counters.evicted_unproved.load(Ordering::Relaxed), 1);
        // Bytes that arrived after a request still count when more arrive.
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
        // More than one search examines: all of them are stale, and none may be taken for idle.
        let count = EXAMINED_MAX + 10;
        let (slots, counters) = slots(count);
        let all: Vec<_> = (0..count).map(|_| take(&slots, None)).collect();
        for slot in &all {
            // The entry becomes stale: it is filed as idle after the first push, and not again for
            // the second.
            begin_push(slot);
            end_push(slot);
            begin_push(slot);
        }
        let none = slots.take(None, CancellationToken::new());
        assert_eq!((none.err(), gone(&all)), (Some(NoSlot::AllBusy), vec![]));
        // A connection whose answer nobody reads is found again.
        all[7].activity.end_request();
        all[7].tracker.wait();
        end_push(&all[9]);
        drop(take(&slots, None));
        assert_eq!(
            (gone(&all), counters.evicted_proved.load(Ordering::Relaxed)),
            (vec![9], 1)
        );
    }

    #[test]
    fn heads_that_mns_signed_occupy_at_most_half_of_the_slots_against_newcomers() {
        let (slots, _) = slots(20);
        let all: Vec<_> = (0..20).map(|_| take(&slots, None)).collect();
        for slot in &all {
            slot.activity.note_read(b"POST / HTTP/1.1\r\n\r\n");
            slot.activity.begin_request(Some(1));
            slot.tracker.note_proved_head();
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
    fn at_most_64_connections_may_be_leaving_and_the_next_slot_is_free_when_one_has_left() {
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
    fn a_wait_beside_a_search_is_not_lost() {
        const ROUNDS: usize = 20_000;
        let (slots, _) = slots(4);
        let slot = take(&slots, None);
        let (turn, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Spins at first, because the race needs both threads at the same time, but yields in case
        // there is only one core for both.
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
                    slots.table().file(slot.activity.number);
                    done.store(round, Ordering::SeqCst);
                }
            });
            for round in 1..=ROUNDS {
                begin_push(&slot);
                end_push(&slot);
                begin_push(&slot);
                turn.store(round, Ordering::SeqCst);
                // Another delay in each round, so that the two threads meet at different steps.
                (0..round % 64).for_each(|_| std::hint::spin_loop());
                end_push(&slot);
                wait(&done, round);
                let keys = slots.table().open[&slot.activity.number].keys;
                // Counted, because a panic here would leave the other thread running.
                lost += usize::from(keys[Order::ProvedIdle as usize].is_none());
            }
        });
        assert_eq!(lost, 0);
    }
}
