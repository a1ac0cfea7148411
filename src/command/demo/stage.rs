//! The two servers of the demo: a local MNS and an endpoint that trusts it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::client::{Base, Client};
use crate::clock::SystemClock;
use crate::command::emulator::{LIMITS, OWNER};
use crate::command::serve::admin_listener::{self, AdminListener};
use crate::command::serve::running::{Certificates, Running};
use crate::command::serve::self_signed::SelfSigned;
use crate::command::serve::{assemble, inspector_token};
use crate::config::{self, Config, Sources};
use crate::emulator::{Chaos, Emulator, Options, Signer, Status};
use crate::forward::Forwarders;
use crate::journal::{FileOptions, Journal, LogFiles};
use crate::mns::api::{NotifyStrategy, SubscriptionAttributes};
use crate::mns::{AccessKey, ContentFormat};
use crate::net::{self, Counters, Frontend, Tls};
use crate::quarantine::Quarantine;
use crate::roots::{self, Trust};
use crate::server::Endpoint;

/// How long all messages may take to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(120);
/// How often the status is read until then.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Both servers, each on a free port of this machine.
pub(super) struct Stage {
    emulator: Arc<Emulator>,
    emulator_address: SocketAddr,
    endpoint: Arc<Endpoint>,
    endpoint_address: SocketAddr,
    scheme: Scheme,
    config: Config,
    zone: TimeZone,
    stop: CancellationToken,
    serving: [JoinHandle<()>; 2],
}

/// The scheme of the endpoint's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Stage {
    /// Starts both. The logs go to `dir`, and so does the certificate for https.
    pub(super) async fn set(
        dir: &Path,
        chaos: Chaos,
        time_warp: u32,
        scheme: Scheme,
    ) -> anyhow::Result<Self> {
        let (emulator_listener, emulator_address) = listen()?;
        let (endpoint_listener, endpoint_address) = listen()?;
        let base = format!("http://{emulator_address}");
        let (tls, trust) = match scheme {
            Scheme::Http => (None, Trust::Roots),
            Scheme::Https => {
                let pair = SelfSigned::read_or_make(dir, vec![endpoint_address.ip().to_string()])?;
                let certificate = pair.certificate()?;
                (
                    Some(Arc::new(Tls::load(pair.files)?)),
                    Trust::RootsAnd(vec![certificate]),
                )
            }
        };
        let signer = tokio::task::spawn_blocking(|| Signer::generate(512)).await??;
        let options = Options {
            base: base.clone(),
            hosts: Vec::new(),
            access_key: Some(access_key()),
            owner: OWNER.to_owned(),
            signer,
            tls: Arc::new(roots::tls_client_trusting(trust)?),
            content_md5: None,
            chaos,
            time_warp,
            data: None,
        };
        let emulator = Emulator::start(options, Arc::new(SystemClock)).await?;
        let config = config(dir, &base)?;
        let (zone, _) = config::local_zone(std::env::var("TZ").ok().as_deref())?;
        let endpoint = Arc::new(open_endpoint(
            &config,
            endpoint_address.port(),
            zone.clone(),
        )?);
        let stop = CancellationToken::new();
        let counters = || Arc::new(Counters::default());
        let serving = [
            tokio::spawn(net::serve(
                vec![emulator_listener],
                emulator.router(),
                Frontend::plain(LIMITS),
                counters(),
                stop.clone(),
            )),
            tokio::spawn(net::serve(
                vec![endpoint_listener],
                endpoint.clone(),
                Frontend {
                    tls,
                    ..Frontend::plain(config.net.clone())
                },
                counters(),
                stop.clone(),
            )),
        ];
        Ok(Self {
            emulator,
            emulator_address,
            endpoint,
            endpoint_address,
            scheme,
            config,
            zone,
            stop,
            serving,
        })
    }

    /// The address of the local MNS.
    pub(super) fn emulator_url(&self) -> String {
        format!("http://{}", self.emulator_address)
    }

    /// The address to subscribe.
    pub(super) fn endpoint_url(&self) -> String {
        format!("{}://{}", self.scheme, self.endpoint_address)
    }

    /// The path of one of the logs.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.config
            .log_dir
            .join(format!("{name}.{}", self.endpoint_address.port()))
    }

    /// A client of the local MNS.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let base = Base::parse(&self.emulator_url())?;
        let clock = Arc::new(SystemClock);
        Ok(Client::new(base, access_key(), None, clock)?)
    }

    /// Starts the page of the endpoint. Returns its listener, and its address including the token.
    pub(super) fn open_page(&self) -> anyhow::Result<(AdminListener, String)> {
        let mut started = self.config.clone();
        inspector_token::add(&mut started, self.endpoint_address.port());
        let listener = admin_listener::bind(&started)?;
        let page = listener
            .as_ref()
            .and_then(|listener| admin_listener::page(listener, &started))
            .context("the page has no token")?;
        let running = Running {
            file: None,
            address: self.endpoint_address,
            zone: self.zone.clone(),
            zone_name: std::env::var("TZ").unwrap_or_else(|_| "local".to_owned()),
            certificates: Certificates::new(&started)?,
            started,
            endpoint: self.endpoint.clone(),
            tls: None,
            exporter: None,
            forwarders: Forwarders::default(),
        };
        let admin = admin_listener::start(listener, &running, &Arc::default());
        Ok((admin, page))
    }

    /// What the local MNS has delivered.
    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        Ok(self.emulator.status().await?)
    }

    /// Stops both.
    pub(super) async fn clear(self) -> anyhow::Result<()> {
        self.emulator.close().await;
        self.stop.cancel();
        for serving in self.serving {
            serving.await?;
        }
        self.endpoint
            .journal
            .close()
            .await
            .context("the journal failed")
    }

    /// The attributes of a subscription of the endpoint.
    pub(super) fn subscription(&self, format: ContentFormat) -> SubscriptionAttributes {
        SubscriptionAttributes {
            endpoint: self.endpoint_url(),
            filter_tag: String::new(),
            notify_strategy: NotifyStrategy::ExponentialDecayRetry,
            notify_content_format: format,
            dead_letter_queue: None,
        }
    }

    /// Waits until the local MNS has nothing left to deliver.
    pub(super) async fn wait_for_all(&self) -> anyhow::Result<Status> {
        let began = Instant::now();
        loop {
            let status = self.status().await?;
            let undelivered: u64 = status.subscriptions.iter().map(|of| of.undelivered).sum();
            if undelivered == 0 {
                return Ok(status);
            }
            if began.elapsed() > ARRIVAL_TIMEOUT {
                let last = status
                    .subscriptions
                    .iter()
                    .find_map(|of| of.last_failure.clone());
                let reason = last.unwrap_or_else(|| "no push failed".to_owned());
                bail!(
                    "{undelivered} messages did not arrive within {ARRIVAL_TIMEOUT:?}; the last \
                     failure: {reason}"
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn access_key() -> AccessKey {
    AccessKey {
        id: "emulator".to_owned(),
        secret: "emulator".to_owned(),
    }
}

fn listen() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = net::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .context("cannot listen on 127.0.0.1")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The built-in defaults, whatever this machine's configuration contains.
fn config(dir: &Path, base: &str) -> anyhow::Result<Config> {
    let text = |path: PathBuf| {
        path.into_os_string()
            .into_string()
            .ok()
            .context("the directory's name is not UTF-8")
    };
    let sources = Sources {
        // An empty file, so that the configuration of this machine is not read.
        file: Some(PathBuf::from("/dev/null")),
        environment: Vec::new(),
        flags: vec![
            ("logs.dir".to_owned(), text(dir.to_owned())?),
            ("logs.stdout".to_owned(), "off".to_owned()),
            // The proof reads only one file of each log.
            ("logs.rotate_size".to_owned(), "off".to_owned()),
            ("logs.commit_log".to_owned(), "8MiB".to_owned()),
            // For --stay: does not take the port of a serve.
            ("admin.listen".to_owned(), "127.0.0.1:0".to_owned()),
            (
                "signing.certificate_dir".to_owned(),
                text(dir.join("certificates"))?,
            ),
        ],
        trust: vec![format!("{base}/")],
    };
    Ok(Config::load(&sources)?)
}

fn open_endpoint(config: &Config, port: u16, zone: TimeZone) -> anyhow::Result<Endpoint> {
    let options = FileOptions {
        dir: config.log_dir.clone(),
        port,
        mode: config.log_mode,
    };
    let files = LogFiles::open(options)?;
    let (journal, _) = Journal::start(files, config.journal.clone(), None)?;
    Ok(assemble(
        config,
        &Certificates::new(config)?,
        journal,
        Quarantine::off(),
        zone,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_is_one_file_whatever_is_published() {
        let config = config(Path::new("logs"), "http://127.0.0.1:9000").unwrap();
        assert_eq!(config.journal.rotate_bytes, None);
    }
}
