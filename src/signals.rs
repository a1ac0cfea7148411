//! Signals. The first SIGTERM or SIGINT requests a stop, the second ends the process at once.
//! SIGHUP requests a reload. SIGXFSZ does not end the process.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

/// Signals within this time after the first count as the same request to stop.
const ONE_STOP: Duration = Duration::from_millis(200);

/// Makes a write beyond the limit on file sizes (`RLIMIT_FSIZE`) fail like one to a full disk.
/// Without a handler the kernel would end the process with SIGXFSZ. Stays in force until the
/// process ends.
pub(crate) fn outlive_file_limit() -> io::Result<()> {
    // tokio never removes a handler.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To stop. Contains the name of the signal.
    Stop(&'static str),
    /// To reload the configuration and to reopen the logs.
    Reload,
}

/// The signals with a request.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Installs the handlers. The signals no longer end the process by themselves.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            // tokio keeps a handler until the process ends, even after its `Signal` is dropped.
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn asked(&mut self) -> Asked {
        // `recv` is cancel safe: a signal that arrives while another branch completes is not lost.
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for the second request to stop, which ends the process at once. `has_first` is whether
    /// the first has arrived: a stop may also begin because the journal has failed.
    pub(crate) async fn second(&mut self, has_first: bool) -> &'static str {
        if !has_first {
            let signal = self.stop().await;
            info!(signal, "Already stopping: finishing the requests in flight");
        }
        self.again().await
    }

    /// Waits for another request to stop after the first. Some supervisors signal a stop twice in a
    /// row, to the process and to its group, and mean only one.
    pub(crate) async fn again(&mut self) -> &'static str {
        let first = Instant::now();
        // Further signals do not prolong this window, so repeated Ctrl-C always gets through.
        let settled = first.checked_add(ONE_STOP).unwrap_or(first);
        while timeout_at(settled, self.stop()).await.is_ok() {}
        self.stop().await
    }

    /// Waits for a request to stop, and returns the name of the signal.
    pub(crate) async fn stop(&mut self) -> &'static str {
        loop {
            match self.asked().await {
                Asked::Stop(signal) => return signal,
                Asked::Reload => warn!("Ignored SIGHUP: no configuration is reloaded now"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    fn terminate() {
        kill_process(getpid(), Signal::TERM).unwrap();
    }

    // One test, because signals go to the whole process.
    #[tokio::test]
    async fn the_second_signal_is_counted_from_the_first_also_if_the_stop_began_without_one() {
        let mut signals = Signals::install().unwrap();
        for has_first in [true, false] {
            let mut second = pin!(signals.second(has_first));
            let mut arrives = async || timeout_at(Instant::now() + ONE_STOP * 2, &mut second).await;
            // Long enough that no signal belongs to the one before it.
            assert!(arrives().await.is_err(), "no signal was sent yet");
            terminate();
            assert_eq!(arrives().await.is_ok(), has_first, "{has_first}");
            if !has_first {
                terminate();
                assert_eq!(arrives().await, Ok("SIGTERM"));
            }
        }
    }
}
