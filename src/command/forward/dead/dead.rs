//! `forward dead`: commands for the notifications that a destination did not accept.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::command::forward::dead::drop::Drop;
use crate::command::forward::dead::list::List;
use crate::command::forward::dead::retry::Retry;

/// List, send again or delete notifications that could not be delivered.
///
/// A notification that its destination rejects permanently, or does not store in time, becomes a
/// dead letter: a line in the file forward_NAME.PORT.dead in logs.dir. All three commands may run
/// beside serve, even while serve appends dead letters.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward dead list orders
  mns-endpoint forward dead retry orders
  mns-endpoint forward dead drop orders --all")]
pub(in crate::command::forward) struct Dead {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Retry(Retry),
    Drop(Drop),
}

impl Dead {
    pub(in crate::command::forward) async fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::List(list) => list.run(),
            Command::Retry(retry) => retry.run().await,
            Command::Drop(drop) => drop.run().await,
        }
    }
}
