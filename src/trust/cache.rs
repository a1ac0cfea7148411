//! The certificates in use, by address.
//!
//! An address is the version of its certificate (FAQ 34355 of the vendor: the file is renamed at a rotation), so what is held
//! never expires. What can go wrong is bounded: one fetch at a time for an address, failures
//! remembered for two seconds, a new look at an address whose key stopped fitting at most once a
//! minute, at most 16 fetches at once, and at most 256 addresses.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use crate::mns::SigningCertUrl;
use crate::trust::{CertificateSource, CertificateStore, FetchError, SigningCertificate};

/// How many addresses are known at once. MNS has one for each region and rotation.
const ADDRESSES_MAX: usize = 256;
/// For how long a failed fetch answers for the next ones.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(2);
/// The least time between two renewals of an address. The first fetch is none: a key that changes right
/// after it is picked up at once.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
/// How many addresses are fetched at the same time. Strangers can name as many as they like; the others are
/// looked for on disk only.
const FETCHES_MAX: usize = 16;
/// The least time between two warnings of a failed fetch.
const WARNING_PAUSE: Duration = Duration::from_secs(10);
/// Keys below this size get a warning: they can be factored with rented machines.
const STRONG_KEY_BITS: usize = 1024;

type Outcome = Result<Arc<SigningCertificate>, FetchError>;

/// Holds certificates and fetches those that are missing.
pub struct CertificateCache {
    source: Arc<dyn CertificateSource>,
    store: CertificateStore,
    fetch_timeout: Duration,
    slots: ArcSwap<HashMap<SigningCertUrl, Arc<Slot>>>,
    /// Taken to add or remove a slot; never to read one.
    growing: Mutex<()>,
    uses: AtomicU64,
    fetches: Semaphore,
    failures: Mutex<Failures>,
    fetched: AtomicU64,
    failed: AtomicU64,
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
}

/// Failed fetches that have not been warned of yet.
#[derive(Default)]
struct Failures {
    warned_at: Option<Instant>,
    left_out: u64,
}

/// What is known of one address.
#[derive(Default)]
struct Slot {
    held: ArcSwapOption<SigningCertificate>,
    state: Mutex<State>,
    /// A number that grows with each use that verified a push; 0 until the first.
    verified_at: AtomicU64,
}

#[derive(Default)]
struct State {
    flight: Option<watch::Receiver<Option<Outcome>>>,
    renewed_at: Option<Instant>,
    failed: Option<(Instant, FetchError)>,
}

impl CertificateCache {
    /// An empty cache over a source and a store. `fetch_timeout` bounds a fetch, whatever the source does.
    pub fn new(source: Arc<dyn CertificateSource>, store: CertificateStore, fetch_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            source,
            store,
            fetch_timeout,
            slots: ArcSwap::default(),
            growing: Mutex::new(()),
            uses: AtomicU64::new(0),
            fetches: Semaphore::new(FETCHES_MAX),
            failures: Mutex::default(),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// The certificate of an address: the one held, else from the source, else from disk.
    ///
    /// Dropping the future leaves the fetch running for those who ask next.
    ///
    /// # Errors
    /// Neither the source nor the disk has it.
    pub async fn get(self: &Arc<Self>, url: &SigningCertUrl) -> Result<Arc<SigningCertificate>, FetchError> {
        let slot = self.slot(url);
        if let Some(certificate) = slot.held.load_full() {
            return Ok(certificate);
        }
        let flight = {
            let mut state = lock(&slot.state);
            match (state.flight(), &state.failed, slot.held.load_full()) {
                (_, _, Some(certificate)) => return Ok(certificate),
                (Some(flight), _, None) => flight.clone(),
                (None, Some((at, error)), None) if at.elapsed() < FAILURE_REMEMBERED => return Err(error.clone()),
                (None, _, None) => self.take_off(url, &slot, &mut state),
            }
        };
        landing(flight).await
    }

    /// Looks at an address again, because a signature failed under `unfit`: its key may have changed.
    ///
    /// `None` where that was done less than a minute ago.
    ///
    /// # Errors
    /// The source cannot say, or could not less than a minute ago; the held certificate stays.
    pub async fn renew(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        unfit: &Arc<SigningCertificate>,
    ) -> Result<Option<Arc<SigningCertificate>>, FetchError> {
        let slot = self.slot(url);
        let flight = {
            let mut state = lock(&slot.state);
            match (state.flight(), slot.held.load_full()) {
                (Some(flight), _) => flight.clone(),
                (None, Some(held)) if !Arc::ptr_eq(&held, unfit) => return Ok(Some(held)),
                (None, _) if state.renewed_at.is_some_and(|at| at.elapsed() < RENEWAL_PAUSE) => {
                    // A look that failed has said nothing about the key.
                    return state.failed.as_ref().map_or(Ok(None), |(_, error)| Err(error.clone()));
                }
                (None, _) => {
                    state.renewed_at = Some(Instant::now());
                    self.take_off(url, &slot, &mut state)
                }
            }
        };
        landing(flight).await.map(Some)
    }

    /// Remembers that a push was verified under this address: it stays when room is needed.
    pub fn note_verified(&self, url: &SigningCertUrl) {
        if let Some(slot) = self.slots.load().get(url) {
            let use_number = self.uses.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            slot.verified_at.store(use_number, Ordering::Relaxed);
        }
    }

    /// How it stands.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        let slots = self.slots.load();
        let held = slots.values().filter(|slot| slot.held.load().is_some()).count();
        CacheCounts {
            held,
            missing: slots.len().saturating_sub(held),
            fetches: self.fetched.load(Ordering::Relaxed),
            failures: self.failed.load(Ordering::Relaxed),
        }
    }

    fn slot(&self, url: &SigningCertUrl) -> Arc<Slot> {
        if let Some(slot) = self.slots.load().get(url) {
            return slot.clone();
        }
        let _growing = lock(&self.growing);
        let mut slots = HashMap::clone(&self.slots.load());
        let slot = slots.entry(url.clone()).or_default().clone();
        if slots.len() > ADDRESSES_MAX {
            let others = slots.iter().filter(|(known, _)| *known != url);
            let oldest = others.min_by_key(|(_, slot)| slot.verified_at.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(known, _)| known.clone()) {
                slots.remove(&oldest);
            }
        }
        self.slots.store(Arc::new(slots));
        slot
    }

    /// Starts the one fetch of an address. The task ends by itself within the fetch's time limit.
    fn take_off(
        self: &Arc<Self>,
        url: &SigningCertUrl,
        slot: &Arc<Slot>,
        state: &mut State,
    ) -> watch::Receiver<Option<Outcome>> {
        let (sender, receiver) = watch::channel(None);
        state.flight = Some(receiver.clone());
        let (cache, url, slot) = (self.clone(), url.clone(), slot.clone());
        tokio::spawn(async move {
            let outcome = cache.obtain(&url, &slot).await;
            {
                let mut state = lock(&slot.state);
                state.flight = None;
                match &outcome {
                    Ok(certificate) => {
                        slot.held.store(Some(certificate.clone()));
                        state.failed = None;
                    }
                    // The source was not asked, so there is nothing to remember.
                    Err(FetchError::TooMany) => state.renewed_at = None,
                    Err(error) => state.failed = Some((Instant::now(), error.clone())),
                }
            }
            sender.send_replace(Some(outcome));
        });
        receiver
    }

    async fn obtain(self: &Arc<Self>, url: &SigningCertUrl, slot: &Slot) -> Outcome {
        let held = slot.held.load_full();
        // Where others are being fetched, what is on disk need not wait for them.
        if held.is_none()
            && self.fetches.available_permits() == 0
            && let Some(kept) = self.load(url).await
        {
            return Ok(kept);
        }
        self.fetched.fetch_add(1, Ordering::Relaxed);
        match self.fetch(url).await.and_then(|bytes| Ok(SigningCertificate::parse(&bytes)?)) {
            Ok(certificate) => {
                tell_new(url, &certificate, held.as_deref());
                let certificate = Arc::new(certificate);
                self.keep(url, &certificate);
                Ok(certificate)
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.warn_of_failure(url, &error);
                if held.is_none() { self.load(url).await.ok_or(error) } else { Err(error) }
            }
        }
    }

    async fn fetch(&self, url: &SigningCertUrl) -> Result<Vec<u8>, FetchError> {
        let now = Instant::now();
        let deadline = now.checked_add(self.fetch_timeout).unwrap_or(now);
        let Ok(_permit) = timeout_at(deadline, self.fetches.acquire()).await else { return Err(FetchError::TooMany) };
        let fetched = timeout_at(deadline, self.source.fetch(url)).await;
        fetched.unwrap_or(Err(FetchError::TimedOut(self.fetch_timeout)))
    }

    /// A stranger can cause as many failures as they like, so not each is worth a warning.
    fn warn_of_failure(&self, url: &SigningCertUrl, error: &FetchError) {
        let mut failures = lock(&self.failures);
        if failures.warned_at.is_some_and(|at| at.elapsed() < WARNING_PAUSE) {
            failures.left_out = failures.left_out.saturating_add(1);
            debug!(%url, %error, "Could not fetch a signing certificate");
        } else {
            let left_out = std::mem::take(&mut failures.left_out);
            failures.warned_at = Some(Instant::now());
            warn!(%url, %error, left_out, "Could not fetch a signing certificate");
        }
    }

    async fn load(self: &Arc<Self>, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        let (store, address) = (self.store.clone(), url.clone());
        match tokio::task::spawn_blocking(move || store.load(&address)).await {
            Ok(Ok(Some(certificate))) => {
                tell_new(url, &certificate, None);
                info!(%url, path = %self.store.path(url).display(), "Using the signing certificate kept on disk");
                Some(Arc::new(certificate))
            }
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                warn!(%url, %error, "Ignored a certificate on disk");
                None
            }
            Err(error) => {
                warn!(%url, %error, "Could not look for a certificate on disk");
                None
            }
        }
    }

    /// Writes the certificate in the background: a push does not wait for it.
    fn keep(self: &Arc<Self>, url: &SigningCertUrl, certificate: &Arc<SigningCertificate>) {
        let (store, url, certificate) = (self.store.clone(), url.clone(), certificate.clone());
        tokio::task::spawn_blocking(move || match certificate.to_pem().map(|pem| store.keep(&url, &pem)) {
            Ok(Ok(path)) => info!(%url, path = %path.display(), "Kept a signing certificate"),
            Ok(Err(error)) => warn!(%url, %error, "Could not keep a signing certificate"),
            Err(error) => warn!(%url, %error, "Could not encode a signing certificate"),
        });
    }
}

impl State {
    /// The fetch under way. One whose task is gone without a result is none.
    fn flight(&self) -> Option<&watch::Receiver<Option<Outcome>>> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok() || flight.borrow().is_some())
    }
}

async fn landing(mut flight: watch::Receiver<Option<Outcome>>) -> Outcome {
    match flight.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        Ok(None) | Err(_) => Err(FetchError::Abandoned),
    }
}

fn tell_new(url: &SigningCertUrl, certificate: &SigningCertificate, held: Option<&SigningCertificate>) {
    let key_bits = certificate.key_bits();
    match held {
        Some(held) if held.has_key_of(certificate) => return,
        Some(_) => warn!(%url, key_bits, "The signing key at a known address has changed"),
        None => info!(%url, key_bits, "Loaded a signing certificate"),
    }
    if key_bits < STRONG_KEY_BITS {
        warn!(
            %url, key_bits,
            not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
            "The signing key is weak: whoever factors it can sign any push. MNS uses such keys; see accept.topic_owners and docs/design/trust.md"
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
    use crate::mns::{Prefix, Prefixes};
    use crate::trust::source::Fetching;

    const OLD: &[u8] = include_bytes!("../../certs/mns-2015.pem");

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

        fn in_dir(dir: tempfile::TempDir, delay_ms: u64, answer: Result<Vec<u8>, FetchError>) -> Self {
            let delay = Duration::from_millis(delay_ms);
            let script = Arc::new(Script { answer: Mutex::new(answer), delay, calls: AtomicUsize::new(0) });
            let store = CertificateStore::new(dir.path().to_owned());
            let cache = CertificateCache::new(script.clone(), store, Duration::from_secs(2));
            Self { script, cache, dir }
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
        prefixes.admit(format!("https://a.example/{file}.pem").as_bytes()).unwrap()
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
                tokio::spawn(async move { cache.get(&url("x")).await })
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
        let given_up = tokio::time::timeout(Duration::from_millis(10), bench.cache.get(&url("x"))).await;
        assert!(given_up.is_err());
        bench.cache.get(&url("x")).await.unwrap();
        assert_eq!(bench.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_answers_for_a_while_and_then_the_source_is_asked_again() {
        let bench = Bench::new(0, Err(down()));
        for _ in 0..3 {
            assert_eq!(bench.cache.get(&url("x")).await.err(), Some(down()));
        }
        assert_eq!(bench.calls(), 1);
        bench.answer(Ok(OLD.to_vec()));
        tokio::time::advance(FAILURE_REMEMBERED).await;
        bench.cache.get(&url("x")).await.unwrap();
        assert_eq!(bench.calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_stalls_is_given_up() {
        let bench = Bench::new(3_600_000, Ok(OLD.to_vec()));
        assert_eq!(bench.cache.get(&url("x")).await.err(), Some(FetchError::TimedOut(Duration::from_secs(2))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_certificate_is_a_failure() {
        let bench = Bench::new(0, Ok(b"<html>".to_vec()));
        assert!(matches!(bench.cache.get(&url("x")).await, Err(FetchError::Invalid(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_renewed_at_most_once_in_a_pause_and_keeps_its_certificate_when_that_fails() {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        let held = bench.cache.get(&url("x")).await.unwrap();
        let renewed = bench.cache.renew(&url("x"), &held).await.unwrap().unwrap();
        assert!(bench.cache.renew(&url("x"), &renewed).await.unwrap().is_none());
        assert!(Arc::ptr_eq(&bench.cache.renew(&url("x"), &held).await.unwrap().unwrap(), &renewed));
        assert_eq!(bench.calls(), 2);
        bench.answer(Err(down()));
        tokio::time::advance(RENEWAL_PAUSE).await;
        for _ in 0..2 {
            assert_eq!(bench.cache.renew(&url("x"), &renewed).await.err(), Some(down()));
        }
        assert_eq!(bench.calls(), 3);
        assert!(Arc::ptr_eq(&bench.cache.get(&url("x")).await.unwrap(), &renewed));
    }

    #[tokio::test]
    async fn a_certificate_on_disk_serves_while_the_source_is_down() {
        let first = Bench::new(0, Ok(OLD.to_vec()));
        first.cache.get(&url("x")).await.unwrap();
        let kept = first.dir.path().join("a.example/x.pem");
        while !kept.exists() {
            tokio::task::yield_now().await;
        }
        let second = Bench::in_dir(first.dir, 0, Err(down()));
        second.cache.get(&url("x")).await.unwrap();
        assert_eq!(second.cache.get(&url("y")).await.err(), Some(down()));
        std::fs::write(second.dir.path().join("a.example/z.pem"), "torn").unwrap();
        assert_eq!(second.cache.get(&url("z")).await.err(), Some(down()));
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
            assert_eq!(cache.get(&url("x")).await.err(), Some(FetchError::Abandoned));
            assert_eq!(source.0.load(Ordering::SeqCst), calls);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_finds_no_room_is_none() {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        let held = bench.cache.get(&url("x")).await.unwrap();
        let all = bench.cache.fetches.acquire_many(u32::try_from(FETCHES_MAX).unwrap()).await.unwrap();
        assert_eq!(bench.cache.renew(&url("x"), &held).await.err(), Some(FetchError::TooMany));
        drop(all);
        assert!(bench.cache.renew(&url("x"), &held).await.unwrap().is_some());
        assert_eq!(bench.calls(), 2);
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
                tokio::spawn(async move { cache.get(&url(&number.to_string())).await })
            })
            .collect();
        while bench.calls() < FETCHES_MAX {
            tokio::task::yield_now().await;
        }
        // At once, while another address waits for room.
        let kept = tokio::time::timeout(Duration::from_secs(1), bench.cache.get(&url("kept"))).await;
        kept.unwrap().unwrap();
        assert_eq!(bench.calls(), FETCHES_MAX);
        crowd.into_iter().for_each(|fetch| fetch.abort());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_bounded_and_those_that_verified_stay() {
        let bench = Bench::new(0, Ok(OLD.to_vec()));
        bench.cache.get(&url("good")).await.unwrap();
        bench.cache.note_verified(&url("good"));
        bench.answer(Err(down()));
        for number in 0..ADDRESSES_MAX * 2 {
            assert!(bench.cache.get(&url(&number.to_string())).await.is_err());
        }
        assert_eq!(bench.cache.slots.load().len(), ADDRESSES_MAX);
        let calls = bench.calls();
        bench.cache.get(&url("good")).await.unwrap();
        assert_eq!(bench.calls(), calls);
    }
}
