//! Stdout: the output of a command, for as long as somebody reads it, and access lines, which are
//! dropped and counted if nobody does.

use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::sync::atomic::Ordering;

use rustix::termios::tcgetwinsize;
use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking};

use crate::journal::{Copied, Meters, Tee};
use crate::telemetry;

/// Stdout for the output of a command. Once the reader has closed the pipe, as `head` does, further
/// output is dropped without an error: a command does all of its work and ends with its own exit
/// code.
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
    /// Whether the reader has closed the pipe. What was written since is lost.
    pub(super) fn is_left(&self) -> bool {
        self.is_left
    }

    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.out.is_terminal()
    }

    /// The number of columns of the terminal. `None` if stdout is not a terminal.
    pub(super) fn columns(&self) -> Option<usize> {
        let size = tcgetwinsize(&self.out).ok()?;
        // A serial console reports 0 columns.
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// The result of a write, or `done` if the reader has closed the pipe.
    fn unless_left<T>(&mut self, outcome: io::Result<T>, done: T) -> io::Result<T> {
        // Rust ignores SIGPIPE, so a pipe without a reader is an error of the write.
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

/// Stdout for copies of what the journal wrote, if copies are configured.
pub(super) struct Stdout {
    tee: Option<Tee>,
    _guard: Option<telemetry::Writers>,
}

/// Rejects a write for which there is no room, so that its lines can be counted.
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

/// Logs at the stop how many lines stdout lacks.
pub(super) fn log_dropped(meters: &Meters) {
    let lines = meters.lines_not_copied.load(Ordering::Relaxed);
    if lines > 0 {
        warn!(
            lines,
            "Stdout was too slow: lines were dropped there; the log files have them all"
        );
    }
}

impl Write for Refusing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // There is no other writer, so a change of the count is due to this write.
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

    /// A reader that does not read while the test has the lock.
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
    fn only_a_write_without_room_is_rejected() {
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
        // Two wait in the queue, and the writing thread may have a third.
        assert!(taken[..2].iter().all(|taken| *taken), "{taken:?}");
        assert!(taken[3..].iter().all(|taken| !*taken), "{taken:?}");
        drop(held);
    }
}
