//! The part of the configuration that is in use, and how it changes while requests are answered.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::forward::Forwarders;
use crate::net::Tls;
use crate::server::{Endpoint, Gate};
use crate::traces::Exporter;
use crate::trust::{self, CertificateCache, CertificateStore, FetchOptions, HttpsSource, Verifier};

/// How long a start waits for the certificates on disk.
const KEPT_TIMEOUT: Duration = Duration::from_secs(1);

/// The certificates, and the settings that decide how they are obtained.
pub(crate) struct Certificates {
    cache: Arc<CertificateCache>,
    fetch: FetchOptions,
    dir: PathBuf,
}

/// The state that a reload changes.
pub(crate) struct Running {
    /// The configuration at the start.
    pub(crate) started: Config,
    /// The configuration file. Once there is one it must continue to exist.
    pub(crate) file: Option<PathBuf>,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// The time zone of the logs, and its name.
    pub(crate) zone: TimeZone,
    pub(crate) zone_name: String,
    pub(crate) certificates: Certificates,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) tls: Option<Arc<Tls>>,
    /// Sends traces, if they are enabled.
    pub(crate) exporter: Option<Exporter>,
    /// Hands accepted notifications on.
    pub(crate) forwarders: Forwarders,
}

impl Certificates {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let source = HttpsSource::new(config.fetch.clone())?;
        let store = CertificateStore::new(config.certificate_dir.clone());
        let cache = CertificateCache::new(Arc::new(source), store, config.fetch.timeout);
        Ok(Self {
            cache,
            fetch: config.fetch.clone(),
            dir: config.certificate_dir.clone(),
        })
    }

    /// The same certificates with a new configuration. Keeps the cache if they are obtained in the
    /// same way.
    fn again(&self, config: &Config) -> anyhow::Result<Self> {
        if self.fetch == config.fetch && self.dir == config.certificate_dir {
            return Ok(Self {
                cache: self.cache.clone(),
                fetch: self.fetch.clone(),
                dir: self.dir.clone(),
            });
        }
        let again = Self::new(config)?;
        // A reload does not wait: the current settings answer in the meantime.
        drop(again.read_kept(config));
        Ok(again)
    }

    /// Caches the certificates on disk before the first push needs one. Otherwise it would wait for
    /// a source that may be down. Waits at most [`KEPT_TIMEOUT`], so that a directory which does
    /// not respond cannot block the start.
    pub(crate) async fn cache_kept(&self, config: &Config) {
        let read = timeout(KEPT_TIMEOUT, self.read_kept(config)).await;
        if read.is_err() {
            let dir = self.dir.display();
            warn!(%dir, "Reading the certificates on disk takes long: serving without them until \
                they are read");
        }
    }

    fn read_kept(&self, config: &Config) -> JoinHandle<()> {
        tokio::spawn(self.cache.clone().load_kept(config.prefixes.clone()))
    }

    /// Fetches the configured certificate before a push needs it. Completes when that is done.
    pub(crate) fn prefetch(&self, config: &Config) -> impl Future<Output = ()> + Send + 'static {
        // Weak, so that the prefetch ends if a reload replaces the cache.
        let (cache, url) = (Arc::downgrade(&self.cache), config.prefetch.clone());
        async move {
            if let Some(url) = url {
                trust::prefetch(cache, url).await;
            }
        }
    }

    /// The checks that decide which requests are accepted.
    pub(crate) fn gate(&self, config: &Config, clock: Arc<dyn Clock>) -> Gate {
        let verifier = Verifier::new(
            config.policy.clone(),
            config.prefixes.clone(),
            self.cache.clone(),
            clock,
        );
        Gate {
            verifier,
            admission: config.admission.clone(),
        }
    }
}

impl Running {
    /// Applies what can change while requests are answered, and returns the configuration. Requests
    /// in progress end with the settings that they began with. If any setting cannot be used,
    /// nothing changes.
    pub(crate) fn reload(&mut self, read: anyhow::Result<Config>) -> Option<Config> {
        match read.and_then(|config| self.take(&config).map(|()| config)) {
            Ok(config) => {
                // Compared with the start and not with the last reload: a restart is needed until
                // there is one.
                let keys = self.started.keys_for_restart(&config);
                if !keys.is_empty() {
                    warn!(
                        keys = keys.join(", "),
                        "These keys have changed and need a restart"
                    );
                }
                self.file.clone_from(&config.file);
                info!(configuration = %config.origin, "Reloaded the configuration: signing, \
                    accept and server.tls are in effect");
                Some(config)
            }
            Err(error) => {
                // On one line, because several would look like several messages.
                let error = format!("{error:#}")
                    .lines()
                    .map(str::trim)
                    .collect::<Vec<_>>()
                    .join(" ");
                error!(%error, "Could not reload the configuration: the current one stays in use");
                None
            }
        }
    }

    fn take(&mut self, config: &Config) -> anyhow::Result<()> {
        let certificates = self.certificates.again(config).context("signing")?;
        let gate = certificates.gate(config, self.endpoint.clock.clone());
        // The last step that can fail comes before the first one that has an effect.
        if let (Some(tls), Some(files)) = (&self.tls, &config.tls) {
            tls.replace(files.clone())?;
        }
        self.endpoint.gate.store(Arc::new(gate));
        self.certificates = certificates;
        Ok(())
    }
}
