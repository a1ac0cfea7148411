//! The cache: returns a cached certificate, or carries out the decision about a missing one.
//!
//! A slot is the state of an address. Known addresses are MNS's own and those that verified a push.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::mns::{Prefixes, SigningCertUrl};
use crate::trust::cache::addresses::ADDRESSES_MAX;
use crate::trust::cache::decision::{Decision, Payment, Purpose, Situation, decide};
use crate::trust::cache::fetch::{Asker, Fetch, FetchResult, FetchState, wait_for};
use crate::trust::cache::fetch_budget::FetchBudget;
use crate::trust::cache::slot::Slot;
use crate::trust::cache::supply::Supply;
use crate::trust::certificate::SigningCertificate;
use crate::trust::known_keys::{KeyChange, Observation};
use crate::trust::source::{CertificateSource, FetchError};
use crate::trust::store::CertificateStore;

/// Caches certificates and fetches missing ones.
pub struct CertificateCache {
    pub(super) supply: Supply,
    pub(super) budget: FetchBudget,
    key_changes: AtomicU64,
}

/// The state and the work of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheCounts {
    /// Addresses with a certificate.
    pub held: usize,
    /// Addresses that were requested and have none.
    pub missing: usize,
    /// Fetches that were needed and within the budget, including those that got no permit.
    pub fetches: u64,
    /// Those of them that brought no certificate.
    pub failures: u64,
    /// Pushes that were verified with a key other than the expected one.
    pub key_changes: u64,
}

/// The result of carrying out a decision.
enum Step {
    /// This certificate is the answer.
    Use(Arc<SigningCertificate>),
    /// A fetch is under way. It was started now or earlier.
    Wait(Fetch),
    /// The last fetch failed, and its error is the answer.
    Answer(FetchError),
    /// A fetch is needed, and the budget is used up.
    Unpaid(FetchError),
}

impl CertificateCache {
    /// An empty cache. `fetch_timeout` bounds a fetch, whatever the source does.
    pub fn new(
        source: Arc<dyn CertificateSource>,
        store: CertificateStore,
        fetch_timeout: Duration,
    ) -> Arc<Self> {
        Self::with_budget(source, store, fetch_timeout, FetchBudget::default())
    }

    /// Like [`new`](Self::new), but fetches any number of addresses: for a fixed set of past
    /// requests, to which nobody can add. The source itself must be bounded.
    pub fn without_budget(
        source: Arc<dyn CertificateSource>,
        store: CertificateStore,
        fetch_timeout: Duration,
    ) -> Arc<Self> {
        Self::with_budget(source, store, fetch_timeout, FetchBudget::unlimited())
    }

    fn with_budget(
        source: Arc<dyn CertificateSource>,
        store: CertificateStore,
        fetch_timeout: Duration,
        budget: FetchBudget,
    ) -> Arc<Self> {
        Arc::new(Self {
            supply: Supply::new(source, store, fetch_timeout),
            budget,
            key_changes: AtomicU64::new(0),
        })
    }

    /// The certificate of an address: from the cache, else from the source, else from disk. If the
    /// address may be made up, the budget of `peer` pays for a fetch.
    ///
    /// If the future is dropped, the fetch goes on and later requests get its result.
    ///
    /// # Errors
    /// The certificate is not on disk, and the source does not have it or was not asked.
    pub async fn get(self: &Arc<Self>, url: &SigningCertUrl, peer: IpAddr) -> FetchResult {
        self.get_for(url, Asker::Peer(peer)).await
    }

    /// Like [`get`](Self::get), but called before a push needs the certificate. No peer pays for
    /// the fetch, so only a known address is fetched. A failure is not logged.
    pub(in crate::trust) async fn get_ahead(self: &Arc<Self>, url: &SigningCertUrl) -> FetchResult {
        self.get_for(url, Asker::Nobody).await
    }

    /// Whether a certificate of this address is on disk.
    pub(in crate::trust) async fn is_kept(&self, url: &SigningCertUrl) -> bool {
        self.supply.copies.has(url).await
    }

    async fn get_for(self: &Arc<Self>, url: &SigningCertUrl, asker: Asker) -> FetchResult {
        let Some(slot) = self.supply.addresses.get_or_pay(url, || self.pays(asker)) else {
            return self.supply.get_unfetched(url, FetchError::OverBudget).await;
        };
        // Nearly every push returns here, so this path takes no lock.
        if let Some(certificate) = slot.cached.load_full() {
            return Ok(certificate);
        }
        match self.step(url, &slot, Purpose::Verify, asker) {
            Step::Use(certificate) => Ok(certificate),
            Step::Wait(fetch) => wait_for(fetch).await,
            Step::Answer(error) => Err(error),
            Step::Unpaid(error) => self.supply.get_unfetched(url, error).await,
        }
    }

    /// The certificate of an address if it is cached. Fetches nothing.
    pub(in crate::trust) fn peek(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        self.supply.addresses.get(url)?.cached.load_full()
    }

    /// The certificate that verified the last push of an address. After a renewal it differs from
    /// the cached one until a push is verified with the new key: MNS may replace the file before it
    /// signs with the new key.
    pub(in crate::trust) fn proven(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        self.supply.addresses.get(url)?.proven.load_full()
    }

    /// Caches those certificates on disk whose addresses are allowed, before a push needs them:
    /// without a certificate, a push cannot be distinguished from what strangers send.
    pub async fn load_kept(self: Arc<Self>, prefixes: Prefixes) {
        for path in self.supply.copies.paths().await.iter().take(ADDRESSES_MAX) {
            let url = path.to_str().and_then(|name| prefixes.admit_kept(name));
            if let Some(url) = url
                && self.peek(&url).is_none()
            {
                // `load` logs that the copy is used.
                drop(self.supply.load(&url).await);
            }
        }
    }

    /// Fetches a certificate again, because a signature did not match `unfit` and MNS may have
    /// changed the key. Returns `None` if it was already fetched again less than a minute ago.
    ///
    /// # Errors
    /// The source failed, now or less than a minute ago, or was not asked, because the budget or
    /// the permits are used up. The cached certificate stays.
    pub async fn renew(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        unfit: &Arc<SigningCertificate>,
        peer: IpAddr,
    ) -> Result<Option<Arc<SigningCertificate>>, FetchError> {
        let slot = self
            .supply
            .addresses
            .get_or_pay(url, || self.budget.take(peer))
            .ok_or(FetchError::OverBudget)?;
        match self.step(url, &slot, Purpose::Renew(unfit), Asker::Peer(peer)) {
            Step::Use(certificate) if Arc::ptr_eq(&certificate, unfit) => Ok(None),
            Step::Use(certificate) => Ok(Some(certificate)),
            Step::Wait(fetch) => wait_for(fetch).await.map(Some),
            Step::Answer(error) | Step::Unpaid(error) => Err(error),
        }
    }

    /// Records that a push was verified with this certificate: saves it, makes its address known,
    /// and gives `peer` its fetch back if the address was not known. Returns a key change once.
    ///
    /// Takes no lock and allocates nothing if the certificate has verified a push before.
    pub fn note_verified(
        &self,
        url: &SigningCertUrl,
        certificate: &Arc<SigningCertificate>,
        peer: IpAddr,
    ) -> Option<KeyChange> {
        if self.supply.addresses.note_use(url, certificate) {
            return None;
        }
        // Before `mark_proven`: `peer` paid for the fetch only if the address was not known yet.
        if !self
            .supply
            .addresses
            .get(url)
            .is_some_and(|slot| slot.is_known())
        {
            self.budget.give_back(peer);
        }
        let observation = self.supply.mark_proven(url, certificate);
        if observation != Observation::Known
            && let Some(slot) = self.supply.addresses.get(url)
        {
            self.supply.copies.keep(url, slot);
        }
        let Observation::Changed(change) = observation else {
            return None;
        };
        self.key_changes.fetch_add(1, Ordering::Relaxed);
        warn!(
            %url, key_bits = change.key_bits, old_key = change.old_key, new_key = change.new_key,
            "The signing key has changed: a push was verified with a key not seen before"
        );
        Some(change)
    }

    /// The state and the work so far.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        let (held, missing) = self.supply.addresses.counts();
        let (fetches, failures) = self.supply.fetcher.counts();
        CacheCounts {
            held,
            missing,
            fetches,
            failures,
            key_changes: self.key_changes.load(Ordering::Relaxed),
        }
    }

    /// Decides with the slot locked and starts the fetch if necessary, so that an address has one
    /// fetch at a time.
    fn step(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        slot: &Arc<Slot>,
        purpose: Purpose<'_>,
        asker: Asker,
    ) -> Step {
        let mut fetches = slot.fetches();
        let now = Instant::now();
        let situation = Situation {
            cached: slot.cached.load_full(),
            is_known: slot.is_known(),
            fetches: &fetches,
        };
        match decide(situation, purpose, now) {
            Decision::Use(certificate) => Step::Use(certificate),
            Decision::Join(fetch) => Step::Wait(fetch),
            Decision::Answer(error) => Step::Answer(error),
            Decision::Fetch(Payment::Due { otherwise }) if !self.pays(asker) => {
                Step::Unpaid(otherwise)
            }
            Decision::Fetch(Payment::Due { .. } | Payment::Free) => {
                let renewed_at = match purpose {
                    Purpose::Verify => None,
                    Purpose::Renew(_) => Some(now),
                };
                Step::Wait(self.start_fetch(url, slot, &mut fetches, renewed_at, asker))
            }
        }
    }

    /// Starts the only fetch of an address. Its task ends within the fetch's time limit.
    fn start_fetch(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        slot: &Arc<Slot>,
        fetches: &mut FetchState,
        renewed_at: Option<Instant>,
        asker: Asker,
    ) -> Fetch {
        let (task, fetch) = Fetch::begin();
        fetches.begin(fetch.clone(), renewed_at);
        let (cache, url, slot) = (self.clone(), url.clone(), slot.clone());
        tokio::spawn(async move {
            let result = cache.supply.obtain(&url, &slot, asker).await;
            {
                // Update both under one lock: everybody sees the running fetch or its result.
                let mut fetches = slot.fetches();
                if let Ok(certificate) = &result {
                    slot.cached.store(Some(certificate.clone()));
                }
                fetches.end(&result, asker, Instant::now());
            }
            task.report(result);
        });
        fetch
    }

    fn pays(&self, asker: Asker) -> bool {
        match asker {
            Asker::Peer(peer) => self.budget.take(peer),
            Asker::Nobody => false,
        }
    }
}
