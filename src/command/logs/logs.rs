//! `logs`: the commands on the files of an endpoint, whether it runs or not.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::command::logs::find::Find;
use crate::command::logs::recover::Recover;
use crate::command::logs::repair::Repair;
use crate::command::logs::replay::Replay;
use crate::command::logs::show::Show;
use crate::command::logs::tail::Tail;
use crate::command::logs::verify::Verify;

/// Follow, search, check, replay and repair the logs of an endpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs tail
  mns-endpoint logs find 4711 --since 3d
  mns-endpoint logs verify
  mns-endpoint logs repair --dry-run
  mns-endpoint logs recover --dry-run")]
pub(crate) struct Logs {
    #[command(subcommand)]
    action: LogsCommand,
}

#[derive(Debug, Subcommand)]
enum LogsCommand {
    Tail(Tail),
    Find(Find),
    Show(Show),
    Replay(Box<Replay>),
    Verify(Verify),
    Repair(Repair),
    Recover(Recover),
}

impl Logs {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.action {
            LogsCommand::Tail(tail) => tail.run().await,
            LogsCommand::Find(find) => find.run().await,
            LogsCommand::Show(show) => show.run().await,
            LogsCommand::Replay(replay) => replay.run().await,
            LogsCommand::Verify(verify) => verify.run(),
            LogsCommand::Repair(repair) => repair.run(),
            LogsCommand::Recover(recover) => recover.run().await,
        }
    }
}
