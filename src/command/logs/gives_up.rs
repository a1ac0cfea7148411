//! A source of certificates that gives up on a host which delivers none.
//!
//! A stranger may have put requests with any number of made-up addresses into the quarantine.
//! `serve` limits fetches by sender, but a command judges all of them in one run that has to end,
//! so fetches are limited by host.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::mns::SigningCertUrl;
use crate::trust::{CertificateSource, FetchError, Fetching};

/// How many fetches from one host may time out. Each takes as long as a fetch is allowed to take.
const SILENCES_MAX: usize = 3;
/// How many fetches from one host may return something other than a certificate. Those are quick,
/// and the next address may be a genuine one.
const REFUSALS_MAX: usize = 256;

/// Wraps a source, and stops asking it about a host that has failed too often.
pub(super) struct GivesUp<S> {
    source: S,
    hosts: Mutex<HashMap<String, Failed>>,
}

/// The addresses of one host that delivered no certificate.
#[derive(Default)]
struct Failed(HashMap<SigningCertUrl, FetchError>);

impl<S: CertificateSource> GivesUp<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            source,
            hosts: Mutex::default(),
        }
    }

    async fn ask(&self, url: &SigningCertUrl) -> Result<Vec<u8>, FetchError> {
        self.hosts()
            .entry(url.authority().to_owned())
            .or_default()
            .begin(url)?;
        // The lock is released before the fetch, which may take seconds.
        let fetched = self.source.fetch(url).await;
        if let Some(failed) = self.hosts().get_mut(url.authority()) {
            failed.end(url, fetched.as_ref().err());
        }
        fetched
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Failed>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: CertificateSource> CertificateSource for GivesUp<S> {
    fn fetch<'a>(&'a self, url: &'a SigningCertUrl) -> Fetching<'a> {
        Box::pin(self.ask(url))
    }
}

impl Failed {
    /// Counts the fetch as timed out from the start: its caller may stop waiting, and then nobody
    /// reports how it ended.
    fn begin(&mut self, url: &SigningCertUrl) -> Result<(), FetchError> {
        // It failed before in this run, and the next answer would be the same.
        if let Some(error) = self.0.get(url) {
            return Err(error.clone());
        }
        let silences = self.0.values().filter(|error| is_silence(error)).count();
        if silences >= SILENCES_MAX || self.0.len().saturating_sub(silences) >= REFUSALS_MAX {
            return Err(FetchError::GivenUp);
        }
        self.0.insert(url.clone(), FetchError::GivenUp);
        Ok(())
    }

    fn end(&mut self, url: &SigningCertUrl, error: Option<&FetchError>) {
        match error {
            Some(error) => self.0.insert(url.clone(), error.clone()),
            None => self.0.remove(url),
        };
    }
}

fn is_silence(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::TimedOut(_) | FetchError::Unreachable(_) | FetchError::GivenUp
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::mns::{Prefix, Prefixes};

    struct Script(Result<Vec<u8>, FetchError>, AtomicUsize);

    impl CertificateSource for Script {
        fn fetch<'a>(&'a self, _url: &'a SigningCertUrl) -> Fetching<'a> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { self.0.clone() })
        }
    }

    /// Asks two hosts for this many addresses each, all of them twice. Returns how often the source
    /// was asked.
    async fn asked(answer: Result<Vec<u8>, FetchError>, addresses: usize) -> usize {
        let hosts = ["http://a/", "http://b/"];
        let prefixes = Prefixes::new(hosts.map(|host| Prefix::parse(host).unwrap()));
        let gives_up = GivesUp::new(Script(answer, AtomicUsize::new(0)));
        for host in hosts {
            for number in (0..addresses).flat_map(|number| [number, number]) {
                let url = prefixes
                    .admit(format!("{host}{number}.pem").as_bytes())
                    .unwrap();
                let _outcome = gives_up.fetch(&url).await;
            }
        }
        gives_up.source.1.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn each_host_is_given_up_after_its_own_failures() {
        assert_eq!(
            // Two hosts, each with its own limit.
            asked(Err(FetchError::Unreachable("no".to_owned())), 10).await,
            2 * SILENCES_MAX
        );
        // Each address is asked once, because a failure is remembered for the run.
        assert_eq!(asked(Err(FetchError::Status(404)), 10).await, 20);
        assert_eq!(
            asked(Err(FetchError::Status(404)), 1000).await,
            2 * REFUSALS_MAX
        );
        // A success is not remembered here: the cache in front of the source has the certificate.
        assert_eq!(asked(Ok(vec![1]), 1000).await, 4000);
    }
}
