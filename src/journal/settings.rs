//! How the journal works: how durable a receipt is, and when a file is full, old or in
//! want of room.

use std::fmt;
use std::time::Duration;

use crate::journal::Limits;

/// How the files are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What may wait for the writer.
    pub limits: Limits,
    /// What a receipt means.
    pub sync: SyncMode,
    /// The length of the commit log, in bytes; without one each commit syncs both logs.
    pub commit_log_bytes: Option<u64>,
    /// A file is put aside before it grows beyond this; `None` never does.
    pub rotate_bytes: Option<u64>,
    /// Rotated files are deleted once nothing was written to them for so long; `None` keeps them.
    pub keep: Option<Duration>,
    /// Less free space than this is [`Space::Low`](crate::journal::Space).
    pub low_water_bytes: u64,
    /// What becomes of a notification that is durable already.
    pub duplicates: Duplicates,
}

/// What becomes of a notification that is durable already, for its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// It is logged as a duplicate.
    Mark,
    /// It leaves an access line only.
    Drop,
    /// It is logged like any other.
    Off,
}

/// When files are synced, and so what a power cut can take. The end of the process takes nothing in
/// any mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Before a receipt: nothing that was acknowledged.
    Always,
    /// So long after a write at the latest: what was acknowledged in that time.
    Interval(Duration),
    /// When the system does: what was acknowledged in the last half minute or so.
    Os,
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
