//! `forward`: commands for destinations.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::command::forward::check::Check;
use crate::command::forward::dead::Dead;
use crate::command::forward::drain::Drain;
use crate::command::forward::replay::Replay;
use crate::command::forward::reset::Reset;
use crate::command::forward::status::Status;

/// Inspect forwarding, and send notifications again.
///
/// serve forwards accepted notifications to destinations: streams of NATS JetStream, or HTTP
/// services. Each table [forward.NAME] of the configuration is a destination. For each destination,
/// serve saves a cursor: the position in the endpoint log up to which it has forwarded.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward status
  mns-endpoint forward check orders
  mns-endpoint forward drain --timeout 60s
  mns-endpoint forward dead list orders
  mns-endpoint forward replay orders --from 2h
  mns-endpoint forward reset orders --to now")]
pub(crate) struct Forward {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(Status),
    Check(Check),
    Drain(Drain),
    Dead(Dead),
    Replay(Replay),
    Reset(Reset),
}

impl Forward {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Status(status) => status.run(),
            Command::Check(check) => check.run().await,
            Command::Drain(drain) => drain.run().await,
            Command::Dead(dead) => dead.run().await,
            Command::Replay(replay) => replay.run().await,
            Command::Reset(reset) => reset.run(),
        }
    }
}
