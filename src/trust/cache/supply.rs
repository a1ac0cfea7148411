//! The supply of certificates: from the source or from the copy on disk, and the keys that have
//! verified a push.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::mns::SigningCertUrl;
use crate::trust::cache::addresses::Addresses;
use crate::trust::cache::copies::Copies;
use crate::trust::cache::fetch::{Asker, FetchResult};
use crate::trust::cache::fetcher::Fetcher;
use crate::trust::cache::slot::Slot;
use crate::trust::certificate::SigningCertificate;
use crate::trust::known_keys::{KnownKeys, Observation};
use crate::trust::source::{CertificateSource, FetchError};
use crate::trust::store::CertificateStore;

/// Keys below this size get a warning: they can be factored with rented machines.
const STRONG_KEY_BITS: usize = 1024;

/// The addresses, and the parts that obtain certificates for them.
pub(super) struct Supply {
    pub(super) addresses: Addresses,
    pub(super) fetcher: Fetcher,
    pub(super) copies: Copies,
    known_keys: Mutex<KnownKeys>,
}

impl Supply {
    /// A supply in which no address has a certificate yet. The keys of the copies in the store are
    /// known.
    pub(super) fn new(
        source: Arc<dyn CertificateSource>,
        store: CertificateStore,
        fetch_timeout: Duration,
    ) -> Self {
        Self {
            addresses: Addresses::default(),
            fetcher: Fetcher::new(source, fetch_timeout),
            known_keys: Mutex::new(KnownKeys::kept_in(&store)),
            copies: Copies::new(store),
        }
    }

    /// Obtains a certificate from the source. If the source fails and no certificate is cached,
    /// loads it from disk.
    pub(super) async fn obtain(
        &self,
        url: &SigningCertUrl,
        slot: &Slot,
        asker: Asker,
    ) -> FetchResult {
        let is_cached = slot.cached.load().is_some();
        let permits = self.fetcher.permits.of(slot);
        // A certificate on disk need not wait until a permit is free.
        if !is_cached
            && permits.available_permits() == 0
            && let Some(kept) = self.load(url).await
        {
            return Ok(kept);
        }
        match self.fetcher.fetch(url, permits, asker).await {
            Err(error) if !is_cached => self.load(url).await.ok_or(error),
            result => result,
        }
    }

    /// Loads a certificate from disk for an address that may not be fetched.
    pub(super) async fn get_unfetched(
        &self,
        url: &SigningCertUrl,
        error: FetchError,
    ) -> FetchResult {
        match self.load(url).await {
            Some(kept) => Ok(kept),
            None => {
                self.fetcher.warn(url, &error);
                Err(error)
            }
        }
    }

    /// Loads a certificate from disk. Its address counts as known: either the certificate has
    /// verified a push, or an operator who knows the key put it there by hand.
    pub(super) async fn load(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        let certificate = self.copies.load(url).await?;
        self.mark_proven(url, &certificate);
        Some(certificate)
    }

    /// Records that a certificate has verified a push.
    ///
    /// A temporary address belongs to a sender that makes a new key at each start. So such a key is
    /// neither reported as changed nor saved, and the keys of MNS are not compared with it.
    pub(super) fn mark_proven(
        &self,
        url: &SigningCertUrl,
        certificate: &Arc<SigningCertificate>,
    ) -> Observation {
        let before = self.addresses.mark_proven(url, certificate);
        // Warn once for each key of an address, not for each push.
        if before.is_none_or(|before| before.fingerprint() != certificate.fingerprint()) {
            warn_if_weak(url, certificate);
        }
        if url.is_temporary() {
            return Observation::Known;
        }
        self.known_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(url, certificate)
    }
}

fn warn_if_weak(url: &SigningCertUrl, certificate: &SigningCertificate) {
    let key_bits = certificate.key_bits();
    if key_bits < STRONG_KEY_BITS {
        warn!(
            %url, key_bits,
            not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
            "The signing key is weak: whoever factors it can sign any push. MNS uses such keys; \
             see accept.topic_owners and docs/design/trust.md"
        );
    }
}
