//! The certificates in use, by address.
//!
//! An address is the version of its certificate (FAQ 34355 of the vendor: the file is renamed at a
//! rotation), so what is held never expires. What can go wrong is bounded: one fetch at a time for
//! an address, failures remembered for two seconds, a new look at an address whose key stopped
//! fitting at most once a minute, at most 256 known addresses and as many newcomers, at most 16
//! fetches of newcomers at once, and a budget for them. Known are MNS's own address and those that
//! have verified a push: strangers use up nothing that these need.

use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::mns::{Prefixes, SigningCertUrl};
use crate::trust::addresses::{ADDRESSES_MAX, Addresses};
use crate::trust::failures::Failures;
use crate::trust::fetch_budget::{FetchBudget, FetchPermits};
use crate::trust::known_keys::{KeyChange, KnownKeys, News};
use crate::trust::slot::{Flight, Outcome, Slot, State, landing};
use crate::trust::{CertificateSource, CertificateStore, FetchError, SigningCertificate};

/// For how long a failed fetch answers for the next ones.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(2);
/// The least time between two renewals of an address. The first fetch is none: a key that changes
/// right after it is picked up at once.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
const UNFETCHED: &str = "Could not fetch a signing certificate";
/// Keys below this size get a warning: they can be factored with rented machines.
const STRONG_KEY_BITS: usize = 1024;

/// Holds certificates and fetches those that are missing.
pub struct CertificateCache {
    source: Arc<dyn CertificateSource>,
    store: CertificateStore,
    fetch_timeout: Duration,
    addresses: Addresses,
    budget: FetchBudget,
    permits: FetchPermits,
    failures: Failures,
    /// Copies on disk that cannot be used.
    unusable: Failures,
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
            failures: Failures::default(),
            unusable: Failures::default(),
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
    pub async fn get(self: &Arc<Self>, url: &SigningCertUrl, peer: IpAddr) -> Outcome {
        self.ask(url, Asker::Peer(peer)).await
    }

    /// The same before a push asks: nobody pays, so only a known address is fetched, and a failure
    /// is not logged.
    pub(super) async fn get_ahead(self: &Arc<Self>, url: &SigningCertUrl) -> Outcome {
        self.ask(url, Asker::Ahead).await
    }

    /// Whether a certificate of this address is on disk.
    pub(super) async fn is_kept(&self, url: &SigningCertUrl) -> bool {
        let (store, url) = (self.store.clone(), url.clone());
        tokio::task::spawn_blocking(move || matches!(store.load(&url), Ok(Some(_))))
            .await
            .unwrap_or(false)
    }

    async fn ask(self: &Arc<Self>, url: &SigningCertUrl, asker: Asker) -> Outcome {
        let Some(slot) = self.addresses.get_or_pay(url, || self.pays(asker)) else {
            return self.unfetched(url, FetchError::OverBudget).await;
        };
        if let Some(certificate) = slot.held.load_full() {
            return Ok(certificate);
        }
        let flight = {
            let mut state = slot.state();
            match (state.flight(), &state.failed, slot.held.load_full()) {
                (_, _, Some(certificate)) => return Ok(certificate),
                (Some(flight), _, None) => Ok(flight.clone()),
                (None, Some((at, error)), None) if at.elapsed() < FAILURE_REMEMBERED => {
                    return Err(error.clone());
                }
                (None, _, None) => self.take_off(url, &slot, &mut state, asker),
            }
        };
        match flight {
            Ok(flight) => landing(flight).await,
            Err(error) => self.unfetched(url, error).await,
        }
    }

    /// The certificate of an address if it is cached. Nothing is fetched.
    pub(super) fn peek(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        self.addresses.get(url)?.held.load_full()
    }

    /// The certificate that verified the last push of an address. It is another than the cached one
    /// from a renewal until a push is verified under the new key: the file may change before MNS
    /// signs with its key.
    pub(super) fn proven(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
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
        let flight = {
            let mut state = slot.state();
            match (state.flight(), slot.held.load_full()) {
                (Some(flight), _) => flight.clone(),
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
                    let flight = self.take_off(url, &slot, &mut state, Asker::Peer(peer))?;
                    state.renewed_at = Some(Instant::now());
                    flight
                }
            }
        };
        landing(flight).await.map(Some)
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
        let news = self.vouch(url, certificate);
        if news != News::Known {
            self.keep(url);
        }
        let News::Changed(change) = news else {
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
    fn take_off(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        slot: &Arc<Slot>,
        state: &mut State,
        asker: Asker,
    ) -> Result<Flight, FetchError> {
        if !(slot.is_known() || mem::take(&mut state.is_paid) || self.pays(asker)) {
            // Why the last one failed says more.
            return Err(state
                .failed
                .as_ref()
                .map_or(FetchError::OverBudget, |(_, error)| error.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        state.flight = Some(receiver.clone());
        let (cache, url, slot) = (self.clone(), url.clone(), slot.clone());
        tokio::spawn(async move {
            let outcome = cache.obtain(&url, &slot, asker).await;
            {
                let mut state = slot.state();
                state.flight = None;
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

    async fn obtain(self: &Arc<Self>, url: &SigningCertUrl, slot: &Slot, asker: Asker) -> Outcome {
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
    async fn unfetched(&self, url: &SigningCertUrl, error: FetchError) -> Outcome {
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
                self.vouch(url, &certificate);
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
    fn vouch(&self, url: &SigningCertUrl, certificate: &Arc<SigningCertificate>) -> News {
        let before = self.addresses.vouch(url, certificate);
        if before.is_none_or(|before| before.fingerprint() != certificate.fingerprint()) {
            warn_where_weak(url, certificate);
        }
        if url.is_temporary() {
            return News::Known;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::mns::{Prefix, Prefixes, WELL_KNOWN_CERTIFICATE};
    use crate::trust::certificate::samples::{OLD, OTHER};
    use crate::trust::fetch_budget::{FETCHES_MAX, PEER_FETCHES};
    use crate::trust::prefetch;
    use crate::trust::source::Fetching;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// Answers after a while with what it was last given, and counts.
    struct Script {
        answer: Mutex<Result<Vec<u8>, FetchError>>,
        delay: Duration,
        calls: AtomicUsize,
    }

    impl CertificateSource for Script {
        fn fetch<'a>(&'a self, _url: &'a SigningCertUrl) -> Fetching<'a> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {
                tokio::time::sleep(self.delay).await;
                lock(&self.answer).clone()
            })
        }
    }

    struct Bench {
        script: Arc<Script>,
        cache: Arc<CertificateCache>,
        dir: tempfile::TempDir,
    }

    impl Bench {
        fn new(delay_ms: u64, answer: Result<Vec<u8>, FetchError>) -> Self {
            Self::in_dir(tempfile::tempdir().unwrap(), delay_ms, answer)
        }

        fn in_dir(
            dir: tempfile::TempDir,
            delay_ms: u64,
            answer: Result<Vec<u8>, FetchError>,
        ) -> Self {
            let delay = Duration::from_millis(delay_ms);
            let script = Arc::new(Script {
                answer: Mutex::new(answer),
                delay,
                calls: AtomicUsize::new(0),
            });
            let store = CertificateStore::new(dir.path().to_owned());
            let cache = CertificateCache::new(script.clone(), store, Duration::from_secs(2));
            Self { script, cache, dir }
        }

        async fn get(&self, file: &str) -> Outcome {
            self.cache.get(&url(file), PEER).await
        }

        /// A push verifies under what is held of an address.
        async fn verify(&self, file: &str) -> Option<KeyChange> {
            let held = self.get(file).await.unwrap();
            self.cache.note_verified(&url(file), &held, PEER)
        }

        /// So many strangers spend all fetches.
        fn spend_all(&self) {
            let strangers = (0..10_000_u32).map(|number| IpAddr::from(number.to_be_bytes()));
            strangers
                .take_while(|stranger| self.cache.budget.take(*stranger))
                .for_each(drop);
        }

        async fn kept(&self, file: &str) {
            let path = self.dir.path().join(format!("a.example/{file}.pem"));
            while !path.exists() {
                tokio::task::yield_now().await;
            }
        }

        fn calls(&self) -> usize {
            self.script.calls.load(Ordering::SeqCst)
        }

        fn answer(&self, answer: Result<Vec<u8>, FetchError>) {
            *lock(&self.script.answer) = answer;
        }
    }

    fn url(file: &str) -> SigningCertUrl {
        let prefixes = Prefixes::new([Prefix::parse("https://a.example/").unwrap()]);
        prefixes
            .admit(format!("https://a.example/{file}.pem").as_bytes())
            .unwrap()
    }

    fn down() -> FetchError {
        FetchError::Unreachable("down".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_first_requests_cause_one_fetch() {
        let bench = Bench::new(50, Ok(OLD.to_vec()));
        let asked: Vec<_> = (0..100)
            .map(|_| {
                let cache = bench.cache.clone();
                tokio::spawn(async move { cache.get(&url("x"), PEER).await })
            })
            .collect();
        for answer in asked {
            assert_eq!(answer.await.unwrap().unwrap().key_bits(), 512);
        }
        assert_eq!(bench.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_outlives_the_request_that_started_it() {
        let bench = Bench::new(50, Ok(OLD.to_vec()));
        let given_up = tokio::time::timeout(Duration::from_millis(10), bench.get("x")).await;
        assert!(given_up.is_err());
        bench.get("x").await.unwrap();
        assert_eq!(bench.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_answers_for_a_while_and_then_the_source_is_asked_again() {
        let bench = Bench::new(0, Err(down()));
        for _ in 0..3 {
            assert_eq!(bench.get("x").await.err(), Some(down()));
        }
        assert_eq!(bench.calls(), 1);
        bench.answer(Ok(OLD.to_vec()));
        tokio::time::advance(FAILURE_REMEMBERED).await;
        bench.get("x").await.unwrap();
        assert_eq!(bench.calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_stalls_is_given_up() {
        let bench = Bench::new(3_600_000, Ok(OLD.to_vec()));
        assert_eq!(
            bench.get("x").await.err(),
            Some(FetchError::TimedOut(Duration::from_secs(2)))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_certificate_is_a_failure() {
        let bench = Bench::new(0, Ok(b"<html>".to_vec()));
        assert!(matches!(bench.get("x").await, Err(FetchError::Invalid(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_renewed_at_most_once_in_a_pause_and_keeps_its_certificate_when_that_fails()
     {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        let held = bench.get("x").await.unwrap();
        let renewed = bench
            .cache
            .renew(&url("x"), &held, PEER)
            .await
            .unwrap()
            .unwrap();
        assert!(
            bench
                .cache
                .renew(&url("x"), &renewed, PEER)
                .await
                .unwrap()
                .is_none()
        );
        assert!(Arc::ptr_eq(
            &bench
                .cache
                .renew(&url("x"), &held, PEER)
                .await
                .unwrap()
                .unwrap(),
            &renewed
        ));
        assert_eq!(bench.calls(), 2);
        bench.answer(Err(down()));
        tokio::time::advance(RENEWAL_PAUSE).await;
        for _ in 0..2 {
            assert_eq!(
                bench.cache.renew(&url("x"), &renewed, PEER).await.err(),
                Some(down())
            );
        }
        assert_eq!(bench.calls(), 3);
        assert!(Arc::ptr_eq(&bench.get("x").await.unwrap(), &renewed));
    }

    #[tokio::test]
    async fn a_certificate_on_disk_serves_while_the_source_is_down() {
        let first = Bench::new(0, Ok(OLD.to_vec()));
        first.get("unproven").await.unwrap();
        first.verify("x").await;
        first.kept("x").await;
        assert!(!first.dir.path().join("a.example/unproven.pem").exists());
        let second = Bench::in_dir(first.dir, 0, Err(down()));
        second.get("x").await.unwrap();
        assert_eq!(second.get("y").await.err(), Some(down()));
        std::fs::write(second.dir.path().join("a.example/z.pem"), "torn").unwrap();
        assert_eq!(second.get("z").await.err(), Some(down()));
    }

    /// Has a defect.
    struct Panics(AtomicUsize);

    impl CertificateSource for Panics {
        fn fetch<'a>(&'a self, _url: &'a SigningCertUrl) -> Fetching<'a> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { panic!("a defect") })
        }
    }

    #[tokio::test]
    async fn a_fetch_that_panics_does_not_close_its_address_for_good() {
        let source = Arc::new(Panics(AtomicUsize::new(0)));
        let store = CertificateStore::new(tempfile::tempdir().unwrap().path().to_owned());
        let cache = CertificateCache::new(source.clone(), store, Duration::from_secs(2));
        for calls in 1..=3 {
            assert_eq!(
                cache.get(&url("x"), PEER).await.err(),
                Some(FetchError::Abandoned)
            );
            assert_eq!(source.0.load(Ordering::SeqCst), calls);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_finds_no_room_is_none() {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        let held = bench.get("x").await.unwrap();
        let all = bench
            .cache
            .permits
            .newcomers
            .acquire_many(u32::try_from(FETCHES_MAX).unwrap())
            .await
            .unwrap();
        assert_eq!(
            bench.cache.renew(&url("x"), &held, PEER).await.err(),
            Some(FetchError::TooMany)
        );
        drop(all);
        assert!(
            bench
                .cache
                .renew(&url("x"), &held, PEER)
                .await
                .unwrap()
                .is_some()
        );
        assert_eq!(bench.calls(), 2);
    }

    /// Has every fetch that strangers may have under way, none of which ends.
    async fn stall_all(bench: &Bench) {
        for number in 0..FETCHES_MAX {
            let cache = bench.cache.clone();
            tokio::spawn(async move { cache.get(&url(&format!("stalled{number}")), PEER).await });
        }
        while bench.calls() < FETCHES_MAX {
            tokio::task::yield_now().await;
        }
    }

    fn well_known() -> SigningCertUrl {
        let (prefix, _file) = WELL_KNOWN_CERTIFICATE.rsplit_once('/').unwrap();
        let prefixes = Prefixes::new([Prefix::parse(&format!("{prefix}/")).unwrap()]);
        prefixes.admit(WELL_KNOWN_CERTIFICATE.as_bytes()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_leave_known_addresses_their_fetches_their_permits_and_their_places() {
        let bench = Bench::new(3_600_000, Ok(OLD.to_vec()));
        let known = Arc::new(SigningCertificate::parse(OLD).unwrap());
        bench.cache.note_verified(&url("x"), &known, PEER);
        stall_all(&bench).await;
        bench.spend_all();
        // Both ask the source while every permit of strangers is taken.
        let (own, x) = (well_known(), url("x"));
        let asked = async {
            tokio::join!(
                bench.cache.get(&own, PEER),
                bench.cache.renew(&x, &known, PEER)
            )
        };
        assert!(
            tokio::time::timeout(Duration::from_millis(100), asked)
                .await
                .is_err(),
            "the source does not answer"
        );
        assert_eq!(bench.calls(), FETCHES_MAX + 2);
        let slot = bench.cache.addresses.get(&well_known()).unwrap();
        for number in 0..ADDRESSES_MAX * 2 {
            bench
                .cache
                .addresses
                .get_or_pay(&url(&format!("made-up{number}")), || true)
                .unwrap();
        }
        assert!(Arc::ptr_eq(
            &slot,
            &bench.cache.addresses.get(&well_known()).unwrap()
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn the_certificate_of_mns_is_fetched_ahead_after_ever_longer_pauses_until_that_works() {
        let bench = Bench::new(0, Err(down()));
        let begun = Instant::now();
        let prefetching = tokio::spawn(prefetch(Arc::downgrade(&bench.cache), well_known()));
        for (calls, seconds) in [
            (1, 0),
            (2, 5),
            (3, 15),
            (4, 35),
            (8, 635),
            (9, 1235),
            (11, 2435),
        ] {
            while bench.calls() < calls {
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert!(begun.elapsed().as_secs() <= seconds, "call {calls}");
            }
            assert_eq!(begun.elapsed().as_secs(), seconds, "call {calls}");
        }
        bench.answer(Ok(OLD.to_vec()));
        prefetching.await.unwrap();
        bench.cache.get(&well_known(), PEER).await.unwrap();
        assert_eq!(bench.calls(), 12);
        // What it has is kept once it has verified a push, and from then on nothing is fetched
        // ahead.
        assert!(!bench.cache.is_kept(&well_known()).await);
        let held = bench.cache.get(&well_known(), PEER).await.unwrap();
        bench.cache.note_verified(&well_known(), &held, PEER);
        while !bench.cache.is_kept(&well_known()).await {
            tokio::task::yield_now().await;
        }
        let again = Bench::in_dir(bench.dir, 0, Err(down()));
        prefetch(Arc::downgrade(&again.cache), well_known()).await;
        assert_eq!(again.calls(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_ahead_that_fails_answers_for_no_push() {
        let bench = Bench::new(0, Err(down()));
        assert_eq!(
            bench.cache.get_ahead(&well_known()).await.err(),
            Some(down())
        );
        bench.answer(Ok(OLD.to_vec()));
        bench.cache.get(&well_known(), PEER).await.unwrap();
        assert_eq!(bench.calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_fetched_ahead_for_a_cache_that_is_gone_or_for_any_other_address() {
        let Bench {
            script,
            cache,
            dir: _dir,
        } = Bench::new(0, Err(down()));
        assert_eq!(
            cache.get_ahead(&url("x")).await.err(),
            Some(FetchError::OverBudget)
        );
        assert_eq!(script.calls.load(Ordering::SeqCst), 0);
        let prefetching = tokio::spawn(prefetch(Arc::downgrade(&cache), well_known()));
        // It looks on disk first.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(script.calls.load(Ordering::SeqCst), 1);
        drop(cache);
        prefetching.await.unwrap();
        assert_eq!(script.calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_crowd_of_fetches_leaves_what_is_on_disk_within_reach() {
        let bench = Bench::new(3_600_000, Err(down()));
        let kept = bench.dir.path().join("a.example/kept.pem");
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        std::fs::write(kept, OLD).unwrap();
        let crowd: Vec<_> = (0..FETCHES_MAX)
            .map(|number| {
                let cache = bench.cache.clone();
                tokio::spawn(async move { cache.get(&url(&number.to_string()), PEER).await })
            })
            .collect();
        while bench.calls() < FETCHES_MAX {
            tokio::task::yield_now().await;
        }
        // At once, while another address waits for room.
        let kept = tokio::time::timeout(Duration::from_secs(1), bench.get("kept")).await;
        kept.unwrap().unwrap();
        assert_eq!(bench.calls(), FETCHES_MAX);
        crowd.into_iter().for_each(|fetch| fetch.abort());
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_are_bounded_and_none_pushes_out_what_has_verified() {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        for number in 0..ADDRESSES_MAX {
            bench.verify(&format!("good{number}")).await;
            tokio::time::advance(PEER_FETCHES.refill).await;
        }
        for number in 0..ADDRESSES_MAX * 2 {
            bench.get(&number.to_string()).await.unwrap();
            tokio::time::advance(PEER_FETCHES.refill).await;
        }
        let both_halves = ADDRESSES_MAX * 2;
        assert_eq!(bench.cache.counts().held, both_halves);
        let calls = bench.calls();
        for number in 0..ADDRESSES_MAX {
            bench.get(&format!("good{number}")).await.unwrap();
        }
        assert_eq!(bench.calls(), calls, "all of them are held");
        // One more takes the place of the one whose last use is the longest ago, and of no other.
        bench.verify("good0").await;
        bench.verify("late").await;
        assert_eq!(
            bench.cache.counts().held,
            both_halves - 1,
            "it was a newcomer first"
        );
        let held = |file: &str| bench.cache.addresses.get(&url(file)).is_some();
        assert!(held("good0") && !held("good1") && held("good2") && held("late"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_makes_up_addresses_spends_its_own_fetches_only() {
        let bench = Bench::new(0, Err(down()));
        let burst = usize::try_from(PEER_FETCHES.burst).unwrap();
        for number in 0..burst * 3 {
            let expected = if number < burst {
                down()
            } else {
                FetchError::OverBudget
            };
            assert_eq!(bench.get(&number.to_string()).await.err(), Some(expected));
        }
        assert_eq!(bench.calls(), burst);
        assert_eq!(
            bench.cache.counts().missing,
            burst,
            "what is not paid for takes no place"
        );
        bench.answer(Ok(OLD.to_vec()));
        bench
            .cache
            .get(&url("genuine"), "192.0.2.2".parse().unwrap())
            .await
            .unwrap();
        // That was not made up, so it costs nothing.
        for number in 0..burst * 3 {
            let (file, peer) = (format!("genuine{number}"), "192.0.2.3".parse().unwrap());
            let held = bench.cache.get(&url(&file), peer).await.unwrap();
            bench.cache.note_verified(&url(&file), &held, peer);
        }
        // What it has paid for once it pays for again, and is told why it had failed.
        tokio::time::advance(FAILURE_REMEMBERED).await;
        assert_eq!(bench.get("0").await.err(), Some(down()));
        tokio::time::advance(PEER_FETCHES.refill).await;
        bench.get("0").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_has_verified_is_renewed_however_little_is_left() {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        let stranger = bench.get("stranger").await.unwrap();
        bench.verify("x").await;
        bench.spend_all();
        let held = bench.get("x").await.unwrap();
        assert!(
            bench
                .cache
                .renew(&url("x"), &held, PEER)
                .await
                .unwrap()
                .is_some()
        );
        let calls = bench.calls();
        let over = bench.cache.renew(&url("stranger"), &stranger, PEER).await;
        assert_eq!(
            (over.err(), bench.calls()),
            (Some(FetchError::OverBudget), calls)
        );
        // A look that did not take place is none: the next one need not wait.
        tokio::time::advance(PEER_FETCHES.refill).await;
        assert!(
            bench
                .cache
                .renew(&url("stranger"), &stranger, PEER)
                .await
                .unwrap()
                .is_some()
        );
    }

    #[tokio::test]
    async fn what_is_on_disk_is_used_without_a_fetch_and_renewed_however_little_is_left() {
        let first = Bench::new(0, Ok(OLD.to_vec()));
        first.verify("x").await;
        first.kept("x").await;
        let second = Bench::in_dir(first.dir, 0, Ok(OTHER.to_vec()));
        second.spend_all();
        let kept = second.get("x").await.unwrap();
        assert_eq!(
            (second.calls(), second.get("y").await.err()),
            (0, Some(FetchError::OverBudget))
        );
        let renewed = second
            .cache
            .renew(&url("x"), &kept, PEER)
            .await
            .unwrap()
            .unwrap();
        assert_ne!(renewed.fingerprint(), kept.fingerprint());
    }

    #[tokio::test(start_paused = true)]
    async fn another_key_than_before_is_told_once_at_its_address_elsewhere_and_after_a_restart() {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        assert_eq!(
            (bench.verify("x").await, bench.verify("x").await),
            (None, None)
        );
        bench.answer(Ok(OTHER.to_vec()));
        let held = bench.get("x").await.unwrap();
        bench
            .cache
            .renew(&url("x"), &held, PEER)
            .await
            .unwrap()
            .unwrap();
        let change = bench.verify("x").await.unwrap();
        assert_eq!(
            (change.address.as_str(), change.key_bits),
            ("https://a.example/x.pem", 512)
        );
        assert_eq!(
            (bench.verify("x").await, bench.verify("y").await),
            (None, None)
        );
        assert_eq!(bench.cache.counts().key_changes, 1);
        // The first key of x was kept there before.
        let is_kept = |file: &str| {
            let found = std::fs::read(bench.dir.path().join(format!("a.example/{file}.pem")))
                .unwrap_or_default();
            SigningCertificate::parse(&found)
                .is_ok_and(|found| found.fingerprint() == change.new_key)
        };
        while !(is_kept("x") && is_kept("y")) {
            tokio::task::yield_now().await;
        }
        let again = Bench::in_dir(bench.dir, 0, Ok(OTHER.to_vec()));
        assert_eq!(again.verify("x").await, None);
        let again = Bench::in_dir(again.dir, 0, Ok(OLD.to_vec()));
        let change = again.verify("z").await.unwrap();
        assert_eq!(
            change.old_key,
            SigningCertificate::parse(OTHER).unwrap().fingerprint()
        );
    }
}
