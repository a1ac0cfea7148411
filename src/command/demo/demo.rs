//! `demo`: the whole manual on one machine, in one process.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::command::demo::stage::{Scheme, Stage};
use crate::command::demo::{chaos, manual};
use crate::command::program::program;
use crate::command::stdout::printer;
use crate::emulator::{CHAOS_DEFAULT, Chaos};
use crate::signals::{Asked, Signals};

/// How much faster than MNS a run with chaos retries.
const CHAOS_TIME_WARP: u32 = 20;

/// Run the vendor's manual on this machine: no account, no network.
///
/// Starts a local MNS and an endpoint in this process, creates a topic, subscribes, publishes three
/// messages, shows both logs, deletes the topic and stops. Exits with 0 only if every message
/// arrived in both logs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint demo
  mns-endpoint demo --tls
  mns-endpoint demo --stay    # then open the page that it names
  mns-endpoint demo --chaos --seed 7    # 2,000 messages through everything that can go wrong")]
pub(crate) struct Demo {
    /// Inject the faults in this list of KIND=RATE, as for the emulator, and prove that nothing is
    /// lost. Without a list, inject every kind at a low rate.
    #[arg(long, value_name = "LIST", num_args = 0..=1, default_missing_value = CHAOS_DEFAULT)]
    chaos: Option<Chaos>,
    /// The random seed of --chaos: the same number gives the same faults.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "chaos")]
    seed: u64,
    /// How many messages to publish [default: 3; with --chaos 2000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: Option<u32>,
    /// Push over https, with a certificate generated for this run.
    #[arg(long)]
    tls: bool,
    /// Keep the local MNS, the endpoint and its page running until Ctrl-C, and keep the topic until
    /// then.
    #[arg(long, conflicts_with = "chaos")]
    stay: bool,
    /// The directory for both logs [default: a temporary directory, which is deleted at the end].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Demo {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let temporary = match &self.dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("mns-endpoint-demo.")
                    .tempdir()?,
            ),
        };
        let dir = match (&self.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => bail!("cannot create a directory for the logs"),
        };
        let time_warp = if self.chaos.is_some() {
            CHAOS_TIME_WARP
        } else {
            1
        };
        let chaos = self
            .chaos
            .clone()
            .unwrap_or_else(Chaos::none)
            .with_seed(self.seed);
        let scheme = if self.tls {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let stage = Stage::set(&dir, chaos, time_warp, scheme).await?;
        let shown = match self.chaos {
            Some(_) => {
                let count = self.count.unwrap_or(chaos::MESSAGES);
                chaos::show(&stage, count, self.seed).await
            }
            None => {
                let count = self.count.unwrap_or(manual::MESSAGES);
                manual::show(&stage, count, self.tls, self.stay).await
            }
        };
        if self.stay && shown.is_ok() {
            stay(&stage).await?;
        }
        // Before the directory is deleted, because both servers use it.
        stage.clear().await?;
        // After a failure the logs are kept, because they show what went wrong.
        if shown.is_err()
            && let Some(temporary) = temporary
        {
            writeln!(printer(), "The logs stay in {}", temporary.keep().display())?;
        }
        shown.map(|()| ExitCode::SUCCESS)
    }
}

/// Prints what can be done now, and waits for a stop signal.
async fn stay(stage: &Stage) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot handle signals")?;
    let (admin, page) = stage.open_page()?;
    let (mns, program) = (stage.emulator_url(), program());
    writeln!(
        printer(),
        "\nEverything keeps running until Ctrl-C. What arrives is shown here:\n\
         Inspector: {page}\n\
         The local MNS, to publish more and to let things go wrong:\n\
         Emulator: {mns}/\n\
         Or from another terminal:\n  \
         export MNS_ACCOUNT_ENDPOINT={mns}\n  \
         export ALIBABA_CLOUD_ACCESS_KEY_ID=emulator ALIBABA_CLOUD_ACCESS_KEY_SECRET=emulator\n  \
         {program} publish --body hello"
    )?;
    // There is no configuration to reload.
    while signals.asked().await == Asked::Reload {}
    admin.stop().await;
    Ok(())
}
