//! Runs work until a signal, on a separate thread because it blocks on disks and pipes.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};

use crate::signals::Signals;

/// Whether a stop was requested.
#[derive(Debug, Default)]
pub(super) struct Stop {
    is_asked: AtomicBool,
}

impl Stop {
    pub(super) fn is_asked(&self) -> bool {
        // Relaxed: nothing else is published with this flag.
        self.is_asked.load(Ordering::Relaxed)
    }

    pub(super) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` to its end. The first SIGINT or SIGTERM asks it to finish; a second one does not
/// wait for it.
pub(super) async fn until_stopped(
    work: impl FnOnce(&Arc<Stop>) -> anyhow::Result<ExitCode> + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::install().context("cannot handle signals")?;
    let stop = Arc::new(Stop::default());
    let asked = stop.clone();
    let mut work = tokio::task::spawn_blocking(move || work(&asked));
    tokio::select! {
        ended = &mut work => return ended.context("the work panicked")?,
        _signal = signals.stop() => stop.ask(),
    }
    tokio::select! {
        ended = &mut work => ended.context("the work panicked")?,
        signal = signals.again() => bail!("{signal}: stopped before the work was finished"),
    }
}
