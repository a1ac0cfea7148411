//! The condition of a forwarder: whether it delivers, and why not.

use std::time::{Duration, Instant};

/// Whether a forwarder delivers, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it does.
    pub phase: Phase,
    /// The key of the reason for which it does not deliver.
    pub reason: Option<&'static str>,
    /// What the destination or the system said.
    pub detail: Option<String>,
    /// Since when there is this reason, if that is known.
    pub since: Option<Instant>,
    /// Whether the backlog has reached a bound.
    pub is_full: bool,
    /// For how long the stream drops repeats, if that is known.
    pub duplicate_window: Option<Duration>,
}

/// What a forwarder does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// It could not start.
    NotStarted,
    /// It does nothing until the next start.
    Ended,
    /// It has no connection.
    Disconnected,
    /// It has a connection, and what it sends is not delivered.
    Failing,
    /// It delivers what there is.
    Connected,
}

impl Phase {
    /// Its key: `not_started`.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.into()
    }
}
