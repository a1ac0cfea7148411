//! The log files that are kept for a destination although they are older than `logs.keep`.

use std::io;

use crate::clock::{Clock as _, SystemClock};
use crate::command::forward::log::ForwardedLog;
use crate::journal::{Position, old_before};

/// Old files that a cursor has not passed.
#[derive(Default)]
pub(super) struct Held {
    pub(super) files: usize,
    /// The name of the oldest one.
    pub(super) oldest: Option<String>,
}

impl Held {
    /// The files that a cursor at `place` needs. Without a place it needs all of them.
    pub(super) fn of(log: &ForwardedLog, place: Option<&Position>) -> io::Result<Self> {
        // `serve` proves the time before it deletes anything. This clock may be wrong, but nothing
        // is deleted for what it says.
        let keep = log.config.journal.keep;
        let before = keep.and_then(|keep| old_before(SystemClock.now(), keep));
        let Some(before) = before else {
            return Ok(Self::default());
        };
        let held = log.chain().held(place, before)?;
        let name = held.first().and_then(|path| path.file_name());
        Ok(Self {
            files: held.len(),
            oldest: name.map(|name| name.to_string_lossy().into_owned()),
        })
    }

    /// `3, older than logs.keep, the oldest endpoint_log.80.12`
    pub(super) fn text(&self) -> String {
        match &self.oldest {
            Some(oldest) => format!("{}, older than logs.keep, the oldest {oldest}", self.files),
            None => "none".to_owned(),
        }
    }
}
