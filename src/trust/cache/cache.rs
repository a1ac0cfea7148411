//! The cache: what it has it gives at once, and what is missing it fetches.

use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::mns::{Prefixes, SigningCertUrl};
use crate::trust::cache::addresses::{ADDRESSES_MAX, Addresses};
use crate::trust::cache::failure_log::FailureLog;
use crate::trust::cache::fetch_budget::{FetchBudget, FetchPermits};
use crate::trust::cache::slot::{Fetch, FetchResult, Slot, State, wait_for};
use crate::trust::known_keys::{KeyChange, KnownKeys, Observation};
use crate::trust::{CertificateSource, CertificateStore, FetchError, SigningCertificate};

/// For how long a failed fetch answers for the next ones.
pub(super) const FAILURE_REMEMBERED: Duration = Duration::from_secs(2);
/// The least time between two renewals of an address. The first fetch is none: a key that changes
/// right after it is picked up at once.
pub(super) const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
const UNFETCHED: &str = "Could not fetch a signing certificate";
/// Keys below this size get a warning: they can be factored with rented machines.
const STRONG_KEY_BITS: usize = 1024;

/// Holds certificates and fetches those that are missing.
pub struct CertificateCache {
    source: Arc<dyn CertificateSource>,
    store: CertificateStore,
    fetch_timeout: Duration,
    pub(super) addresses: Addresses,
    pub(super) budget: FetchBudget,
    pub(super) permits: FetchPermits,
    failures: FailureLog,
    /// Copies on disk that cannot be used.
    unusable: FailureLog,
    known_keys: Mutex<KnownKeys>,
    fetched: AtomicU64,
    failed: AtomicU64,
    key_changes: AtomicU64,
}

/// On whose behalf an address is asked for.
#[derive(Debug, Clone, Copy)]
enum Asker {
    /// A peer has sent a push that names it.
    Peer(IpAddr),
    /// No push has named it yet.
    Ahead,
}

/// How a cache stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheCounts {
    /// Addresses with a certificate.
    pub held: usize,
    /// Addresses that were asked for and have none.
    pub missing: usize,
    /// Fetches that were begun.
    pub fetches: u64,
    /// Those of them that brought no certificate.
    pub failures: u64,
    /// Pushes that were verified under another key than was expected.
    pub key_changes: u64,
}

impl CertificateCache {
    /// An empty cache over a source and a store. `fetch_timeout` bounds a fetch, whatever the
    /// source does.
    pub fn new(
        source: Arc<dyn CertificateSource>,
        store: CertificateStore,
        fetch_timeout: Duration,
    ) -> Arc<Self> {
        Self::with_budget(source, store, fetch_timeout, FetchBudget::default())
    }

    /// The same for requests that came long ago, and to which nobody can add: every address is
    /// asked for, so the source has to know a bound.
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
            source,
            fetch_timeout,
            addresses: Addresses::default(),
            budget,
            permits: FetchPermits::new(),
            failures: FailureLog::default(),
            unusable: FailureLog::default(),
            known_keys: Mutex::new(KnownKeys::kept_in(&store)),
            store,
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            key_changes: AtomicU64::new(0),
        })
    }

    /// The certificate of an address: the one held, else from the source, else from disk. A fetch
    /// for an address that is not known is paid from the budget of `peer`.
    ///
    /// Dropping the future leaves the fetch running for those who ask next.
    ///
    /// # Errors
    /// Neither the source nor the disk has it, or only the disk could be asked and has none.
    pub async fn get(self: &Arc<Self>, url: &SigningCertUrl, peer: IpAddr) -> FetchResult {
        self.ask(url, Asker::Peer(peer)).await
    }

    /// The same before a push asks: nobody pays, so only a known address is fetched, and a failure
    /// is not logged.
    pub(in crate::trust) async fn get_ahead(self: &Arc<Self>, url: &SigningCertUrl) -> FetchResult {
        self.ask(url, Asker::Ahead).await
    }

    /// Whether a certificate of this address is on disk.
    pub(in crate::trust) async fn is_kept(&self, url: &SigningCertUrl) -> bool {
        let (store, url) = (self.store.clone(), url.clone());
        tokio::task::spawn_blocking(move || matches!(store.load(&url), Ok(Some(_))))
            .await
            .unwrap_or(false)
    }

    async fn ask(self: &Arc<Self>, url: &SigningCertUrl, asker: Asker) -> FetchResult {
        let Some(slot) = self.addresses.get_or_pay(url, || self.pays(asker)) else {
            return self.unfetched(url, FetchError::OverBudget).await;
        };
        if let Some(certificate) = slot.held.load_full() {
            return Ok(certificate);
        }
        let fetch = {
            let mut state = slot.state();
            match (state.fetch(), &state.failed, slot.held.load_full()) {
                (_, _, Some(certificate)) => return Ok(certificate),
                (Some(fetch), _, None) => Ok(fetch.clone()),
                (None, Some((at, error)), None) if at.elapsed() < FAILURE_REMEMBERED => {
                    return Err(error.clone());
                }
                (None, _, None) => self.start_fetch(url, &slot, &mut state, asker),
            }
        };
        match fetch {
            Ok(fetch) => wait_for(fetch).await,
            Err(error) => self.unfetched(url, error).await,
        }
    }

    /// The certificate of an address if it is cached. Nothing is fetched.
    pub(in crate::trust) fn peek(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        self.addresses.get(url)?.held.load_full()
    }

    /// The certificate that verified the last push of an address. It is another than the cached one
    /// from a renewal until a push is verified under the new key: the file may change before MNS
    /// signs with its key.
    pub(in crate::trust) fn proven(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        self.addresses.get(url)?.proven.load_full()
    }

    /// Caches the certificates on disk whose addresses are allowed, before a push needs them: until
    /// then nothing tells a push from what strangers send.
    pub async fn load_kept(self: Arc<Self>, prefixes: Prefixes) {
        let store = self.store.clone();
        let Ok(Ok(kept)) = tokio::task::spawn_blocking(move || store.list()).await else {
            return;
        };
        for kept in kept
            .iter()
            .filter(|kept| kept.certificate.is_ok())
            .take(ADDRESSES_MAX)
        {
            let url = kept
                .path
                .to_str()
                .and_then(|name| prefixes.admit_kept(name));
            if let Some(url) = url
                && self.peek(&url).is_none()
            {
                // That it is used is logged there.
                drop(self.load(&url).await);
            }
        }
    }

    /// Looks at an address again, because a signature failed under `unfit`: its key may have
    /// changed.
    ///
    /// `None` where that was done less than a minute ago.
    ///
    /// # Errors
    /// The source cannot say, or could not less than a minute ago; the held certificate stays.
    pub async fn renew(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        unfit: &Arc<SigningCertificate>,
        peer: IpAddr,
    ) -> Result<Option<Arc<SigningCertificate>>, FetchError> {
        let slot = self
            .addresses
            .get_or_pay(url, || self.budget.take(peer))
            .ok_or(FetchError::OverBudget)?;
        let fetch = {
            let mut state = slot.state();
            match (state.fetch(), slot.held.load_full()) {
                (Some(fetch), _) => fetch.clone(),
                (None, Some(held)) if !Arc::ptr_eq(&held, unfit) => return Ok(Some(held)),
                (None, _)
                    if state
                        .renewed_at
                        .is_some_and(|at| at.elapsed() < RENEWAL_PAUSE) =>
                {
                    // A look that failed has said nothing about the key.
                    return state
                        .failed
                        .as_ref()
                        .map_or(Ok(None), |(_, error)| Err(error.clone()));
                }
                (None, _) => {
                    let fetch = self.start_fetch(url, &slot, &mut state, Asker::Peer(peer))?;
                    state.renewed_at = Some(Instant::now());
                    fetch
                }
            }
        };
        wait_for(fetch).await.map(Some)
    }

    /// Remembers that a push was verified under this certificate: it is kept, and its address stays
    /// when room is needed, and `peer` need not have paid for it. Gives the change where another
    /// key was expected, once.
    ///
    /// Where it has verified one before, this takes no lock and no memory.
    pub fn note_verified(
        &self,
        url: &SigningCertUrl,
        certificate: &Arc<SigningCertificate>,
        peer: IpAddr,
    ) -> Option<KeyChange> {
        if self.addresses.note_use(url, certificate) {
            return None;
        }
        if !self.addresses.get(url).is_some_and(|slot| slot.is_known()) {
            self.budget.give_back(peer);
        }
        let observation = self.mark_proven(url, certificate);
        if observation != Observation::Known {
            self.keep(url);
        }
        let Observation::Changed(change) = observation else {
            return None;
        };
        self.key_changes.fetch_add(1, Ordering::Relaxed);
        let KeyChange {
            key_bits,
            old_key,
            new_key,
            ..
        } = &change;
        warn!(%url, key_bits, old_key, new_key, "The signing key has changed: a push was verified \
            under one not seen before");
        Some(change)
    }

    /// How it stands.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        let (held, missing) = self.addresses.counts();
        CacheCounts {
            held,
            missing,
            fetches: self.fetched.load(Ordering::Relaxed),
            failures: self.failed.load(Ordering::Relaxed),
            key_changes: self.key_changes.load(Ordering::Relaxed),
        }
    }

    /// Starts the one fetch of an address, if it is a known one or the fetch can be paid for. The
    /// task ends by itself within the fetch's time limit.
    fn start_fetch(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        slot: &Arc<Slot>,
        state: &mut State,
        asker: Asker,
    ) -> Result<Fetch, FetchError> {
        if !(slot.is_known() || mem::take(&mut state.is_paid) || self.pays(asker)) {
            // Why the last one failed says more.
            return Err(state
                .failed
                .as_ref()
                .map_or(FetchError::OverBudget, |(_, error)| error.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        state.fetch = Some(receiver.clone());
        let (cache, url, slot) = (self.clone(), url.clone(), slot.clone());
        tokio::spawn(async move {
            let outcome = cache.obtain(&url, &slot, asker).await;
            {
                let mut state = slot.state();
                state.fetch = None;
                match (&outcome, asker) {
                    (Ok(certificate), _) => {
                        slot.held.store(Some(certificate.clone()));
                        state.failed = None;
                    }
                    // The source was not asked, so there is nothing to remember.
                    (Err(FetchError::TooMany), _) => state.renewed_at = None,
                    (Err(error), Asker::Peer(_)) => {
                        state.failed = Some((Instant::now(), error.clone()))
                    }
                    // A push that comes next asks by itself: without this fetch it would have done
                    // so as well.
                    (Err(_), Asker::Ahead) => {}
                }
            }
            sender.send_replace(Some(outcome));
        });
        Ok(receiver)
    }

    fn pays(&self, asker: Asker) -> bool {
        match asker {
            Asker::Peer(peer) => self.budget.take(peer),
            Asker::Ahead => false,
        }
    }

    async fn obtain(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        slot: &Slot,
        asker: Asker,
    ) -> FetchResult {
        let held = slot.held.load_full();
        let permits = self.permits.of(slot);
        // Where others are being fetched, what is on disk need not wait for them.
        if held.is_none()
            && permits.available_permits() == 0
            && let Some(kept) = self.load(url).await
        {
            return Ok(kept);
        }
        self.fetched.fetch_add(1, Ordering::Relaxed);
        match self
            .fetch(url, permits)
            .await
            .and_then(|bytes| Ok(SigningCertificate::parse(&bytes)?))
        {
            Ok(certificate) => {
                info!(%url, key_bits = certificate.key_bits(), "Fetched a signing certificate");
                Ok(Arc::new(certificate))
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                match asker {
                    Asker::Peer(_) => self.failures.warn(url, &error, UNFETCHED),
                    Asker::Ahead => {}
                }
                if held.is_none() {
                    self.load(url).await.ok_or(error)
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn fetch(
        &self,
        url: &SigningCertUrl,
        permits: &Semaphore,
    ) -> Result<Vec<u8>, FetchError> {
        let now = Instant::now();
        let deadline = now.checked_add(self.fetch_timeout).unwrap_or(now);
        let Ok(_permit) = timeout_at(deadline, permits.acquire()).await else {
            return Err(FetchError::TooMany);
        };
        let fetched = timeout_at(deadline, self.source.fetch(url)).await;
        fetched.unwrap_or(Err(FetchError::TimedOut(self.fetch_timeout)))
    }

    /// What is on disk of an address that is not fetched.
    async fn unfetched(&self, url: &SigningCertUrl, error: FetchError) -> FetchResult {
        match self.load(url).await {
            Some(kept) => Ok(kept),
            None => {
                self.failures.warn(url, &error, UNFETCHED);
                Err(error)
            }
        }
    }

    /// The certificate on disk. It is there since it verified a push, or was put there by hand: its
    /// address is known.
    async fn load(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        let (store, address) = (self.store.clone(), url.clone());
        match tokio::task::spawn_blocking(move || store.load(&address)).await {
            Ok(Ok(Some(certificate))) => {
                let path = self.store.path(url);
                info!(%url, path = %path.display(), "Using the signing certificate kept on disk");
                let certificate = Arc::new(certificate);
                // Whoever put it there knows of its key.
                self.mark_proven(url, &certificate);
                Some(certificate)
            }
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                self.unusable
                    .warn(url, &error, "Ignored a certificate on disk");
                None
            }
            Err(error) => {
                warn!(%url, %error, "Could not look for a certificate on disk");
                None
            }
        }
    }

    /// Puts a certificate among those that have verified a push.
    ///
    /// A temporary address has a new key at each start of its sender. So its keys are no news, no
    /// copy of them is kept, and a key of MNS is not compared with them.
    fn mark_proven(
        &self,
        url: &SigningCertUrl,
        certificate: &Arc<SigningCertificate>,
    ) -> Observation {
        let before = self.addresses.mark_proven(url, certificate);
        if before.is_none_or(|before| before.fingerprint() != certificate.fingerprint()) {
            warn_where_weak(url, certificate);
        }
        if url.is_temporary() {
            return Observation::Known;
        }
        lock(&self.known_keys).note(url, certificate)
    }

    /// Writes the certificate in the background: a push does not wait for it.
    fn keep(&self, url: &SigningCertUrl) {
        let Some(slot) = self.addresses.get(url) else {
            return;
        };
        let (store, url) = (self.store.clone(), url.clone());
        tokio::task::spawn_blocking(move || {
            slot.keep(
                |certificate| match certificate.to_pem().map(|pem| store.keep(&url, &pem)) {
                    Ok(Ok(path)) => {
                        info!(%url, path = %path.display(), "Kept a signing certificate")
                    }
                    Ok(Err(error)) => warn!(%url, %error, "Could not keep a signing certificate"),
                    Err(error) => warn!(%url, %error, "Could not encode a signing certificate"),
                },
            );
        });
    }
}

fn warn_where_weak(url: &SigningCertUrl, certificate: &SigningCertificate) {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
