//! `logs`: what can be done with the files of an endpoint, beside a running one or without.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::command::logs::recover::Recover;
use crate::command::logs::verify::Verify;

/// Check the logs of an endpoint, and take back what was refused by mistake.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs verify
  mns-endpoint logs recover --dry-run")]
pub(crate) struct Logs {
    #[command(subcommand)]
    action: LogsCommand,
}

#[derive(Debug, Subcommand)]
enum LogsCommand {
    Verify(Verify),
    Recover(Recover),
}

impl Logs {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.action {
            LogsCommand::Verify(verify) => verify.run(),
            LogsCommand::Recover(recover) => recover.run().await,
        }
    }
}
