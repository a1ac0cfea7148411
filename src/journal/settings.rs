//! The journal's settings: how durable a receipt is, how large and how old a file becomes, and how
//! much space must be free.

use std::fmt;
use std::time::Duration;

use crate::journal::{Limits, Numbering};

/// How the journal writes its files.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much may wait for the writer.
    pub limits: Limits,
    /// When files are synced, and so what a receipt proves.
    pub sync: SyncMode,
    /// The length of the commit log, in bytes. `None`: there is no commit log, and each commit
    /// syncs both logs.
    pub commit_log_bytes: Option<u64>,
    /// A file is rotated before it grows beyond this many bytes. `None` never rotates.
    pub rotate_bytes: Option<u64>,
    /// Rotated files are deleted this long after the last write to them. `None` keeps them.
    pub keep: Option<Duration>,
    /// With fewer free bytes than this, space is [`Space::Low`](crate::journal::Space).
    pub low_water_bytes: u64,
    /// What happens to a notification that the log has already.
    pub duplicates: Duplicates,
}

/// What happens to a notification that the log has already for its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// The notification is logged as a duplicate.
    Mark,
    /// Only its access line is logged.
    Drop,
    /// The notification is logged like any other.
    Off,
}

/// When files are synced, which decides what a power cut can lose. If only the process ends,
/// nothing is lost in any mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Before each receipt: a power cut loses nothing that was acknowledged.
    Always,
    /// At most this long after a write: a power cut loses what was acknowledged in that time.
    Interval(Duration),
    /// When the kernel writes back: a power cut loses what was acknowledged in the last half minute
    /// or so.
    Os,
}

impl Settings {
    /// Whether the newest rotated file has the highest number or the lowest. Without
    /// `rotate_bytes`, it is logrotate that rotates and numbers the files.
    #[must_use]
    pub fn numbering(&self) -> Numbering {
        match self.rotate_bytes {
            Some(_) => Numbering::Ascending,
            None => Numbering::Descending,
        }
    }
}

impl fmt::Display for SyncMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Interval(span) => write!(f, "interval:{span:?}"),
            Self::Os => f.write_str("os"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            sync: SyncMode::Always,
            commit_log_bytes: None,
            rotate_bytes: Some(100 * 1024 * 1024),
            keep: Some(Duration::from_secs(7 * 24 * 3600)),
            low_water_bytes: 512 * 1024 * 1024,
            duplicates: Duplicates::Mark,
        }
    }
}
