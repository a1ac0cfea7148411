//! The reasons why a request gets no 201.
//!
//! The table in `reason` has a row with the properties of each reason.

use crate::forward::NotForwarded;
use crate::journal::JournalError;
use crate::mns::InvalidNotification;
use crate::trust::{NotAdmitted, Untrusted};

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It is not proved that MNS sent the request.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The push is genuine but not meant for us.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The body is not a notification.
    #[error(transparent)]
    Invalid(#[from] InvalidNotification),
    /// The journal cannot store the notification now.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A destination that the 201 depends on does not accept the notification now.
    #[error(transparent)]
    NotForwarded(#[from] NotForwarded),
    /// Too many requests or bytes are in flight.
    #[error("too many requests are in flight")]
    TooManyInFlight,
    /// The request was not verified within the budget.
    #[error("the time for one request ran out")]
    OutOfTime,
    /// The path is not served.
    #[error("the path is not one of server.paths")]
    PathNotServed,
    /// The method is not POST.
    #[error("the method is not POST")]
    MethodNotAllowed,
    /// The request has a Content-Encoding, which MNS never sends.
    #[error("the body has a Content-Encoding")]
    ContentEncoding,
    /// The body exceeds `server.max_body`.
    #[error("the body is larger than server.max_body")]
    BodyTooLarge,
    /// The body did not arrive in time.
    #[error("the body did not arrive within server.body_timeout")]
    BodyTooSlow,
    /// The body ended early, or has broken chunks.
    #[error("the body is incomplete")]
    BodyBroken,
}

impl Rejection {
    /// Whether the notification is on disk although the push gets no 201.
    pub(super) fn is_on_disk(&self) -> bool {
        matches!(
            self,
            Self::NotForwarded(NotForwarded::Late | NotForwarded::DeadLetter)
        )
    }
}
