//! Fetches from the source, bounded in time and number, counted and logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::info;

use crate::mns::SigningCertUrl;
use crate::trust::cache::failure_log::FailureLog;
use crate::trust::cache::fetch::{Asker, FetchResult};
use crate::trust::cache::fetch_budget::FetchPermits;
use crate::trust::certificate::SigningCertificate;
use crate::trust::source::{CertificateSource, FetchError};

/// Fetches certificates.
pub(super) struct Fetcher {
    source: Arc<dyn CertificateSource>,
    /// Bounds a fetch, including the wait for its permit, whatever the source does.
    timeout: Duration,
    pub(super) permits: FetchPermits,
    failures: FailureLog,
    /// Includes fetches that get no permit in time: they are among the failed ones too.
    needed: AtomicU64,
    failed: AtomicU64,
}

impl Fetcher {
    pub(super) fn new(source: Arc<dyn CertificateSource>, timeout: Duration) -> Self {
        Self {
            source,
            timeout,
            permits: FetchPermits::new(),
            failures: FailureLog::default(),
            needed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Fetches a certificate. Logs a failure if a push waits for it.
    pub(super) async fn fetch(
        &self,
        url: &SigningCertUrl,
        permits: &Semaphore,
        asker: Asker,
    ) -> FetchResult {
        self.needed.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes(url, permits).await;
        match bytes.and_then(|bytes| Ok(SigningCertificate::parse(&bytes)?)) {
            Ok(certificate) => {
                info!(%url, key_bits = certificate.key_bits(), "Fetched a signing certificate");
                Ok(Arc::new(certificate))
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                match asker {
                    Asker::Peer(_) => self.warn(url, &error),
                    // `prefetch` logs the failure.
                    Asker::Nobody => {}
                }
                Err(error)
            }
        }
    }

    /// Logs that a certificate could not be fetched.
    pub(super) fn warn(&self, url: &SigningCertUrl, error: &FetchError) {
        self.failures
            .warn(url, error, "Could not fetch a signing certificate");
    }

    /// The number of fetches, and the number of those that brought no certificate.
    pub(super) fn counts(&self) -> (u64, u64) {
        let [needed, failed] = [&self.needed, &self.failed].map(|it| it.load(Ordering::Relaxed));
        (needed, failed)
    }

    async fn bytes(
        &self,
        url: &SigningCertUrl,
        permits: &Semaphore,
    ) -> Result<Vec<u8>, FetchError> {
        let now = Instant::now();
        let deadline = now.checked_add(self.timeout).unwrap_or(now);
        let Ok(_permit) = timeout_at(deadline, permits.acquire()).await else {
            return Err(FetchError::TooMany);
        };
        let fetched = timeout_at(deadline, self.source.fetch(url)).await;
        fetched.unwrap_or(Err(FetchError::TimedOut(self.timeout)))
    }
}
