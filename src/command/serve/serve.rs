//! `serve`: binds, recovers the logs, prints its address, serves until a signal, and closes.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::command::Configuration;
use crate::command::serve::announcement::{Start, announce};
use crate::command::serve::assembly::{assemble, open_files, quarantine, start_journal};
use crate::command::serve::running::{Certificates, Running};
use crate::command::serve::self_signed::SelfSigned;
use crate::command::serve::{
    admin_listener, forwarding, inspector_token, listeners, traces, warnings,
};
use crate::command::stdout::{self, Stdout};

use crate::config::{self, Config};
use crate::journal::{Journal, JournalError};
use crate::net::{self, Counters, Frontend, Tls, Workers};
use crate::server::{self, Endpoint};
use crate::signals::{Asked, Signals};
use crate::telemetry;

/// How long the last records may take to reach the disk after the connections are closed. Together
/// with `server.drain` it stays below the 10 s after which a container is killed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Receive notifications.
///
/// Every notification that is answered 201 was signed by MNS, is meant for you, and is on disk in
/// logs.dir/endpoint_log.PORT. On SIGTERM or SIGINT, finishes the requests in flight and exits with
/// 0. On SIGHUP, reads the configuration again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint serve
  mns-endpoint serve --listen '[::]:8080' --set accept.topic_owners=1269128356620446
  mns-endpoint serve --self-signed --trust http://127.0.0.1:9001/    # https
  mns-endpoint serve --listen 127.0.0.1:8080 --trust http://127.0.0.1:9001/    # for push")]
pub(crate) struct Serve {
    #[command(flatten)]
    configuration: Configuration,
    /// Trust every signing certificate whose address begins with URL, for this run. Only for tests
    /// with push and the emulator.
    #[arg(long, value_name = "URL")]
    trust: Vec<String>,
    /// Serve https with certs/self-signed.pem and its key, and generate both if one is missing. For
    /// trials: push and the emulator trust this certificate if their --ca names it.
    #[arg(long)]
    self_signed: bool,
}

impl Serve {
    pub(crate) async fn run(mut self) -> anyhow::Result<ExitCode> {
        let pair = self
            .self_signed
            .then(|| SelfSigned::configure(&mut self.configuration, &self.trust))
            .transpose()?;
        let mut config = self.configuration.load(&self.trust)?;
        // An unknown zone ends the start before `reveal_path` may create a file.
        let (zone, zone_name) = config::local_zone(std::env::var("TZ").ok().as_deref())?;
        config.reveal_path()?;
        // Before the logs are opened, so that no signal ends the process while they are recovered.
        let mut signals = Signals::install().context("cannot handle signals")?;
        // The pair is read and both addresses are bound before the logs are opened, so that a
        // mistake in them changes nothing in the log directory.
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let inherited = net::inherited()?;
        let is_inherited = !inherited.is_empty();
        let admin = admin_listener::bind(&config)?;
        let (listeners, address) = if is_inherited {
            listeners::first_of(inherited)
        } else {
            listeners::bind(&config.listen)
        }?;
        // After the port is known, because it is a part of their names.
        let files = open_files(&config, address.port())?;
        let _telemetry = telemetry::start(
            config.diagnostics_format,
            config
                .diagnostics
                .then_some((&config.log_dir, config.log_mode)),
        )?;
        let mut stdout = Stdout::new(config.stdout);
        let (journal, recovered, held) = start_journal(files, &config, stdout.take_tee())?;
        warnings::of_the_logs(&config, &recovered);
        warnings::of_the_configuration(&config, &self.trust);
        listeners::warn_without_ipv6(&config, address);
        if is_inherited {
            info!(%address, "Listening on sockets of the service manager, not on server.listen");
        }
        let certificates = Certificates::new(&config)?;
        certificates.cache_kept(&config).await;
        let quarantine = quarantine(&config, address.port());
        // Mutable until the exporter and the forwarders are part of it. Only then is it shared.
        let mut endpoint = assemble(&config, &certificates, journal, quarantine, zone.clone());
        let exporter = traces::start(&config, &mut endpoint)?;
        let forwarders = forwarding::start(&config, &mut endpoint, address.port(), &zone)?;
        // Each of them has its own by now.
        drop(held);
        let endpoint = Arc::new(endpoint);
        let show_address = self.configuration.show_address_command(&config, address);
        inspector_token::add(&mut config, address.port());
        let start = Start {
            bound: address,
            zone: &zone_name,
            show_address: &show_address,
            pair: pair.as_ref(),
            page: admin
                .as_ref()
                .and_then(|admin| admin_listener::page(admin, &config)),
        };
        // The sockets are bound: a push that arrives before they are served waits in their backlog.
        announce(&config, &endpoint, start);
        let running = Running {
            file: config.file.clone(),
            address,
            zone,
            zone_name,
            started: config,
            certificates,
            endpoint,
            tls,
            exporter,
            forwarders,
        };
        self.serve_until_stopped(running, listeners, admin, &mut signals)
            .await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Serves until a signal or until the journal fails, then drains and closes.
    async fn serve_until_stopped(
        &self,
        mut running: Running,
        listeners: Vec<TcpListener>,
        admin: Option<TcpListener>,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        let endpoint = running.endpoint.clone();
        let workers =
            Workers::for_each_processor().context("cannot start threads to serve with")?;
        let frontend = Frontend {
            limits: listeners::limits(&running.started),
            tls: running.tls.clone(),
            proxies: running.started.trusted_proxies.clone(),
            health_path: running.started.server.health_path.clone(),
            workers: Some(Arc::new(workers)),
        };
        let (stop, counters) = (CancellationToken::new(), Arc::new(Counters::default()));
        let service = endpoint.clone();
        let admin = admin_listener::start(admin, &running, &counters);
        let mut serving = tokio::spawn(net::serve(
            listeners,
            service,
            frontend,
            counters.clone(),
            stop.clone(),
        ));
        let (each_second, prefetch) = (
            server::look_after_each_second(endpoint.clone(), stop.clone()),
            running.certificates.prefetch(&running.started),
        );
        let prefetch = stop.clone().run_until_cancelled_owned(prefetch);
        let chores = tokio::spawn(async {
            tokio::join!(each_second, prefetch);
        });
        let failed = loop {
            tokio::select! {
                asked = signals.asked() => match asked {
                    Asked::Reload => {
                        self.reload(&mut running);
                        // SIGHUP also asks for new log files, after a rotation by logrotate.
                        endpoint.journal.reopen();
                    }
                    Asked::Stop(signal) => {
                        endpoint.draining.cancel();
                        info!(signal, "Stopping: finishing the requests in flight");
                        break false;
                    }
                },
                // Without its journal the endpoint can accept nothing.
                () = endpoint.journal.failed() => break true,
                _ = &mut serving => bail!("a listener no longer accepts connections: see the line \
                    before, then start again"),
            }
        };
        let closing = drain(&running.started, &endpoint, (serving, chores), &stop);
        let closed = tokio::select! {
            closed = closing => closed,
            signal = signals.second(!failed) => bail!("stopped immediately by a second {signal}"),
        };
        // After the journal: what it has committed last may still be sent.
        running.forwarders.stop().await;
        tokio::join!(admin.stop(), traces::stop(running.exporter));
        log_counts(&counters, &endpoint.journal);
        stdout::log_dropped(endpoint.journal.meters());
        match closed {
            Ok(Ok(())) if !failed => Ok(()),
            Ok(Ok(()) | Err(_)) => {
                bail!(
                    "the journal failed: everything answered 201 is on disk; restart on a working \
                        disk"
                )
            }
            Err(_) => bail!("the last records did not reach the disk within {CLOSE_TIMEOUT:?}"),
        }
    }

    /// Reads the configuration again, from the same file.
    fn reload(&self, running: &mut Running) {
        let mut again = self.configuration.clone();
        again.config.clone_from(&running.file);
        if let Some(config) = running.reload(again.load(&self.trust).map_err(Into::into)) {
            warnings::of_the_configuration(&config, &self.trust);
        }
    }
}

/// Drains: reports unhealthy and still serves for `server.drain_delay`, then accepts no more
/// connections and finishes open requests and the last records, each within its time limit.
async fn drain(
    config: &Config,
    endpoint: &Endpoint,
    (serving, chores): (JoinHandle<()>, JoinHandle<()>),
    stop: &CancellationToken,
) -> Result<Result<(), JournalError>, Elapsed> {
    // Again, because a failed journal ends the loop without a signal.
    endpoint.draining.cancel();
    // Health checks fail from now on. Until the balancers have noticed, pushes are still accepted.
    tokio::select! {
        () = sleep(config.drain_delay) => {}
        // Without its journal the endpoint accepts nothing, so waiting would only delay the end.
        () = endpoint.journal.failed() => {}
    }
    stop.cancel();
    if timeout(config.drain, serving).await.is_err() {
        warn!(drain = ?config.drain, "Some requests were still open at the end of server.drain");
    }
    // Ends soon, because `stop` cancels both chores.
    drop(chores.await);
    // The refusals of the last second, before the journal is closed.
    endpoint.log_left_out();
    let closing = timeout(CLOSE_TIMEOUT, endpoint.journal.close());
    let (closed, _) = tokio::join!(closing, timeout(CLOSE_TIMEOUT, endpoint.quarantine.close()));
    closed
}

fn log_counts(counters: &Counters, journal: &Journal) {
    let broken_heads = counters.broken_heads.load(Ordering::Relaxed);
    let turned_away = counters.turned_away.load(Ordering::Relaxed);
    let failed_handshakes = counters.failed_handshakes.load(Ordering::Relaxed);
    info!(
        broken_heads,
        turned_away,
        failed_handshakes,
        refusals_not_logged = journal.refusals_dropped(),
        "Stopped"
    );
}
