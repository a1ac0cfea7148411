//! The file of dead letters that a command is about.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use crate::command::forward::log::LogArguments;
use crate::command::logs::refuse_other_than_owner;
use crate::forward::{DeadLetters, NotBuried};

/// The wait between two tries and the number of tries if serve is writing to the file, which takes
/// it an instant.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const TRIES: usize = 50;

/// Whose dead letters.
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

    /// The same, to be written.
    pub(super) fn own_file(&self) -> anyhow::Result<DeadLetters> {
        let log = self.log.open()?;
        refuse_other_than_owner(&log.config.log_dir)?;
        self.file()
    }
}

/// Takes lines out of the file, also beside a serve that appends to it.
pub(super) async fn take_out(file: &DeadLetters, gone: &[Vec<u8>]) -> anyhow::Result<usize> {
    let mut tries = 1..TRIES;
    loop {
        match file.take_out(gone) {
            Err(NotBuried::InUse(_)) if tries.next().is_some() => sleep(AGAIN_AFTER).await,
            taken => return Ok(taken?),
        }
    }
}
