//! The policy: what a push must fulfil besides its signature.

use std::time::{Duration, SystemTime};

use crate::mns::{ContentMd5, SignedRequest};
use crate::trust::untrusted::Untrusted;

/// A Date that is further behind our clock than this is accepted and flagged.
pub const LATE: Duration = Duration::from_secs(15 * 60);

/// What a push must fulfil besides its signature. `None` disables a check.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How far the Date may be ahead of our clock.
    pub max_clock_skew: Option<Duration>,
    /// How far the Date may be behind our clock.
    pub max_age: Option<Duration>,
    /// Whether Content-MD5 is required: without it the signature says nothing about the body.
    pub require_content_md5: bool,
    /// The minimum size of a signing key, in bits.
    pub min_key_bits: usize,
}

/// How old a push was when it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeliness {
    /// At most [`LATE`] old.
    Prompt,
    /// Older than that: a retry with its first Date, or a wrong clock.
    Late,
}

impl Policy {
    /// Checks the time of signing.
    ///
    /// # Errors
    /// [`Untrusted::DateAhead`], [`Untrusted::DateTooOld`]
    pub(super) fn check_date(
        &self,
        date: SystemTime,
        now: SystemTime,
    ) -> Result<Timeliness, Untrusted> {
        match now.duration_since(date) {
            Ok(age) if self.max_age.is_some_and(|max| age > max) => Err(Untrusted::DateTooOld(age)),
            Ok(age) if age > LATE => Ok(Timeliness::Late),
            Ok(_) => Ok(Timeliness::Prompt),
            Err(ahead)
                if self
                    .max_clock_skew
                    .is_some_and(|max| ahead.duration() > max) =>
            {
                Err(Untrusted::DateAhead(ahead.duration()))
            }
            // The Date is ahead, but within the limit: the clocks of two machines differ a little.
            Err(_) => Ok(Timeliness::Prompt),
        }
    }

    /// Compares the body with the digest that was signed.
    ///
    /// # Errors
    /// [`Untrusted::ContentMd5Missing`], [`Untrusted::ContentMd5Mismatch`]
    pub(super) fn check_content_md5(&self, request: &SignedRequest<'_>) -> Result<(), Untrusted> {
        match request.content_md5() {
            Some(signed) if signed == ContentMd5::of(request.request().body()) => Ok(()),
            Some(_) => Err(Untrusted::ContentMd5Mismatch),
            // Without a digest there is nothing to compare. The policy may allow that.
            None => self.check_content_md5_header(request),
        }
    }

    /// Checks that there is a digest, if one is required.
    ///
    /// # Errors
    /// [`Untrusted::ContentMd5Missing`]
    pub(super) fn check_content_md5_header(
        &self,
        request: &SignedRequest<'_>,
    ) -> Result<(), Untrusted> {
        match request.content_md5() {
            None if self.require_content_md5 => Err(Untrusted::ContentMd5Missing),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY_AND_HOUR: Duration = Duration::from_secs(25 * 3600);

    fn policy() -> Policy {
        Policy {
            max_clock_skew: Some(LATE),
            max_age: Some(DAY_AND_HOUR),
            require_content_md5: true,
            min_key_bits: 512,
        }
    }

    #[test]
    fn the_limits_of_the_date_are_exact() {
        let now = SystemTime::UNIX_EPOCH + HOUR * 400_000;
        let second = Duration::from_secs(1);
        let check = |date| policy().check_date(date, now);
        assert_eq!(check(now), Ok(Timeliness::Prompt));
        assert_eq!(check(now + LATE), Ok(Timeliness::Prompt));
        assert_eq!(
            check(now + LATE + second),
            Err(Untrusted::DateAhead(LATE + second))
        );
        assert_eq!(check(now - LATE), Ok(Timeliness::Prompt));
        assert_eq!(check(now - LATE - second), Ok(Timeliness::Late));
        assert_eq!(check(now - DAY_AND_HOUR), Ok(Timeliness::Late));
        assert_eq!(
            check(now - DAY_AND_HOUR - second),
            Err(Untrusted::DateTooOld(DAY_AND_HOUR + second))
        );
    }

    #[test]
    fn a_disabled_limit_accepts_every_date() {
        let open = Policy {
            max_clock_skew: None,
            max_age: None,
            ..policy()
        };
        let now = SystemTime::UNIX_EPOCH + HOUR * 400_000;
        assert_eq!(
            open.check_date(now + HOUR * 1000, now),
            Ok(Timeliness::Prompt)
        );
        assert_eq!(
            open.check_date(SystemTime::UNIX_EPOCH, now),
            Ok(Timeliness::Late)
        );
    }
}
