//! The act of verification and its proof.
//!
//! Cheap checks come first, in this order: headers, Date, Content-MD5, address. Only then is a
//! certificate asked for, and the signature checked last.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;

use crate::clock::Clock;
use crate::mns::{
    ContentMd5, Defect, InvalidNotification, NotAllowed, Notification, Prefixes, SignedRequest,
    SigningCertUrl,
};
use crate::span::Span;
use crate::trust::{CacheCounts, CertificateCache, FetchError, KeyChange, SigningCertificate};

/// A Date this far behind our clock is accepted and flagged.
pub const LATE: Duration = Duration::from_secs(15 * 60);

/// What is asked of a push beyond its signature. `None` switches a check off.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How far Date may be ahead of our clock.
    pub max_clock_skew: Option<Duration>,
    /// How far Date may be behind our clock.
    pub max_age: Option<Duration>,
    /// Without Content-MD5 the signature says nothing about the body.
    pub require_content_md5: bool,
    /// The least size of a signing key.
    pub min_key_bits: usize,
}

/// Turns requests into proofs.
pub struct Verifier {
    policy: Policy,
    prefixes: Prefixes,
    cache: Arc<CertificateCache>,
    clock: Arc<dyn Clock>,
}

/// A request whose signature holds and whose body is the signed one. Made here and nowhere else.
#[derive(Debug)]
pub struct Verified<'r> {
    request: &'r Request<Bytes>,
    timeliness: Timeliness,
    skew_seconds: i64,
    key_change: Option<KeyChange>,
}

/// What the head of a request proves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadProof {
    /// Its signature matches the cached certificate: MNS signed this head, whoever sends it.
    Signed,
    /// The certificate is not cached.
    Open,
}

/// How old a push was when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeliness {
    /// Within [`LATE`], or not looked at.
    Prompt,
    /// Older: a retry with its first Date, or a clock that is wrong.
    Late,
}

/// Why a request is not taken for a push of MNS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The peer's doing: a needed header is missing, doubled or undecodable.
    #[error(transparent)]
    Defect(#[from] Defect),
    /// The peer's doing, or a clock is wrong.
    #[error("the date is {} ahead of our clock", in_seconds(.0))]
    DateAhead(Duration),
    /// The peer's doing, or a clock is wrong.
    #[error("the date is {} behind our clock", in_seconds(.0))]
    DateTooOld(Duration),
    /// The peer's doing: nothing ties the body to the signature.
    #[error("the header content-md5 is missing")]
    ContentMd5Missing,
    /// The peer's doing, or a proxy changed the body.
    #[error("the body is not the one whose digest was signed")]
    ContentMd5Mismatch,
    /// The peer's doing, or MNS moved to an address that is not configured yet.
    #[error(transparent)]
    AddressNotAllowed(#[from] NotAllowed),
    /// MNS's doing, against our policy.
    #[error("the signing key has {0} bits")]
    KeyTooSmall(usize),
    /// The peer's doing, or a proxy changed what was signed.
    #[error("the signature is not that of the request under the key at its address")]
    SignatureWrong,
    /// The world's doing: we cannot tell.
    #[error("the signing certificate cannot be had")]
    CertificateUnavailable(#[source] FetchError),
    /// The world's doing: the signature does not hold under the key that we have, and whether that
    /// is still the key we cannot tell.
    #[error(
        "the signature does not hold under the key at hand, and whether it has changed cannot be \
         told"
    )]
    RenewalFailed(#[source] FetchError),
}

impl Policy {
    /// Looks at the time of signing.
    ///
    /// # Errors
    /// [`Untrusted::DateAhead`], [`Untrusted::DateTooOld`]
    pub fn check_date(&self, date: SystemTime, now: SystemTime) -> Result<Timeliness, Untrusted> {
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
            Err(_) => Ok(Timeliness::Prompt),
        }
    }

    /// Compares the body with the digest that was signed.
    ///
    /// # Errors
    /// [`Untrusted::ContentMd5Missing`], [`Untrusted::ContentMd5Mismatch`]
    pub fn check_content_md5(&self, request: &SignedRequest<'_>) -> Result<(), Untrusted> {
        match request.content_md5() {
            Some(signed) if signed == ContentMd5::of(request.request().body()) => Ok(()),
            Some(_) => Err(Untrusted::ContentMd5Mismatch),
            None if self.require_content_md5 => Err(Untrusted::ContentMd5Missing),
            None => Ok(()),
        }
    }
}

impl Verifier {
    /// A verifier for pushes whose certificates lie below `prefixes`.
    pub fn new(
        policy: Policy,
        prefixes: Prefixes,
        cache: Arc<CertificateCache>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            policy,
            prefixes,
            cache,
            clock,
        }
    }

    /// Proves that MNS sent a request, body included. `peer` pays for a fetch that strangers could
    /// cause.
    ///
    /// Nothing is left behind where the future is dropped, but for a fetch that ends by itself.
    ///
    /// # Errors
    /// [`Untrusted`]: the first check that failed.
    pub async fn verify<'r>(
        &self,
        request: &SignedRequest<'r>,
        peer: IpAddr,
    ) -> Result<Verified<'r>, Untrusted> {
        let now = self.clock.now();
        let timeliness = self.policy.check_date(request.date(), now)?;
        self.policy.check_content_md5(request)?;
        let url = self.prefixes.admit(request.certificate_address())?;
        let certificate = self.check_signature(request, &url, peer).await?;
        let key_change = self.cache.note_verified(&url, &certificate, peer);
        let skew_seconds = seconds_between(request.date(), now);
        Ok(Verified {
            request: request.request(),
            timeliness,
            skew_seconds,
            key_change,
        })
    }

    /// Checks what the head alone can prove, with what is cached: nothing is fetched, and nothing
    /// is noted. No substitute for [`verify`](Self::verify): the body may be another than the
    /// signed one.
    ///
    /// # Errors
    /// [`Untrusted`]: the first check that failed. [`Untrusted::SignatureWrong`] may be due to a
    /// new key of MNS's.
    pub fn check_head(&self, request: &SignedRequest<'_>) -> Result<HeadProof, Untrusted> {
        self.policy.check_date(request.date(), self.clock.now())?;
        if request.content_md5().is_none() && self.policy.require_content_md5 {
            return Err(Untrusted::ContentMd5Missing);
        }
        let url = self.prefixes.admit(request.certificate_address())?;
        match self.cache.peek(&url) {
            Some(certificate) if is_signed_under(request, &certificate) => Ok(HeadProof::Signed),
            Some(_)
                if self
                    .cache
                    .proven(&url)
                    .is_some_and(|proven| is_signed_under(request, &proven)) =>
            {
                Ok(HeadProof::Signed)
            }
            Some(_) => Err(Untrusted::SignatureWrong),
            None => Ok(HeadProof::Open),
        }
    }

    /// How the certificates stand.
    #[must_use]
    pub fn certificates(&self) -> CacheCounts {
        self.cache.counts()
    }

    async fn check_signature(
        &self,
        request: &SignedRequest<'_>,
        url: &SigningCertUrl,
        peer: IpAddr,
    ) -> Result<Arc<SigningCertificate>, Untrusted> {
        let certificate = self
            .cache
            .get(url, peer)
            .await
            .map_err(Untrusted::CertificateUnavailable)?;
        let proven = || {
            self.cache
                .proven(url)
                .filter(|proven| is_signed_under(request, proven))
        };
        let certificate = if is_signed_under(request, &certificate) {
            certificate
        } else if let Some(proven) = proven() {
            proven
        } else {
            // The key may have been changed in place.
            match self
                .cache
                .renew(url, &certificate, peer)
                .await
                .map_err(Untrusted::RenewalFailed)?
            {
                Some(renewed) if is_signed_under(request, &renewed) => renewed,
                Some(_) | None => return Err(Untrusted::SignatureWrong),
            }
        };
        match certificate.key_bits() {
            bits if bits < self.policy.min_key_bits => Err(Untrusted::KeyTooSmall(bits)),
            _ => Ok(certificate),
        }
    }
}

/// Whether the signature matches, in the form of the manual or of the vendor's samples.
fn is_signed_under(request: &SignedRequest<'_>, certificate: &SigningCertificate) -> bool {
    certificate.verifies(&request.string_to_sign(), request.signature())
        || request
            .other_string_to_sign()
            .is_some_and(|text| certificate.verifies(&text, request.signature()))
}

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    to.duration_since(from)
        .map_or_else(|ahead| seconds(ahead.duration()).saturating_neg(), seconds)
}

impl<'r> Verified<'r> {
    /// Decodes the body that was verified: the only road to a notification.
    ///
    /// # Errors
    /// [`InvalidNotification`]
    pub fn notification(&self) -> Result<Notification<'r>, InvalidNotification> {
        Notification::decode(self.request)
    }

    /// What can be read of a body that is no notification, as a notification whose message is that
    /// body.
    #[must_use]
    pub fn notification_as_raw(&self) -> Notification<'static> {
        Notification::decode_as_raw(self.request.body())
    }

    /// Our clock less the Date of the push, in whole seconds.
    #[must_use]
    pub fn skew_seconds(&self) -> i64 {
        self.skew_seconds
    }

    /// What is to be told of the key it was verified under.
    #[must_use]
    pub fn key_change(&self) -> Option<&KeyChange> {
        self.key_change.as_ref()
    }

    /// How old the push was.
    #[must_use]
    pub fn timeliness(&self) -> Timeliness {
        self.timeliness
    }
}

fn in_seconds(span: &Duration) -> Span {
    Span(Duration::from_secs(span.as_secs()))
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
    fn the_window_of_the_date_has_exact_edges() {
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
    fn a_window_that_is_off_lets_every_date_pass() {
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
