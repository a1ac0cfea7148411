//! Stdout: what a command prints, for as long as somebody reads it, and access lines, which are
//! dropped and counted if nobody does.

use std::io::{self, ErrorKind, Write};

use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking};

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

/// Stdout, if it is wanted.
pub(super) struct Stdout {
    tee: Option<NonBlocking>,
    dropped: Option<ErrorCounter>,
    _guard: Option<telemetry::Writers>,
}

impl Stdout {
    pub(super) fn new(wanted: bool) -> Self {
        let Some((tee, guard)) = wanted.then(telemetry::lossy_stdout) else {
            return Self {
                tee: None,
                dropped: None,
                _guard: None,
            };
        };
        Self {
            dropped: Some(tee.error_counter()),
            tee: Some(tee),
            _guard: Some(guard),
        }
    }

    pub(super) fn take_tee(&mut self) -> Option<Box<dyn Write + Send>> {
        self.tee
            .take()
            .map(|tee| Box::new(tee) as Box<dyn Write + Send>)
    }

    pub(super) fn log_dropped(&self) {
        let dropped = self.dropped.as_ref().map_or(0, ErrorCounter::dropped_lines);
        if dropped > 0 {
            warn!(
                writes = dropped,
                "Stdout was too slow: access lines were left out there; the access log has all"
            );
        }
    }
}
