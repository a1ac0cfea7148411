//! Shows the progress of a search in one line of a terminal, which is overwritten.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use bytesize::ByteSize;

use crate::journal::Progress;

/// The progress line.
pub(super) struct ProgressLine {
    is_terminal: bool,
    shown_at: Option<Instant>,
}

impl ProgressLine {
    /// The shortest time between two updates, in milliseconds.
    const INTERVAL_MS: u128 = 200;

    pub(super) fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            shown_at: None,
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        let is_due =
            (self.shown_at).is_none_or(|shown| shown.elapsed().as_millis() >= Self::INTERVAL_MS);
        if !self.is_terminal || !is_due {
            return;
        }
        self.shown_at = Some(Instant::now());
        let [read, total] = [progress.bytes, progress.bytes_total].map(ByteSize::b);
        let back_to = progress
            .back_to
            .map_or_else(String::new, |time| format!(", back to {time}"));
        // Ignores errors: progress is not a result.
        write!(std::io::stderr(), "\r\x1b[K  {read} of {total}{back_to}").ok();
    }

    pub(super) fn clear(&self) {
        if self.shown_at.is_some() {
            write!(std::io::stderr(), "\r\x1b[K").ok();
        }
    }
}
