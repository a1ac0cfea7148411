//! The fetch budget: how many certificates we fetch for strangers, and how many at once.
//!
//! Anybody can make up addresses that are not cached, and each of them would cost a fetch. So such
//! a fetch is paid for from several token buckets: the bucket of the peer, for IPv6 also the bucket
//! of its site, and the bucket that all peers share. If one of them is empty, nothing is fetched
//! and nothing is deducted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::trust::cache::addresses::ADDRESSES_MAX;
use crate::trust::cache::slot::Slot;

/// The maximum number of concurrent fetches of newcomers: addresses that have not verified a push
/// and are not MNS's own. Strangers can name any number of addresses. An address beyond the limit
/// is looked up on disk and, if no copy is there, waits for a permit, at most for the time limit of
/// a fetch.
pub(super) const FETCHES_MAX: usize = 16;
/// The maximum number of concurrent fetches of known addresses: one for each, so that none waits
/// for another.
const KNOWN_FETCHES_MAX: usize = ADDRESSES_MAX;

/// The rate of a bucket of fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchRate {
    /// How many fetches a full bucket has.
    pub burst: u32,
    /// The time in which a bucket gains one fetch.
    pub refill: Duration,
}

/// The rate for one peer: an IPv4 address or an IPv6 network of 64 bits.
pub const PEER_FETCHES: FetchRate = FetchRate {
    burst: 32,
    refill: Duration::from_secs(10),
};
/// The rate for an IPv6 network of 48 bits: one customer may have such a network, with 65,536 peers
/// in it.
pub const SITE_FETCHES: FetchRate = FetchRate {
    burst: 64,
    refill: Duration::from_secs(5),
};
/// The rate for all peers together.
pub const ALL_FETCHES: FetchRate = FetchRate {
    burst: 256,
    refill: Duration::from_millis(500),
};

/// The permits for concurrent fetches. Newcomers and known addresses have separate permits, so that
/// a known address never waits for addresses that strangers name.
#[derive(Debug)]
pub(super) struct FetchPermits {
    pub(super) newcomers: Semaphore,
    known: Semaphore,
}

impl FetchPermits {
    pub(super) fn new() -> Self {
        Self {
            newcomers: Semaphore::new(FETCHES_MAX),
            known: Semaphore::new(KNOWN_FETCHES_MAX),
        }
    }

    /// The permits for a fetch of the address to which this slot belongs.
    pub(super) fn of(&self, slot: &Slot) -> &Semaphore {
        if slot.is_known() {
            &self.known
        } else {
            &self.newcomers
        }
    }
}

/// The buckets.
///
/// Full buckets are dropped from the map, and only a granted fetch adds buckets, at most two. Each
/// granted fetch also takes from the bucket that all peers share. After its last fetch a bucket is
/// full again within the time that an empty bucket needs to fill. So the map has at most two
/// buckets for each fetch that the shared bucket grants in that time.
#[derive(Debug, Default)]
pub(super) struct FetchBudget {
    buckets: Mutex<Buckets>,
    is_unlimited: bool,
}

/// When each bucket will be full again.
#[derive(Debug, Default)]
struct Buckets {
    all: Option<Instant>,
    networks: HashMap<IpNet, Instant>,
}

impl FetchBudget {
    /// A budget that pays for every fetch.
    pub(super) fn unlimited() -> Self {
        Self {
            is_unlimited: true,
            ..Self::default()
        }
    }

    /// Pays for one fetch. Returns `false` if a bucket is empty.
    pub(super) fn take(&self, peer: IpAddr) -> bool {
        self.is_unlimited || self.buckets().take(peer, Instant::now()).is_some()
    }

    /// Gives one fetch back to a peer: the address that it named has verified a push, so it was not
    /// made up.
    pub(super) fn give_back(&self, peer: IpAddr) {
        self.buckets().give_back(peer);
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buckets {
    fn take(&mut self, peer: IpAddr, now: Instant) -> Option<()> {
        let networks = networks(peer).into_iter().map(|(network, rate)| {
            let full_at = self.networks.get(&network).copied();
            Some((network, rate.take(full_at, now)?))
        });
        // The shared bucket comes last, and nothing is stored until that bucket has paid: a peer
        // that has used up its own bucket takes nothing from the others.
        let networks = networks.collect::<Option<Vec<_>>>()?;
        self.all = Some(ALL_FETCHES.take(self.all, now)?);
        // Drop full buckets here, where the map grows, so that no task has to clean it up.
        self.networks.retain(|_, full_at| *full_at > now);
        self.networks.extend(networks);
        Some(())
    }

    fn give_back(&mut self, peer: IpAddr) {
        // The time may move into the past, which `take` treats as a full bucket.
        self.all = self
            .all
            .and_then(|full_at| full_at.checked_sub(ALL_FETCHES.refill));
        for (network, rate) in networks(peer) {
            let sooner = self
                .networks
                .get(&network)
                .and_then(|full_at| full_at.checked_sub(rate.refill));
            self.networks
                .extend(sooner.map(|full_at| (network, full_at)));
        }
    }
}

impl FetchRate {
    /// Takes one fetch from a bucket. Returns when the bucket will be full again, or `None` if it
    /// is empty.
    fn take(self, full_at: Option<Instant>, now: Instant) -> Option<Instant> {
        // A bucket is stored as the time at which it will be full. So it refills as time passes,
        // without an update.
        let full_at = full_at.unwrap_or(now).max(now).checked_add(self.refill)?;
        (full_at.duration_since(now) <= self.refill.saturating_mul(self.burst)).then_some(full_at)
    }
}

/// The networks whose buckets pay for a peer.
fn networks(peer: IpAddr) -> Vec<(IpNet, FetchRate)> {
    // On a dual-stack socket an IPv4 peer has an IPv6 address. If that address were used, all IPv4
    // peers would share one network.
    let peer = peer.to_canonical();
    let rates: &[(u8, FetchRate)] = match peer {
        IpAddr::V4(_) => &[(32, PEER_FETCHES)],
        IpAddr::V6(_) => &[(64, PEER_FETCHES), (48, SITE_FETCHES)],
    };
    rates
        .iter()
        .filter_map(|(bits, rate)| Some((IpNet::new(peer, *bits).ok()?.trunc(), *rate)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(budget: &FetchBudget, peers: impl IntoIterator<Item = String>) -> usize {
        peers
            .into_iter()
            .filter(|peer| budget.take(peer.parse().unwrap()))
            .count()
    }

    fn fetches(rate: FetchRate) -> usize {
        usize::try_from(rate.burst).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_spends_its_own_bucket_and_not_the_shared_one() {
        let budget = FetchBudget::default();
        let one = |peer: &str| std::iter::repeat_n(peer.to_owned(), 10_000);
        assert_eq!(granted(&budget, one("192.0.2.1")), fetches(PEER_FETCHES));
        assert_eq!(
            granted(&budget, one("::ffff:192.0.2.1")),
            0,
            "the same peer on a socket of both families"
        );
        // The rejected requests of that peer took nothing from the others.
        let others = (0..255).map(|number| format!("198.51.100.{number}"));
        assert_eq!(
            granted(&budget, others),
            fetches(ALL_FETCHES) - fetches(PEER_FETCHES)
        );
        tokio::time::advance(PEER_FETCHES.refill).await;
        assert_eq!(granted(&budget, one("192.0.2.1")), 1);
        tokio::time::advance(PEER_FETCHES.refill * 1000).await;
        assert_eq!(
            granted(&budget, one("192.0.2.1")),
            fetches(PEER_FETCHES),
            "it fills, and does not run over"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_is_given_back_can_be_taken_again_once() {
        let budget = FetchBudget::default();
        let one = || std::iter::repeat_n("2001:db8::1".to_owned(), 10_000);
        budget.give_back("2001:db8::1".parse().unwrap());
        assert_eq!(granted(&budget, one()), fetches(PEER_FETCHES));
        budget.give_back("2001:db8::2".parse().unwrap());
        assert_eq!(granted(&budget, one()), 1);
        (0..1000).for_each(|_| budget.give_back("2001:db8::1".parse().unwrap()));
        assert_eq!(granted(&budget, one()), fetches(PEER_FETCHES));
    }

    #[tokio::test(start_paused = true)]
    async fn all_peers_together_are_bounded_and_the_shared_bucket_refills() {
        let budget = FetchBudget::default();
        let crowd = |net: u8| {
            (0..5000).map(move |number| format!("10.{net}.{}.{}", number / 250, number % 250))
        };
        assert_eq!(granted(&budget, crowd(1)), fetches(ALL_FETCHES));
        tokio::time::advance(ALL_FETCHES.refill * 3).await;
        assert_eq!(granted(&budget, crowd(2)), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ipv6_peer_is_a_64_bit_network_and_a_site_has_a_bound_of_its_own() {
        let budget = FetchBudget::default();
        let host = (0..5000).map(|number| format!("2001:db8::{number:x}"));
        assert_eq!(granted(&budget, host), fetches(PEER_FETCHES));
        let site = (0..5000).map(|number| format!("2001:db8:1:{number:x}::1"));
        assert_eq!(granted(&budget, site), fetches(SITE_FETCHES));
        assert_eq!(granted(&budget, ["2001:db8:2::1".to_owned()]), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_map_of_buckets_is_bounded() {
        let budget = FetchBudget::default();
        let fills = SITE_FETCHES.refill * SITE_FETCHES.burst;
        let in_that_time = fills.as_millis() / ALL_FETCHES.refill.as_millis();
        let bound = (usize::try_from(in_that_time).unwrap() + fetches(ALL_FETCHES)) * 2;
        let mut most = 0;
        for number in 0..20_000 {
            let (high, low) = (number / 65_536, number % 65_536);
            granted(
                &budget,
                [
                    format!("2001:{high:x}:{low:x}::1"),
                    format!("10.0.{}.{}", low / 256, low % 256),
                ],
            );
            most = most.max(budget.buckets.lock().unwrap().networks.len());
            // Advance by less time than the shared bucket needs to gain a fetch, so that the shared
            // bucket bounds the map.
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(most <= bound, "{most} of {bound}");
        tokio::time::advance(fills).await;
        granted(&budget, ["192.0.2.1".to_owned()]);
        assert_eq!(
            budget.buckets.lock().unwrap().networks.len(),
            1,
            "full buckets are dropped"
        );
    }
}
