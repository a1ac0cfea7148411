//! `logs`: what can be done with the files of an endpoint, beside a running one or without.

mod compare;
mod patience;
mod recover;
mod report;
mod review;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Check the logs of an endpoint, and take back what was refused by mistake.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs verify
  mns-endpoint logs recover --dry-run")]
pub(super) struct Logs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Verify(verify::Verify),
    Recover(recover::Recover),
}

impl Logs {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.action {
            Action::Verify(verify) => verify.run(),
            Action::Recover(recover) => recover.run().await,
        }
    }
}
