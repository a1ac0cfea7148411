//! Limits how many wrong tokens an address may try, so that nobody can guess the right one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many wrong tokens an address may try in one [`WINDOW`] on paths that show messages. Beyond
/// it its tokens are not compared.
pub(super) const WRONG_MAX: u32 = 5;
/// The same for metrics and health. Higher, so that somebody's mistyped token does not lock out a
/// scraper behind the same address.
pub(super) const WRONG_FOR_METRICS_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);
/// The most addresses that are counted separately. Further ones are counted together, as one.
const ADDRESSES_MAX: usize = 1024;

/// The number of wrong tokens by address in the current second.
#[derive(Debug, Default)]
pub(super) struct WrongTokens(Mutex<Wrong>);

#[derive(Debug, Default)]
struct Wrong {
    since: Option<Instant>,
    counts: HashMap<IpAddr, u32>,
    others: u32,
}

impl WrongTokens {
    /// Whether the address has tried too many. The right token is then refused as well: otherwise a
    /// different answer would reveal it.
    pub(super) fn are_too_many(&self, peer: IpAddr, allowed: u32) -> bool {
        let mut wrong = self.now();
        *wrong.count(peer) >= allowed
    }

    pub(super) fn note(&self, peer: IpAddr) {
        let mut wrong = self.now();
        let count = wrong.count(peer);
        *count = count.saturating_add(1);
    }

    fn now(&self) -> MutexGuard<'_, Wrong> {
        let mut wrong = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.since.is_none_or(|since| since.elapsed() >= WINDOW) {
            *wrong = Wrong {
                since: Some(Instant::now()),
                ..Wrong::default()
            };
        }
        wrong
    }
}

impl Wrong {
    fn count(&mut self, peer: IpAddr) -> &mut u32 {
        if self.counts.len() >= ADDRESSES_MAX && !self.counts.contains_key(&peer) {
            return &mut self.others;
        }
        self.counts.entry(peer).or_default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_is_refused_after_five_until_the_second_is_over() {
        let (wrong, peer, other) = (WrongTokens::default(), [127, 0, 0, 1], [127, 0, 0, 2]);
        for _ in 0..WRONG_MAX {
            assert!(!wrong.are_too_many(peer.into(), WRONG_MAX));
            wrong.note(peer.into());
        }
        assert!(wrong.are_too_many(peer.into(), WRONG_MAX));
        assert!(!wrong.are_too_many(other.into(), WRONG_MAX));
        advance(WINDOW).await;
        assert!(!wrong.are_too_many(peer.into(), WRONG_MAX));
        // The map must not grow with the number of addresses.
        for address in (0..).take(ADDRESSES_MAX + 5) {
            wrong.note(IpAddr::V4(u32::into(address)));
        }
        assert!(wrong.are_too_many(IpAddr::V4(u32::MAX.into()), WRONG_MAX));
    }
}
