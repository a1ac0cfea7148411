//! The seam to a destination: it takes one notification, or says why not.
//!
//! Retries, order, the window and the cursor are above it, so that a test which puts a faulty sink
//! in its place drives the real code.

use std::time::Duration;

use crate::forward::Outgoing;

/// A destination.
pub trait Sink: Send + Sync + 'static {
    /// Sends a notification and waits until the destination has acknowledged it, for a bounded
    /// time. A future that is dropped may have sent it.
    /// Makes one attempt; the caller waits and calls again. While the destination is unreachable it
    /// fails at once instead of queueing.
    fn send(&self, outgoing: &Outgoing) -> impl Future<Output = Result<Delivered, Failure>> + Send;

    /// Whether there is a connection. Always `true` for a sink that has none between two sends.
    fn is_connected(&self) -> bool;

    /// Why there is no connection, if that is known before anything is sent.
    fn why_not_connected(&self) -> Option<Failure> {
        None
    }

    /// For how long the destination drops what it has stored under the same id, if it does so for a
    /// limited time and has said for how long.
    fn duplicate_window(&self) -> Option<Duration> {
        None
    }

    /// Ends its connections and tasks. Nothing is sent after this.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Proof that the destination has acknowledged a notification.
///
/// Only a sink makes one, from an answer that says so:
///
/// ```compile_fail,E0624
/// let forged = mns_endpoint::forward::Delivered::stored();
/// ```
///
/// This one compiles, so the one above fails for its private function and not for a wrong name:
///
/// ```
/// fn of(delivered: mns_endpoint::forward::Delivered) -> bool { delivered.is_duplicate() }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    is_duplicate: bool,
}

impl Delivered {
    /// The destination has stored it.
    pub(in crate::forward) const fn stored() -> Self {
        Self {
            is_duplicate: false,
        }
    }

    /// The destination had stored it before, under the same id.
    pub(in crate::forward) fn duplicate() -> Self {
        Self { is_duplicate: true }
    }

    /// Whether the destination had stored it before.
    #[must_use]
    pub fn is_duplicate(self) -> bool {
        self.is_duplicate
    }
}

/// Why a notification was not delivered, and what follows. `detail` is what the destination said,
/// escaped and bounded by the sink: it goes to the diagnostic log and to `forward status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The failure does not concern the notification itself, which is sent again.
    Retry {
        /// Why.
        reason: Reason,
        /// How long the destination asks to wait; otherwise the back-off decides.
        after: Option<Duration>,
        /// What it said.
        detail: String,
    },
    /// The destination refuses this notification, or everything. Only the outcome of later ones
    /// shows which, so it is sent again until then.
    Refused {
        /// Why.
        reason: Reason,
        /// How long the destination asks to wait; otherwise the back-off decides.
        after: Option<Duration>,
        /// What it said.
        detail: String,
    },
    /// The destination can never accept this notification, even if it accepts others.
    Poison {
        /// Why.
        reason: Reason,
        /// What it said.
        detail: String,
    },
    /// The destination accepts nothing at present. The reason is shown as its state.
    Down {
        /// Why.
        reason: Reason,
        /// What it said.
        detail: String,
    },
    /// The destination refuses everything permanently: the forwarder stops.
    Gone {
        /// What it said.
        detail: String,
    },
}

/// The key of a failure, in metrics, in the log and in `forward status`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::Display,
    strum::EnumCount,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// There is no connection.
    Disconnected,
    /// Nobody listens on the subject: a leader is being elected, or there is no such stream.
    NoResponders,
    /// There is no stream for the subject.
    StreamMissing,
    /// No acknowledgement came in time.
    AckTimeout,
    /// The same id is being stored now.
    InProcess,
    /// The server that answered does not lead the stream.
    NotLeader,
    /// It was acknowledged without being stored: the server is too old.
    NotStored,
    /// The destination has no room.
    DestinationFull,
    /// Wrong credentials, an expired certificate, or no permission.
    Forbidden,
    /// The message is larger than the destination takes.
    TooLarge,
    /// No answer, or one that cannot be interpreted.
    NoAnswer,
    /// A redirect, which is never followed.
    Redirected,
    /// The destination asks to be sent less: 429, or 503 with a time to wait.
    Throttled,
    /// An answer of 4xx.
    Refused,
    /// Any other answer that is not a success.
    ServerError,
    /// 410: the destination is gone.
    Gone,
    /// It was sent for `give_up` without success.
    GivenUp,
}

impl Reason {
    /// Its key: `ack_timeout`.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.into()
    }
}

impl Failure {
    /// Its reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Retry { reason, .. }
            | Self::Refused { reason, .. }
            | Self::Poison { reason, .. }
            | Self::Down { reason, .. } => *reason,
            Self::Gone { .. } => Reason::Gone,
        }
    }

    /// What the destination said.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Retry { detail, .. }
            | Self::Refused { detail, .. }
            | Self::Poison { detail, .. }
            | Self::Down { detail, .. }
            | Self::Gone { detail } => detail,
        }
    }
}
