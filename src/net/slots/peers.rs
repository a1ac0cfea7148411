//! The peers of unproved connections: which has the most, and which have sent a verified push.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::net::limits::{LOUD_CONNECTIONS_MIN, VERIFIED_PEER_KEPT, VERIFIED_PEERS_MAX};

/// The peers of connections that have not carried a verified push.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// The numbers of their connections.
    unproved: HashMap<IpAddr, BTreeSet<u64>>,
    /// The same peers, ordered by their number of connections.
    loudest: BTreeSet<(usize, IpAddr)>,
    /// When each address last sent a verified push, in ms.
    verified: HashMap<IpAddr, u64>,
}

impl Peers {
    /// Counts a connection for a peer. `None` until a trusted proxy has named the peer.
    pub(super) fn add(&mut self, peer: Option<IpAddr>, number: u64) {
        self.change(peer, |numbers| numbers.insert(number));
    }

    /// Stops counting a connection for a peer.
    pub(super) fn remove(&mut self, peer: Option<IpAddr>, number: u64) {
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

    /// Records that a peer has sent a verified push. Beyond [`VERIFIED_PEERS_MAX`] peers the oldest
    /// is evicted, which bounds the map.
    pub(super) fn note_verified(&mut self, peer: IpAddr, now: u64) {
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

    /// Returns the connections of the peer that has the most, the oldest first. Peers with few
    /// connections, or with a verified push within [`VERIFIED_PEER_KEPT`], are exempt.
    pub(super) fn of_the_loudest(&self, now: u64) -> Option<&BTreeSet<u64>> {
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

/// Returns what counts as one peer: an IPv4 address, or an IPv6 network of 64 bits, because whoever
/// has one address in it has the whole network.
pub(super) fn network(peer: IpAddr) -> IpAddr {
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
    use super::*;

    #[test]
    fn a_peer_is_an_address_or_network_and_never_the_loudest_within_an_hour_of_a_push() {
        let mut peers = Peers::default();
        let peer = |text: &str| Some(network(text.parse().unwrap()));
        // Eleven connections from one network of 64 bits, nine from one IPv4 address, and the
        // others each from another peer.
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
}
