//! `logs`: what can be done with the files of an endpoint, beside a running one or without.

mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Check the logs of an endpoint.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  mns-endpoint logs verify")]
pub(super) struct Logs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Verify(verify::Verify),
}

impl Logs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.action {
            Action::Verify(verify) => verify.run(),
        }
    }
}
