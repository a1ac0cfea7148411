//! Access lines on stdout: dropped and counted where nobody reads them.

use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking};

use crate::telemetry;

/// Stdout, where it is wanted.
pub(super) struct Stdout {
    tee: Option<NonBlocking>,
    dropped: Option<ErrorCounter>,
    _guard: Option<telemetry::Writers>,
}

impl Stdout {
    pub(super) fn new(wanted: bool) -> Self {
        let Some((tee, guard)) = wanted.then(telemetry::lossy_stdout) else {
            return Self { tee: None, dropped: None, _guard: None };
        };
        Self { dropped: Some(tee.error_counter()), tee: Some(tee), _guard: Some(guard) }
    }

    pub(super) fn take_tee(&mut self) -> Option<Box<dyn std::io::Write + Send>> {
        self.tee.take().map(|tee| Box::new(tee) as Box<dyn std::io::Write + Send>)
    }

    pub(super) fn tell_dropped(&self) {
        let dropped = self.dropped.as_ref().map_or(0, ErrorCounter::dropped_lines);
        if dropped > 0 {
            warn!(writes = dropped, "Stdout was too slow: access lines were left out there; the access log has all");
        }
    }
}
