//! Tests of the cache, over a source whose answer each test sets.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::addresses::ADDRESSES_MAX;
use super::decision::{FAILURE_REMEMBERED, RENEWAL_PAUSE};
use super::fetch::FetchResult;
use super::fetch_budget::FETCHES_MAX;
use super::*;
use crate::mns::{Prefix, Prefixes, SigningCertUrl, WELL_KNOWN_CERTIFICATE};
use crate::trust::certificate::samples::{OLD, OTHER};
use crate::trust::known_keys::KeyChange;
use crate::trust::prefetch;
use crate::trust::source::Fetching;
use crate::trust::{CertificateSource, CertificateStore, FetchError, SigningCertificate};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Returns the answer that the test has set, after a delay, and counts the calls.
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
        let script = Arc::new(Script {
            answer: Mutex::new(answer),
            delay,
            calls: AtomicUsize::new(0),
        });
        let store = CertificateStore::new(dir.path().to_owned());
        let cache = CertificateCache::new(script.clone(), store, Duration::from_secs(2));
        Self { script, cache, dir }
    }

    async fn get(&self, file: &str) -> FetchResult {
        self.cache.get(&url(file), PEER).await
    }

    /// Records a push that is verified with the cached certificate of an address.
    async fn verify(&self, file: &str) -> Option<KeyChange> {
        let held = self.get(file).await.unwrap();
        self.cache.note_verified(&url(file), &held, PEER)
    }

    /// Enough strangers to use up the shared budget.
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
async fn a_failure_answers_for_two_seconds_and_then_the_source_is_asked_again() {
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
async fn an_answer_that_is_not_a_certificate_is_a_failure() {
    let bench = Bench::new(0, Ok(b"<html>".to_vec()));
    assert!(matches!(bench.get("x").await, Err(FetchError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn an_address_is_renewed_at_most_once_in_a_pause_and_keeps_its_certificate_when_that_fails() {
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

/// A source with a defect.
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
async fn a_renewal_without_a_permit_does_not_count() {
    let bench = Bench::new(0, Ok(OLD.to_vec()));
    let held = bench.get("x").await.unwrap();
    let all = bench
        .cache
        .supply
        .fetcher
        .permits
        .newcomers
        .acquire_many(u32::try_from(FETCHES_MAX).unwrap())
        .await
        .unwrap();
    assert_eq!(
        bench.cache.renew(&url("x"), &held, PEER).await.err(),
        Some(FetchError::TooMany)
    );
    // The metrics count it as a fetch that failed.
    let fetches = || {
        let counts = bench.cache.counts();
        (counts.fetches, counts.failures)
    };
    assert_eq!((fetches(), bench.calls()), ((2, 1), 1));
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

/// Takes every permit of newcomers with fetches that do not end.
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
    // Both ask the source while every permit of newcomers is taken.
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
    let slot = bench.cache.supply.addresses.get(&well_known()).unwrap();
    for number in 0..ADDRESSES_MAX * 2 {
        bench
            .cache
            .supply
            .addresses
            .get_or_pay(&url(&format!("made-up{number}")), || true)
            .unwrap();
    }
    assert!(Arc::ptr_eq(
        &slot,
        &bench.cache.supply.addresses.get(&well_known()).unwrap()
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
    // The certificate is saved once it has verified a push; from then on nothing is fetched ahead.
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
    // `prefetch` looks on disk first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
    drop(cache);
    prefetching.await.unwrap();
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_all_permits_are_taken_certificates_on_disk_are_still_used() {
    let mut bench = Bench::new(3_600_000, Err(down()));
    // With this timeout the permits are taken until the end of the test.
    let (store, hour) = (
        CertificateStore::new(bench.dir.path().to_owned()),
        Duration::from_secs(3600),
    );
    bench.cache = CertificateCache::new(bench.script.clone(), store, hour);
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
    // The answer comes at once: an address without a copy on disk would wait for a permit.
    let kept = tokio::time::timeout(Duration::from_secs(30), bench.get("kept")).await;
    kept.unwrap().unwrap();
    assert_eq!(bench.calls(), FETCHES_MAX);
    crowd.into_iter().for_each(|fetch| fetch.abort());
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_bounded_and_never_evict_a_known_address() {
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
    // One more address evicts the one that has been unused the longest, and no other.
    bench.verify("good0").await;
    bench.verify("late").await;
    assert_eq!(
        bench.cache.counts().held,
        both_halves - 1,
        "it was a newcomer first"
    );
    let held = |file: &str| bench.cache.supply.addresses.get(&url(file)).is_some();
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
    // These addresses are not made up, so each fetch is given back.
    for number in 0..burst * 3 {
        let (file, peer) = (format!("genuine{number}"), "192.0.2.3".parse().unwrap());
        let held = bench.cache.get(&url(&file), peer).await.unwrap();
        bench.cache.note_verified(&url(&file), &held, peer);
    }
    // Once the budget is used up, a failed address answers with the error of its last fetch.
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
    // A renewal that did not take place does not delay the next one.
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
async fn another_key_is_reported_once_at_its_address_elsewhere_and_after_a_restart() {
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
    // `x.pem` had the first key before, so wait until both files have the new one.
    let is_kept = |file: &str| {
        let found = std::fs::read(bench.dir.path().join(format!("a.example/{file}.pem")))
            .unwrap_or_default();
        SigningCertificate::parse(&found).is_ok_and(|found| found.fingerprint() == change.new_key)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
