//! SIGTERM and SIGINT: the first asks to stop, the second ends at once. SIGHUP asks to read
//! everything again. SIGXFSZ does not end the process.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// Signals within this time of the first are the same request to stop.
const ONE_STOP: Duration = Duration::from_millis(200);

/// Makes a write past the limit on file sizes (`RLIMIT_FSIZE`) fail as one to a full disk does:
/// without a handler the kernel ends the process with SIGXFSZ. Holds until the process ends.
pub(crate) fn outlive_file_limit() -> io::Result<()> {
    // tokio never takes a handler away again.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To stop; by the signal of this name.
    Stop(&'static str),
    /// To read the configuration again, and to reopen the logs.
    Reload,
}

/// The signals that ask for something.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for one that asks to stop again, after the first: some supervisors signal a stop twice
    /// in a row, to the process and to its group, and mean one.
    pub(crate) async fn again(&mut self) -> &'static str {
        let first = Instant::now();
        let settled = first.checked_add(ONE_STOP).unwrap_or(first);
        while timeout_at(settled, self.stop()).await.is_ok() {}
        self.stop().await
    }

    /// Waits for one that asks to stop and returns its name.
    pub(crate) async fn stop(&mut self) -> &'static str {
        loop {
            match self.asked().await {
                Asked::Stop(signal) => return signal,
                Asked::Reload => warn!("SIGHUP: nothing is read again now"),
            }
        }
    }
}
