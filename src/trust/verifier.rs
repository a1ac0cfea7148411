//! The verification of a request, and its proof.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;

use crate::clock::Clock;
use crate::mns::{InvalidNotification, Notification, Prefixes, SignedRequest, SigningCertUrl};
use crate::trust::checks::{Check, Checks, SignatureCheck};
use crate::trust::policy::{Policy, Timeliness};
use crate::trust::untrusted::Untrusted;
use crate::trust::{CacheCounts, CertificateCache, KeyChange, SigningCertificate};

/// Verifies requests.
pub struct Verifier {
    policy: Policy,
    prefixes: Prefixes,
    cache: Arc<CertificateCache>,
    clock: Arc<dyn Clock>,
}

/// A request whose signature matches and whose body is the signed one. Only this module creates it.
#[derive(Debug)]
pub struct Verified<'r> {
    request: &'r Request<Bytes>,
    timeliness: Timeliness,
    skew_seconds: i64,
    key_change: Option<KeyChange>,
}

/// What the head of a request proves without the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadProof {
    /// The signature matches the cached certificate: MNS signed this head, whoever sent it.
    Signed,
    /// Nothing yet: the certificate is not cached.
    Open,
}

impl Verifier {
    /// A verifier for pushes whose certificates are at addresses below `prefixes`.
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

    /// Proves that MNS sent a request, body included. If the certificate has to be fetched and its
    /// address may be made up, the budget of `peer` pays for the fetch.
    ///
    /// If the future is dropped nothing remains, except a fetch that ends by itself.
    ///
    /// # Errors
    /// [`Untrusted`]: the first check that failed.
    pub async fn verify<'r>(
        &self,
        request: &SignedRequest<'r>,
        peer: IpAddr,
    ) -> Result<Verified<'r>, Untrusted> {
        let now = self.clock.now();
        let (mut timeliness, mut proof) = (Timeliness::Prompt, None);
        for (_, check) in self.checks(request, now) {
            match check {
                Check::Date(date) => timeliness = date?,
                Check::ContentMd5(body) => body?,
                Check::Address(address) => address?,
                Check::Signature(signature) => proof = Some(self.prove(signature, peer).await?),
            }
        }
        // Whatever the checks were, nothing is verified without a signature.
        let Proof { key_change } = proof.ok_or(Untrusted::SignatureWrong)?;
        let skew_seconds = seconds_between(request.date(), now);
        Ok(Verified {
            request: request.request(),
            timeliness,
            skew_seconds,
            key_change,
        })
    }

    /// The checks of a request, in order.
    fn checks<'c, 'r>(&'c self, request: &'c SignedRequest<'r>, now: SystemTime) -> Checks<'c, 'r> {
        Checks::new(&self.policy, &self.prefixes, request, now)
    }

    /// Checks what the head alone can prove, with what is cached: fetches nothing and records
    /// nothing. This does not replace [`verify`](Self::verify), because the body may differ from
    /// the signed one.
    ///
    /// # Errors
    /// [`Untrusted`]: the first check that failed. [`Untrusted::SignatureWrong`] may only mean that
    /// MNS has a new key.
    pub fn check_head(&self, request: &SignedRequest<'_>) -> Result<HeadProof, Untrusted> {
        let mut proof = HeadProof::Open;
        for (_, check) in self.checks(request, self.clock.now()).of_head() {
            match check {
                // Use only the error: whether a push is late is decided when the whole request is
                // verified.
                Check::Date(date) => drop(date?),
                Check::ContentMd5(header) => header?,
                Check::Address(address) => address?,
                Check::Signature(signature) => proof = self.prove_head(&signature)?,
            }
        }
        Ok(proof)
    }

    /// The policy and the allowed prefixes, to explain a verdict.
    #[must_use]
    pub fn judges_by(&self) -> (&Policy, &Prefixes) {
        (&self.policy, &self.prefixes)
    }

    /// The certificate at an address, if it is cached.
    #[must_use]
    pub fn cached(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        self.cache.peek(url)
    }

    /// The state of the certificate cache.
    #[must_use]
    pub fn certificates(&self) -> CacheCounts {
        self.cache.counts()
    }

    async fn prove(
        &self,
        signature: SignatureCheck<'_, '_>,
        peer: IpAddr,
    ) -> Result<Proof, Untrusted> {
        let url = signature.address.as_ref().map_err(|refused| *refused)?;
        let certificate = self.matching_certificate(&signature, url, peer).await?;
        // Check the key size after the signature, so that the answer says which of the two was
        // wrong.
        signature.check_key(&certificate)?;
        let key_change = self.cache.note_verified(url, &certificate, peer);
        Ok(Proof { key_change })
    }

    /// The certificate that the signature matches: the cached one, the last one that verified a
    /// push, or a renewed one, because MNS may have replaced its key at the same address.
    async fn matching_certificate(
        &self,
        signature: &SignatureCheck<'_, '_>,
        url: &SigningCertUrl,
        peer: IpAddr,
    ) -> Result<Arc<SigningCertificate>, Untrusted> {
        let certificate = self
            .cache
            .get(url, peer)
            .await
            .map_err(Untrusted::CertificateUnavailable)?;
        if signature.matches(&certificate) {
            return Ok(certificate);
        }
        // Try this before a renewal, because it costs no fetch: MNS may replace the file before it
        // signs with the new key.
        if let Some(proven) = self.matching_proven(signature, url) {
            return Ok(proven);
        }
        let renewed = self
            .cache
            .renew(url, &certificate, peer)
            .await
            .map_err(Untrusted::RenewalFailed)?;
        renewed
            .filter(|renewed| signature.matches(renewed))
            .ok_or(Untrusted::SignatureWrong)
    }

    fn prove_head(&self, signature: &SignatureCheck<'_, '_>) -> Result<HeadProof, Untrusted> {
        let url = signature.address.as_ref().map_err(|refused| *refused)?;
        match self.cache.peek(url) {
            None => Ok(HeadProof::Open),
            Some(certificate)
                if signature.matches(&certificate)
                    || self.matching_proven(signature, url).is_some() =>
            {
                Ok(HeadProof::Signed)
            }
            Some(_) => Err(Untrusted::SignatureWrong),
        }
    }

    /// The last certificate that has verified a push, if the signature matches it.
    fn matching_proven(
        &self,
        signature: &SignatureCheck<'_, '_>,
        url: &SigningCertUrl,
    ) -> Option<Arc<SigningCertificate>> {
        self.cache
            .proven(url)
            .filter(|proven| signature.matches(proven))
    }
}

/// Proof that a signature matches.
struct Proof {
    key_change: Option<KeyChange>,
}

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    to.duration_since(from)
        .map_or_else(|ahead| seconds(ahead.duration()).saturating_neg(), seconds)
}

impl<'r> Verified<'r> {
    /// Decodes the verified body. Only this function and
    /// [`notification_as_raw`](Self::notification_as_raw) return a notification that was proven.
    ///
    /// # Errors
    /// [`InvalidNotification`]
    pub fn notification(&self) -> Result<Notification<'r>, InvalidNotification> {
        Notification::decode(self.request)
    }

    /// Reads a verified body that is not a valid notification as a raw message.
    #[must_use]
    pub fn notification_as_raw(&self) -> Notification<'static> {
        Notification::decode_as_raw(self.request.body())
    }

    /// Our clock minus the Date of the push, in whole seconds.
    #[must_use]
    pub fn skew_seconds(&self) -> i64 {
        self.skew_seconds
    }

    /// The change of key, if the push was verified with a key other than the expected one.
    #[must_use]
    pub fn key_change(&self) -> Option<&KeyChange> {
        self.key_change.as_ref()
    }

    /// Whether the push was late.
    #[must_use]
    pub fn timeliness(&self) -> Timeliness {
        self.timeliness
    }
}
