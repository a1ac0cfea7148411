//! What the files say of a destination.

use crate::command::forward::log::{ForwardedLog, bytes_behind};
use crate::forward::{NoCondition, Progress, SavedCondition, Settings};

/// What is known of a destination.
pub(super) struct Known {
    pub(super) cursor: Cursor,
    /// What `serve` saved of its condition; `None` if it saved nothing.
    pub(super) condition: Result<Option<SavedCondition>, NoCondition>,
}

/// What its cursor says.
pub(super) enum Cursor {
    /// It has none yet.
    New,
    Saved {
        progress: Progress,
        /// `None` if the place of the cursor is not in the log any more.
        backlog_bytes: Option<u64>,
    },
    /// Why the cursor or the log cannot be read.
    Unusable(String),
}

impl Known {
    pub(super) fn of(log: &ForwardedLog, settings: &Settings) -> Self {
        Self {
            cursor: Cursor::of(log, settings),
            condition: log.condition(settings).load(),
        }
    }
}

impl Cursor {
    fn of(log: &ForwardedLog, settings: &Settings) -> Self {
        // No lock is needed: a cursor is replaced as a whole, so it is read as it was at some time.
        let progress = match log.cursor(settings).load() {
            Ok(Some(progress)) => progress,
            Ok(None) => return Self::New,
            Err(error) => return Self::Unusable(error.to_string()),
        };
        match bytes_behind(&log.chain(), &progress) {
            Ok(backlog_bytes) => Self::Saved {
                progress,
                backlog_bytes,
            },
            Err(error) => Self::Unusable(format!("cannot read the log: {error}")),
        }
    }
}
