//! Why there is no 201.
//!
//! What follows from each is one row of the table in `reason`.

use crate::forward::NotForwarded;
use crate::journal::JournalError;
use crate::mns::InvalidNotification;
use crate::trust::{NotAdmitted, Untrusted};

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It is not proved that MNS sent it.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// It is not meant for us.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// Its body is no notification.
    #[error(transparent)]
    Invalid(#[from] InvalidNotification),
    /// It cannot be kept now.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A destination does not take it now.
    #[error(transparent)]
    NotForwarded(#[from] NotForwarded),
    /// Our doing: as many requests are in work as are allowed.
    #[error("too many requests are in work")]
    TooManyInFlight,
    /// Our doing: the time for it ran out.
    #[error("the time for one request ran out")]
    OutOfTime,
    /// The peer's doing: another path than those served.
    #[error("the path is not one of server.paths")]
    PathNotServed,
    /// The peer's doing: not a POST.
    #[error("the method is not POST")]
    MethodNotAllowed,
    /// The peer's doing: MNS never encodes its content.
    #[error("the body has a Content-Encoding")]
    ContentEncoding,
    /// The peer's doing.
    #[error("the body is larger than server.max_body")]
    BodyTooLarge,
    /// The peer's doing: the body did not come in time.
    #[error("the body did not come within server.body_timeout")]
    BodyTooSlow,
    /// The peer's doing: the body ended early or its chunks are broken.
    #[error("the body did not come whole")]
    BodyBroken,
}

impl Rejection {
    /// Whether its notification is on disk all the same: it was accepted, and has no 201.
    pub(super) fn is_on_disk(&self) -> bool {
        matches!(
            self,
            Self::NotForwarded(NotForwarded::Late | NotForwarded::DeadLetter)
        )
    }
}
