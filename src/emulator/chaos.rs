//! Chaos: reproducible faults that an endpoint has to tolerate or to reject.
//!
//! Whether a fault occurs is a hash of the seed, the subscription, the message's number and the
//! attempt, and does not depend on time: the same seed gives the same faults.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use sha1::{Digest, Sha1};
use strum::{EnumCount as _, IntoEnumIterator as _};

/// A moderate rate of each fault, as a list.
pub const CHAOS_DEFAULT: &str = "duplicate=0.05,reorder=0.1,slow=0.02,bad-signature=0.01,\
    bad-md5=0.01,foreign-cert=0.01,truncate=0.01,drop-answer=0.05";

/// The faults that can be injected into a push.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::EnumIter,
    strum::EnumCount,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Trouble {
    /// A delivered message is delivered once more.
    Duplicate,
    /// Later messages overtake this one.
    Reorder,
    /// The request is sent in pieces, with pauses.
    Slow,
    /// Before the push a stranger sends another message, whose signature differs in one bit.
    BadSignature,
    /// Before the push a stranger sends the signed headers with another body.
    BadMd5,
    /// Before the push a stranger sends another message, signed with the stranger's own key.
    ForeignCert,
    /// The connection is closed in the middle of the request.
    Truncate,
    /// The answer is dropped.
    DropAnswer,
}

/// The rate of each fault, and the seed of the hash.
#[derive(Debug, Clone, PartialEq)]
pub struct Chaos {
    // Indexed by the variant's number.
    rates: [f64; Trouble::COUNT],
    seed: u64,
}

/// An attempt at a message of a subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion<'a> {
    /// The topic and the subscription.
    pub(super) topic: &'a str,
    pub(super) subscription: &'a str,
    /// The message's number in its topic.
    pub(super) number: u64,
    /// How many pushes of it failed before.
    pub(super) failures: u32,
}

/// Not a list of faults and their rates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fault: write KIND=RATE, as in slow=0.02; kinds are {kinds}; rates are \
    from 0 to 1", kinds = kinds())]
pub struct ChaosError(String);

/// How often each fault occurred.
#[derive(Debug, Default)]
pub(super) struct ChaosCounts([AtomicU64; Trouble::COUNT]);

impl Chaos {
    /// Without any fault.
    #[must_use]
    pub fn none() -> Self {
        Self {
            rates: [0.0; Trouble::COUNT],
            seed: 0,
        }
    }

    /// The same rates with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The rate of a fault.
    pub(super) fn rate(&self, trouble: Trouble) -> f64 {
        self.rates
            .get(trouble as usize)
            .copied()
            .unwrap_or_default()
    }

    /// The same seed with these rates. Faults that are left out do not occur.
    pub(super) fn with_rates<'a>(
        &self,
        rates: impl Iterator<Item = (&'a str, f64)>,
    ) -> Result<Self, ChaosError> {
        let mut chaos = Self::none().with_seed(self.seed);
        for (kind, rate) in rates {
            chaos
                .set(kind, rate)
                .ok_or_else(|| ChaosError(format!("{kind}={rate}")))?;
        }
        Ok(chaos)
    }

    /// Sets one rate. `None` if there is no such fault, or if the rate is invalid.
    fn set(&mut self, kind: &str, rate: f64) -> Option<()> {
        let trouble: Trouble = kind.parse().ok()?;
        let own = self.rates.get_mut(trouble as usize)?;
        // `contains` is false for NaN, so NaN is refused too.
        *own = Some(rate).filter(|rate| (0.0..=1.0).contains(rate))?;
        Some(())
    }

    /// Whether a fault occurs on this occasion.
    pub(super) fn strikes(&self, trouble: Trouble, occasion: &Occasion<'_>) -> bool {
        let rate = self.rate(trouble);
        // Without a rate, save the digest.
        rate > 0.0 && self.fraction(trouble.into(), occasion) < rate
    }

    /// A number from 0 to 1 that depends only on the seed, `what` and the occasion.
    pub(super) fn fraction(&self, what: &str, occasion: &Occasion<'_>) -> f64 {
        let Occasion {
            topic,
            subscription,
            number,
            failures,
        } = occasion;
        // All that identifies the attempt: the same seed then strikes the same attempts, in
        // whatever order they run.
        let text = format!(
            "{}/{topic}/{subscription}/{number}/{failures}/{what}",
            self.seed
        );
        let digest = Sha1::digest(text.as_bytes());
        // An f64 represents every 32-bit number exactly, so all machines compute the same fraction.
        let first = digest
            .iter()
            .take(4)
            .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        // Always below 1, so that a rate of 1 strikes every time.
        f64::from(first) / (f64::from(u32::MAX) + 1.0)
    }
}

impl FromStr for Chaos {
    type Err = ChaosError;

    fn from_str(text: &str) -> Result<Self, ChaosError> {
        let mut chaos = Self::none();
        for part in text.split(',') {
            let wrong = || ChaosError(part.to_owned());
            let (kind, rate) = part.trim().split_once('=').ok_or_else(wrong)?;
            let rate = rate.parse().map_err(|_no_number| wrong())?;
            chaos.set(kind, rate).ok_or_else(wrong)?;
        }
        Ok(chaos)
    }
}

impl ChaosCounts {
    pub(super) fn count(&self, trouble: Trouble) {
        if let Some(count) = self.0.get(trouble as usize) {
            // Relaxed, because the counts are only shown.
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each fault with its count, in a fixed order.
    pub(super) fn counts(&self) -> Vec<(Trouble, u64)> {
        Trouble::iter()
            .zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
            .collect()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.into())
    }
}

fn kinds() -> String {
    Trouble::iter()
        .map(<&str>::from)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasion(number: u64) -> Occasion<'static> {
        Occasion {
            topic: "T",
            subscription: "S",
            number,
            failures: 0,
        }
    }

    fn struck(chaos: &Chaos, trouble: Trouble) -> Vec<u64> {
        (0..10_000)
            .filter(|number| chaos.strikes(trouble, &occasion(*number)))
            .collect()
    }

    #[test]
    fn the_same_seed_affects_the_same_attempts_at_about_the_rate() {
        let chaos: Chaos = "slow=0.02,truncate=0.5".parse().unwrap();
        let slow = struck(&chaos, Trouble::Slow);
        // 200 are expected, with a standard deviation of 14.
        assert!((150..250).contains(&slow.len()), "{}", slow.len());
        assert_eq!(slow, struck(&chaos, Trouble::Slow));
        assert_ne!(slow, struck(&chaos.clone().with_seed(7), Trouble::Slow));
        // 5,000 are expected, with a standard deviation of 50.
        assert!((4_800..5_200).contains(&struck(&chaos, Trouble::Truncate).len()));
        assert_eq!(struck(&chaos, Trouble::Duplicate), Vec::<u64>::new());
        let always: Chaos = "drop-answer=1".parse().unwrap();
        assert_eq!(struck(&always, Trouble::DropAnswer).len(), 10_000);
    }

    #[test]
    fn the_hash_is_the_same_on_every_machine() {
        // The first four bytes of the SHA-1 of "7/T/S/1/0/slow". Later builds must reproduce a run
        // too.
        let fraction = Chaos::none().with_seed(7).fraction("slow", &occasion(1));
        let sha1_of_the_text = f64::from(2480126852_u32) / 4_294_967_296.0;
        assert_eq!(fraction.to_bits(), sha1_of_the_text.to_bits());
    }

    #[test]
    fn an_invalid_rate_is_reported_with_the_valid_form() {
        for text in [
            "",
            "slow",
            "slow=2",
            "slow=-0.1",
            "slow=x",
            "slow=NaN",
            "fast=0.1",
            "slow=0.1,,",
        ] {
            let error = text.parse::<Chaos>().unwrap_err().to_string();
            assert!(
                error.contains("bad-signature, bad-md5, foreign-cert"),
                "{error}"
            );
        }
    }
}
