//! SIGTERM and SIGINT: the first asks to stop, the second ends at once. SIGHUP ends nothing.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// Signals within this time of the first are the same request to stop.
const ONE_STOP: Duration = Duration::from_millis(200);

/// Both signals that ask a process to stop.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl StopSignals {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that asks again, after the first: some supervisors tell a stop twice in a row, to the
    /// process and to its group, and mean one.
    pub(crate) async fn again(&mut self) -> &'static str {
        let first = Instant::now();
        let settled = first.checked_add(ONE_STOP).unwrap_or(first);
        while timeout_at(settled, self.next()).await.is_ok() {}
        self.next().await
    }

    /// Waits for the next one that asks to stop and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => warn!("SIGHUP: nothing is read again while running; restart to change the configuration"),
            }
        }
    }
}
