//! Stdout: what a command prints, for as long as somebody reads it, and access lines, which are
//! dropped and counted if nobody does.

use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::sync::atomic::Ordering;

use rustix::termios::tcgetwinsize;
use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking};

use crate::journal::{Copied, Meters, Tee};
use crate::telemetry;

/// Stdout for what a command prints. Once the reader has left, as `head` does, the rest is dropped
/// without an error: a command does all of its work and ends with its own code.
pub(super) struct Printer {
    out: io::Stdout,
    is_left: bool,
}

/// Stdout of this process.
pub(super) fn printer() -> Printer {
    Printer {
        out: io::stdout(),
        is_left: false,
    }
}

impl Printer {
    /// Whether the reader has left: what was written since is lost.
    pub(super) fn is_left(&self) -> bool {
        self.is_left
    }

    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.out.is_terminal()
    }

    /// How many columns the terminal has; `None` if it is none.
    pub(super) fn columns(&self) -> Option<usize> {
        let size = tcgetwinsize(&self.out).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// The outcome of a write, or `done` if the reader has left.
    fn unless_left<T>(&mut self, outcome: io::Result<T>, done: T) -> io::Result<T> {
        self.is_left |= matches!(&outcome, Err(error) if error.kind() == ErrorKind::BrokenPipe);
        if self.is_left { Ok(done) } else { outcome }
    }
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = if self.is_left {
            Ok(bytes.len())
        } else {
            self.out.write(bytes)
        };
        self.unless_left(outcome, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = if self.is_left {
            Ok(())
        } else {
            self.out.flush()
        };
        self.unless_left(outcome, ())
    }
}

/// Stdout for copies of what the journal wrote, if they are wanted.
pub(super) struct Stdout {
    tee: Option<Tee>,
    _guard: Option<telemetry::Writers>,
}

/// Refuses a write that there is no room for, so that its lines can be counted.
struct Refusing {
    out: NonBlocking,
    dropped: ErrorCounter,
}

impl Stdout {
    pub(super) fn new(copied: Option<Copied>) -> Self {
        let Some(copied) = copied else {
            return Self {
                tee: None,
                _guard: None,
            };
        };
        let (out, guard) = telemetry::lossy_stdout();
        let dropped = out.error_counter();
        Self {
            tee: Some(Tee::new(copied, Box::new(Refusing { out, dropped }))),
            _guard: Some(guard),
        }
    }

    pub(super) fn take_tee(&mut self) -> Option<Tee> {
        self.tee.take()
    }
}

/// Says at the stop how much stdout lacks.
pub(super) fn log_dropped(meters: &Meters) {
    let lines = meters.lines_not_copied.load(Ordering::Relaxed);
    if lines > 0 {
        warn!(
            lines,
            "Stdout was too slow: lines were left out there; the log files have all"
        );
    }
}

impl Write for Refusing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nobody else writes to it, so the count is that of this write.
        let before = self.dropped.dropped_lines();
        let taken = self.out.write(bytes)?;
        if self.dropped.dropped_lines() == before {
            Ok(taken)
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;

    /// A reader that does not read while somebody holds the lock.
    struct Stalled(Arc<Mutex<()>>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.lock());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_write_that_there_is_no_room_for_is_refused_and_no_other() {
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().unwrap();
        let builder = NonBlockingBuilder::default().lossy(true);
        let (out, _guard) = builder
            .buffered_lines_limit(2)
            .finish(Stalled(gate.clone()));
        let dropped = out.error_counter();
        let mut out = Refusing { out, dropped };
        let taken = (0..9).map(|_| out.write_all(b"x\n").is_ok());
        let taken: Vec<bool> = taken.collect();
        // Two wait, and the thread behind them may have a third.
        assert!(taken[..2].iter().all(|taken| *taken), "{taken:?}");
        assert!(taken[3..].iter().all(|taken| !*taken), "{taken:?}");
        drop(held);
    }
}
