//! The place under which a connection is filed. The connection reads it without a lock.
//!
//! Two threads meet here. The connection changes its phase without a lock, and asks to be filed
//! again only if that moved its place to the front. A search for a connection that gives way may
//! file any connection again at any time, under the lock of the slots. Each side writes one value
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
//! One of the two fences comes first. If the search's does, the connection does not read the place
//! from before the search: it reads `UNFILED` or the place of step 4, and compares that with its
//! own. If the connection's does, the search reads the new phase. With weaker orderings both could
//! read the old value: the search would file the connection as busy, while the connection takes the
//! old place, idle, for its current one. A connection that should give way would then be in no
//! order until its next request.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use crate::net::activity::place::Place;

/// No group: the place is being read.
const UNFILED: u8 = u8::MAX;

/// The place under which the slots have a connection.
#[derive(Debug)]
pub(super) struct Filed {
    /// A `Group`, or [`UNFILED`]. Written last, so that whoever reads it also reads the other two.
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

    /// Files the connection under the place that `read` returns. Call it only under the lock of the
    /// slots.
    pub(super) fn file(&self, read: impl FnOnce() -> Place) -> Place {
        self.group.store(UNFILED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let place = read();
        self.at.store(place.at, Ordering::Relaxed);
        self.head_bytes.store(place.head_bytes, Ordering::Relaxed);
        self.group.store(place.group as u8, Ordering::Release);
        place
    }

    /// Whether the connection is filed where `read` says that it belongs, or in front of that. In
    /// front, a search finds it too early and files it again.
    pub(super) fn serves_for(&self, read: impl FnOnce() -> Place) -> bool {
        fence(Ordering::SeqCst);
        let place = read();
        self.group.load(Ordering::Acquire) == place.group as u8
            && self.head_bytes.load(Ordering::Relaxed) == place.head_bytes
            && self.at.load(Ordering::Relaxed) <= place.at
    }
}

#[cfg(test)]
mod tests {
    use std::hint::{black_box, spin_loop};
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;
    use crate::net::activity::place::Group;

    /// Enough rounds that a missing fence is noticed in every run. They take about a second.
    const ROUNDS: usize = 5000;
    const RACES: usize = 16;

    /// A value on its own cache line.
    #[repr(align(128))]
    struct Line<T>(T);

    /// A connection that becomes idle while a search files it.
    struct Race {
        filed: Line<Filed>,
        is_idle: Line<AtomicBool>,
        /// The connection decided not to ask to be filed again.
        is_content: Line<AtomicBool>,
        /// The search has filed the connection as idle.
        is_found: Line<AtomicBool>,
    }

    const IDLE: Place = Place {
        group: Group::ProvedIdle,
        at: 5,
        began: 0,
        head_bytes: 0,
    };
    const BUSY: Place = Place {
        group: Group::Lasting,
        at: u64::MAX,
        ..IDLE
    };

    impl Race {
        fn new() -> Self {
            Self {
                filed: Line(Filed::nowhere()),
                is_idle: Line(AtomicBool::new(false)),
                is_content: Line(AtomicBool::new(false)),
                is_found: Line(AtomicBool::new(false)),
            }
        }

        /// The connection was filed as idle and is now busy.
        fn prepare(&self) {
            self.is_idle.0.store(false, Ordering::Relaxed);
            self.filed.0.file(|| IDLE);
        }

        /// Brings both lines into this core's cache. A store then has to wait until the other core
        /// has invalidated its copy, and without a fence the following load does not wait for it.
        fn look(&self) {
            let idle = self.is_idle.0.load(Ordering::Relaxed);
            black_box((idle, self.filed.0.group.load(Ordering::Relaxed)));
        }

        fn wait(&self) {
            self.is_idle.0.store(true, Ordering::Release);
            let is_content = self.filed.0.serves_for(|| IDLE);
            self.is_content.0.store(is_content, Ordering::Relaxed);
        }

        fn search(&self) {
            let read = || {
                if self.is_idle.0.load(Ordering::Acquire) {
                    IDLE
                } else {
                    BUSY
                }
            };
            let place = self.filed.0.file(read);
            let is_found = place.group == Group::ProvedIdle;
            self.is_found.0.store(is_found, Ordering::Relaxed);
        }

        fn is_lost(&self) -> bool {
            self.is_content.0.load(Ordering::Relaxed) && !self.is_found.0.load(Ordering::Relaxed)
        }
    }

    /// Returns when both threads have arrived for the `round`-th time. Spins at first, because the
    /// race needs both at the same time, but yields in case there is only one core for both.
    fn meet(arrived: &AtomicUsize, round: usize) {
        arrived.fetch_add(1, Ordering::SeqCst);
        for look in 0.. {
            match arrived.load(Ordering::SeqCst) {
                count if count >= round.saturating_mul(2) => return,
                _ if look < 1000 => spin_loop(),
                _ => thread::yield_now(),
            }
        }
    }

    /// Pins this thread to the first or the last core that it may use: two threads on the same core
    /// never race. On a machine with one core this tests nothing.
    fn pin(is_first: bool) {
        let allowed = sched_getaffinity(None).unwrap();
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let core = if is_first {
            cores.next()
        } else {
            cores.next_back()
        };
        let mut own = CpuSet::new();
        own.set(core.unwrap());
        sched_setaffinity(None, &own).unwrap();
    }

    #[test]
    fn a_connection_that_becomes_idle_beside_a_search_is_filed_as_idle() {
        let races: Vec<Race> = (0..RACES).map(|_| Race::new()).collect();
        let [ready, start, end] = [const { AtomicUsize::new(0) }; 3];
        let lost = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                pin(true);
                for round in 1..=ROUNDS {
                    meet(&ready, round);
                    races.iter().for_each(Race::look);
                    meet(&start, round);
                    races.iter().for_each(Race::search);
                    meet(&end, round);
                }
            });
            scope.spawn(|| {
                pin(false);
                for round in 1..=ROUNDS {
                    races.iter().for_each(Race::prepare);
                    meet(&ready, round);
                    races.iter().for_each(Race::look);
                    meet(&start, round);
                    races.iter().for_each(Race::wait);
                    meet(&end, round);
                    let count = races.iter().filter(|race| race.is_lost()).count();
                    lost.fetch_add(count, Ordering::Relaxed);
                }
            });
        });
        assert_eq!(lost.into_inner(), 0);
    }
}
