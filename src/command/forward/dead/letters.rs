//! The file of dead letters that a command reads or changes.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use crate::command::forward::log::LogArguments;
use crate::command::logs::refuse_other_than_owner;
use crate::forward::{DeadLetters, NotBuried};

/// The wait between two tries, and the number of tries, if serve has locked the file. It writes to
/// the file for an instant only.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const TRIES: usize = 50;

/// The destination whose dead letters are meant.
#[derive(Debug, Args)]
pub(super) struct Letters {
    /// The destination: NAME in [forward.NAME].
    pub(super) name: String,
    #[command(flatten)]
    pub(super) log: LogArguments,
}

impl Letters {
    pub(super) fn file(&self) -> anyhow::Result<DeadLetters> {
        let log = self.log.open()?;
        let settings = log.destination(&self.name)?;
        log.demand_files()?;
        Ok(log.dead_letters(settings))
    }

    /// Like [`file`](Self::file), but for a command that changes it.
    pub(super) fn own_file(&self) -> anyhow::Result<DeadLetters> {
        let log = self.log.open()?;
        refuse_other_than_owner(&log.config.log_dir)?;
        self.file()
    }
}

/// Removes lines from the file, even while a serve appends to it.
pub(super) async fn take_out(file: &DeadLetters, gone: &[Vec<u8>]) -> anyhow::Result<usize> {
    let mut tries = 1..TRIES;
    loop {
        match file.take_out(gone) {
            Err(NotBuried::InUse(_)) if tries.next().is_some() => sleep(AGAIN_AFTER).await,
            taken => return Ok(taken?),
        }
    }
}
