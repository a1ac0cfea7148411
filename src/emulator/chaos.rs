//! What goes wrong on purpose, repeatably: what an endpoint has to live with, and what it has to
//! refuse.
//!
//! Whether something strikes is a hash of the seed, the subscription, the message's number and the
//! attempt, and never of time: the same seed gives the same chaos.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use sha1::{Digest, Sha1};
use strum::{EnumCount as _, IntoEnumIterator as _};

/// A little of everything, as a list of troubles and their rates.
pub const CHAOS_DEFAULT: &str = "duplicate=0.05,reorder=0.1,slow=0.02,bad-signature=0.01,\
    bad-md5=0.01,foreign-cert=0.01,truncate=0.01,drop-answer=0.05";

/// What can go wrong with a push.
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
    /// A message that was delivered is delivered once more.
    Duplicate,
    /// Later messages overtake it.
    Reorder,
    /// The request comes in pieces, with pauses.
    Slow,
    /// Before it a stranger sends a message of their own with a signature that is wrong by one bit.
    BadSignature,
    /// Before it a stranger sends the signed headers with a body of their own.
    BadMd5,
    /// Before it a stranger sends a message of their own, signed with a key of their own.
    ForeignCert,
    /// The connection ends in the middle of the request.
    Truncate,
    /// The answer is lost on the way.
    DropAnswer,
}

/// How likely each trouble is, and the seed of the dice.
#[derive(Debug, Clone, PartialEq)]
pub struct Chaos {
    rates: [f64; Trouble::COUNT],
    seed: u64,
}

/// Which attempt at which message of which subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion<'a> {
    /// Topic and subscription.
    pub(super) topic: &'a str,
    pub(super) subscription: &'a str,
    /// The message's number in its topic.
    pub(super) number: u64,
    /// The pushes of it that failed before.
    pub(super) failures: u32,
}

/// No list of troubles and their rates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no trouble: write KIND=RATE, as in slow=0.02; kinds are {kinds}; rates are from \
    0 to 1", kinds = kinds())]
pub struct ChaosError(String);

/// How often each trouble struck.
#[derive(Debug, Default)]
pub(super) struct ChaosCounts([AtomicU64; Trouble::COUNT]);

impl Chaos {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self {
            rates: [0.0; Trouble::COUNT],
            seed: 0,
        }
    }

    /// The same with other dice.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How likely a trouble is.
    pub(super) fn rate(&self, trouble: Trouble) -> f64 {
        self.rates
            .get(trouble as usize)
            .copied()
            .unwrap_or_default()
    }

    /// The same dice with these rates; what they leave out does not happen.
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

    /// Sets one rate, unless there is no such trouble or it is no rate.
    fn set(&mut self, kind: &str, rate: f64) -> Option<()> {
        let trouble: Trouble = kind.parse().ok()?;
        let own = self.rates.get_mut(trouble as usize)?;
        *own = Some(rate).filter(|rate| (0.0..=1.0).contains(rate))?;
        Some(())
    }

    /// Whether a trouble strikes then.
    pub(super) fn strikes(&self, trouble: Trouble, occasion: &Occasion<'_>) -> bool {
        let rate = self.rate(trouble);
        rate > 0.0 && self.fraction(trouble.into(), occasion) < rate
    }

    /// A number from 0 to 1 that is always the same for `what` of an occasion.
    pub(super) fn fraction(&self, what: &str, occasion: &Occasion<'_>) -> f64 {
        let Occasion {
            topic,
            subscription,
            number,
            failures,
        } = occasion;
        let text = format!(
            "{}/{topic}/{subscription}/{number}/{failures}/{what}",
            self.seed
        );
        let digest = Sha1::digest(text.as_bytes());
        let first = digest
            .iter()
            .take(4)
            .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
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
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each trouble with its count, in a fixed order.
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
    fn the_same_seed_strikes_the_same_attempts_at_about_the_rate() {
        let chaos: Chaos = "slow=0.02,truncate=0.5".parse().unwrap();
        let slow = struck(&chaos, Trouble::Slow);
        assert!((150..250).contains(&slow.len()), "{}", slow.len());
        assert_eq!(slow, struck(&chaos, Trouble::Slow));
        assert_ne!(slow, struck(&chaos.clone().with_seed(7), Trouble::Slow));
        assert!((4_800..5_200).contains(&struck(&chaos, Trouble::Truncate).len()));
        assert_eq!(struck(&chaos, Trouble::Duplicate), Vec::<u64>::new());
        let always: Chaos = "drop-answer=1".parse().unwrap();
        assert_eq!(struck(&always, Trouble::DropAnswer).len(), 10_000);
    }

    #[test]
    fn dice_are_the_same_on_every_machine() {
        // The first four bytes of the SHA-1 of "7/T/S/1/0/slow": a run is repeated by later builds
        // too.
        let fraction = Chaos::none().with_seed(7).fraction("slow", &occasion(1));
        let sha1_of_the_text = f64::from(2480126852_u32) / 4_294_967_296.0;
        assert_eq!(fraction.to_bits(), sha1_of_the_text.to_bits());
    }

    #[test]
    fn what_is_no_rate_is_told_with_what_is() {
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
