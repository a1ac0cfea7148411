//! `forward`: commands for destinations.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::command::forward::status::Status;

/// Look at the destinations of accepted notifications.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward status
  mns-endpoint forward status orders --output json")]
pub(crate) struct Forward {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(Status),
}

impl Forward {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Status(status) => status.run(),
        }
    }
}
