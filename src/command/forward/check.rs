//! `forward check`: asks a destination whether it keeps what forwarding to it promises.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;

use crate::clock::{Clock as _, SystemClock};
use crate::command::check::{Finding, Findings};
use crate::command::client::service::Output;
use crate::command::forward::log::{ForwardedLog, LogArguments};
use crate::config;
use crate::forward::{self, Destination, Oldest, Settings};

/// Check a destination.
///
/// For a stream of NATS, connects to each server, and to each monitoring port in
/// forward.NAME.monitors. Checks versions (2.10.26 or later), replicas (three or more), subjects,
/// discard policy and size limits. The duplicate window, the time for which the stream remembers
/// ids, must be longer than the oldest notification has waited. Through a monitoring port, also
/// checks whether the server syncs a message before it acknowledges the message. For an HTTP
/// service, reads the files that [forward.NAME] names and looks up the host name of the service,
/// but sends nothing. May run beside serve, and changes nothing. Exits as mns-endpoint check does:
/// with 78 if any finding is an error, otherwise with 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward check orders
  mns-endpoint forward check orders --output json")]
pub(super) struct Check {
    /// The destination: NAME in [forward.NAME].
    name: String,
    #[command(flatten)]
    log: LogArguments,
    /// The format of the findings.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Check {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let log = self.log.open()?;
        let settings = log.destination(&self.name)?;
        let mut findings = Findings(Vec::new());
        let key = |key: &str| format!("forward.{}.{key}", settings.name);
        let lag = match lag(&log, settings) {
            Ok(lag) => lag,
            // A cursor that cannot be read is one finding. The destination is examined
            // nevertheless.
            Err(error) => {
                let text = format!("nothing is forwarded: {error:#}");
                findings.0.push(Finding::error(key("cursor"), text));
                Duration::ZERO
            }
        };
        let seen = match &settings.destination {
            Destination::Nats(options) => forward::examine(options, lag).await,
            Destination::Http(options) => forward::examine_http(&settings.name, options).await,
        };
        let seen = seen
            .into_iter()
            .map(|seen| Finding::observed(&settings.name, seen));
        findings.0.extend(seen);
        findings.print(self.output, &log.config.origin)?;
        Ok(findings.code())
    }
}

/// How long the oldest notification after the cursor has waited.
fn lag(log: &ForwardedLog, settings: &Settings) -> anyhow::Result<Duration> {
    let Some(progress) = log.cursor(settings).load()? else {
        return Ok(Duration::ZERO);
    };
    // Reads until one is found, however much of the log is not sent: a lag that is too small would
    // hide that the duplicate window is too short.
    let oldest = Oldest::find(log.chain(), progress.saved, settings, || true);
    let Oldest::Row(row) = oldest.context("cannot read the log")? else {
        return Ok(Duration::ZERO);
    };
    // The times of the log are local times.
    let (zone, _name) = config::local_zone(std::env::var("TZ").ok().as_deref())?;
    let received = row.time().and_then(|time| time.moments(&zone));
    let now = Timestamp::try_from(SystemClock.now()).unwrap_or_default();
    Ok(received.map_or(Duration::ZERO, |(received, _)| {
        Duration::try_from(now.duration_since(received)).unwrap_or_default()
    }))
}
