//! `emulator`: a local MNS on one address, until a signal.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::time::{Instant, Interval, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::client::Base;
use crate::clock::SystemClock;
use crate::command::chaos::print_counts;
use crate::command::format::Md5Notation;
use crate::command::key::{self, Key};
use crate::command::program::program;
use crate::command::receiver_tls::ReceiverTls;
use crate::command::stdout::printer;
use crate::emulator::{CHAOS_DEFAULT, Chaos, Emulator, KNOWN_KEY, Options, Status};
use crate::journal::Format;
use crate::mns::AccessKey;
use crate::net::{self, Counters, Frontend, Limits};
use crate::signals::Signals;
use crate::telemetry;

/// The default account id, if the host of a request names none: the one of the manual.
pub(super) const OWNER: &str = "1269128356620446";
/// The limits on connections to the API.
pub(super) const LIMITS: Limits = Limits::of_connections(1024);
/// How long open requests may take after a stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Emulate MNS on this machine: no account, no network.
///
/// Supports topics, subscriptions, publishing and pushing: the topic half of the REST API, version
/// 2015-06-06. Clients use the key of --access-key. The same address also serves a page for the
/// browser at /, the signing certificates, and a status document at /status. docs/emulator.md says
/// what behaves like MNS and what does not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint emulator
  mns-endpoint emulator --ca certs/self-signed.pem    # for serve --self-signed
  mns-endpoint emulator --data /var/lib/emulator --time-warp 60
  mns-endpoint emulator --listen 0.0.0.0:9000 --public-url http://emulator:9000    # in a container
  mns-endpoint emulator --chaos --seed 7
  mns-endpoint emulator --chaos drop-answer=0.5,truncate=0.1")]
pub(super) struct EmulatorCommand {
    /// The address of the API, the page, the certificates and the status document.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// The URL by which others reach the emulator [default: http:// and the address that it listens
    /// on].
    #[arg(long, value_name = "URL", value_parser = Base::parse)]
    public_url: Option<Base>,
    /// A further name to accept in the Host header; may be repeated. Addresses, names without a
    /// dot, the host of --public-url, and ID.mns.REGION.aliyuncs.com are always accepted.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// The access key of the account.
    #[arg(long, value_name = "ID:SECRET", default_value = KNOWN_KEY, value_parser = access_key)]
    access_key: AccessKey,
    /// Accept API requests with any key or none.
    #[arg(long, conflicts_with = "access_key")]
    no_auth: bool,
    /// The account id for requests whose host does not have the form ID.mns.REGION.aliyuncs.com.
    #[arg(long, value_name = "ID", default_value = OWNER)]
    account_id: String,
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    receiver_tls: ReceiverTls,
    /// The notation of Content-md5 in pushes [default: hex-base64 for XML and JSON, hex for
    /// SIMPLIFIED].
    #[arg(long, value_name = "NOTATION", value_enum)]
    content_md5: Option<Md5Notation>,
    /// Replace the signing key and the address of its certificate at this interval, as in 30s.
    #[arg(long, value_name = "EVERY", value_parser = period)]
    rotate_key: Option<Duration>,
    /// Divide every waiting time before a push by this number: retries, back-off, the pauses of
    /// --chaos.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    time_warp: u32,
    /// The directory for topics, subscriptions and undelivered messages [default: in memory].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Inject the faults in this list of KIND=RATE; without a list, every kind at a low rate.
    #[arg(long, value_name = "LIST", num_args = 0..=1, default_missing_value = CHAOS_DEFAULT)]
    chaos: Option<Chaos>,
    /// The random seed of --chaos: the same number gives the same faults.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl EmulatorCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::install().context("cannot handle signals")?;
        let _telemetry =
            telemetry::start(Format::Text, None).context("cannot start the diagnostic log")?;
        let listener = net::bind(self.listen).with_context(|| {
            format!("cannot listen on {}: choose another --listen", self.listen)
        })?;
        let bound = listener.local_addr()?;
        let base = match &self.public_url {
            Some(base) => base.to_string(),
            None if bound.ip().is_unspecified() => {
                bail!("an endpoint cannot fetch a certificate from {bound}: add --public-url URL")
            }
            None => format!("http://{bound}"),
        };
        // Canonical, because ::ffff:127.0.0.1 is loopback as well.
        if !bound.ip().to_canonical().is_loopback() {
            self.warn_of_strangers(bound);
        }
        info!(%bound, "Listening");
        let options = Options {
            base: base.clone(),
            hosts: self.host.clone(),
            access_key: (!self.no_auth).then(|| self.access_key.clone()),
            owner: self.account_id.clone(),
            signer: self.key.signer().await?,
            tls: self.receiver_tls.client()?,
            content_md5: self.content_md5.map(Into::into),
            chaos: self
                .chaos
                .clone()
                .unwrap_or_else(Chaos::none)
                .with_seed(self.seed),
            time_warp: self.time_warp,
            data: self.data.clone(),
        };
        let emulator = Emulator::start(options, Arc::new(SystemClock)).await?;
        self.announce(&base, &emulator)?;
        let stop = CancellationToken::new();
        let counters = Arc::new(Counters::default());
        let serving = tokio::spawn(net::serve(
            vec![listener],
            emulator.router(),
            Frontend::plain(LIMITS),
            counters,
            stop.clone(),
        ));
        let mut changes = self
            .rotate_key
            .map(|every| interval_at(later(every), every));
        loop {
            tokio::select! {
                signal = signals.stop() => {
                    info!(signal, "Stopping");
                    break;
                }
                () = tick(changes.as_mut()) => change_key(&emulator).await,
            }
        }
        stop.cancel();
        if timeout(DRAIN, serving).await.is_err() {
            warn!("Some requests were still open");
        }
        let status = emulator.status().await?;
        emulator.close().await;
        self.print_end(&status)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The emulator signs whatever its users publish and pushes to any address, so warns if
    /// strangers can use it.
    fn warn_of_strangers(&self, bound: SocketAddr) {
        if self.no_auth {
            warn!(%bound, "Other machines reach this address, and --no-auth lets them publish: \
                endpoints that trust this \
                emulator believe what they publish. Listen on 127.0.0.1, or give an --access-key");
        } else if format!("{}:{}", self.access_key.id, self.access_key.secret) == KNOWN_KEY {
            warn!(%bound, "Other machines reach this address, and everyone knows the access key \
                {KNOWN_KEY}: endpoints that \
                trust this emulator believe what strangers publish. Listen on 127.0.0.1, or give \
                an --access-key of your own");
        }
    }

    fn announce(&self, base: &str, emulator: &Emulator) -> std::io::Result<()> {
        let mut out = printer();
        let (key, account) = (&self.access_key, &self.account_id);
        let program = program();
        writeln!(out, "Start Emulator! Address: {base}")?;
        writeln!(out, "Page: {base}/")?;
        writeln!(out, "Certificate: {}", emulator.certificate_url())?;
        match &self.data {
            Some(dir) => writeln!(out, "Account: {account}, stored in {}", dir.display())?,
            None => writeln!(
                out,
                "Account: {account}, stored in memory: lost when this ends (see --data)"
            )?,
        }
        let (scheme, tls) = if self.receiver_tls.is_given() {
            ("https", " --self-signed")
        } else {
            ("http", "")
        };
        writeln!(out, "\nIn another terminal, an endpoint that trusts it:")?;
        writeln!(
            out,
            "  {program} serve --listen 127.0.0.1:8080{tls} --trust {base}/"
        )?;
        writeln!(out, "and in a third one the manual's steps:")?;
        writeln!(out, "  export MNS_ACCOUNT_ENDPOINT={base}")?;
        writeln!(
            out,
            "  export ALIBABA_CLOUD_ACCESS_KEY_ID={} ALIBABA_CLOUD_ACCESS_KEY_SECRET={}",
            key.id, key.secret
        )?;
        writeln!(out, "  {program} topic create")?;
        // MNS could not reach an address of this machine, but this emulator can.
        let force = if Base::parse(base).is_ok_and(|base| net::is_private_host(base.host())) {
            ""
        } else {
            " --force"
        };
        writeln!(
            out,
            "  {program} subscription create {scheme}://127.0.0.1:8080{force}"
        )?;
        writeln!(out, "  {program} publish\n")?;
        out.flush()
    }

    /// Prints what is undelivered, and the faults that were injected.
    fn print_end(&self, status: &Status) -> std::io::Result<()> {
        let mut out = printer();
        for subscription in &status.subscriptions {
            let (topic, name) = (&subscription.topic, &subscription.subscription);
            let (delivered, failed) = (subscription.delivered, subscription.failed_pushes);
            let (undelivered, given_up) = (subscription.undelivered, subscription.given_up);
            writeln!(
                out,
                "{topic}/{name}: {delivered} delivered, {undelivered} undelivered, {given_up} \
                 given up, {failed} failed pushes"
            )?;
        }
        // Chaos may have been enabled on the page.
        if self.chaos.is_some() || status.chaos.values().any(|struck| *struck > 0) {
            print_counts(&mut out, status)?;
        }
        Ok(())
    }
}

/// Switches to another key of the same size.
async fn change_key(emulator: &Emulator) {
    match key::another(emulator.key_bits()).await {
        Ok(signer) => {
            emulator.change_key(signer);
            info!(
                certificate = emulator.certificate_url(),
                "Signing with a new key"
            );
        }
        Err(error) => warn!(%error, "Keeping the current key"),
    }
}

/// Waits for the next tick. Without an interval, waits for ever.
async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

fn later(by: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(by).unwrap_or(now)
}

/// A duration greater than zero.
fn period(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("give a time, as in 30s".to_owned()),
        Ok(period) => Ok(period),
        Err(error) => Err(error.to_string()),
    }
}

fn access_key(text: &str) -> Result<AccessKey, &'static str> {
    match text.split_once(':') {
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() => Ok(AccessKey {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }),
        Some(_) | None => Err("write ID:SECRET, as in emulator:emulator"),
    }
}
