//! Why there is no 201, and what else follows from that.
//!
//! The reason goes to the logs under a stable key, which `docs/errors.md` explains. What the peer
//! reads is decided in `respond`.

use tokio::time::error::Elapsed;

use crate::journal::JournalError;
use crate::mns::{Defect, InvalidNotification};
use crate::quarantine::Provenance;
use crate::server::reason::Reason;
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
    /// Our doing: as much is in work as may be.
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
    pub(super) fn defect(defect: Defect) -> Self {
        Self::Untrusted(Untrusted::Defect(defect))
    }

    pub(super) fn late(_elapsed: Elapsed) -> Self {
        Self::OutOfTime
    }

    /// The key under which it is logged and counted.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Untrusted(untrusted) => Reason::of_untrusted(untrusted),
            Self::NotAdmitted(NotAdmitted::Owner(_)) => Reason::OwnerNotAccepted,
            Self::NotAdmitted(NotAdmitted::Topic(_)) => Reason::TopicNotAccepted,
            Self::NotAdmitted(NotAdmitted::Source(_)) => Reason::SourceNotAccepted,
            Self::Invalid(InvalidNotification::NotRecognised) => Reason::BodyNotRecognised,
            Self::Invalid(InvalidNotification::Malformed(_)) => Reason::BodyMalformed,
            Self::Invalid(InvalidNotification::NotUtf8) => Reason::BodyNotUtf8,
            Self::Invalid(InvalidNotification::DocumentType) => Reason::DocumentType,
            Self::Invalid(InvalidNotification::ElementMissing(_)) => Reason::ElementMissing,
            Self::Invalid(InvalidNotification::ElementDoubled(_)) => Reason::ElementDoubled,
            Self::Journal(JournalError::Full) => Reason::JournalFull,
            Self::Journal(JournalError::Refused) => Reason::JournalRefused,
            Self::Journal(JournalError::Failed) => Reason::JournalFailed,
            Self::TooManyInFlight => Reason::TooManyInFlight,
            Self::OutOfTime => Reason::OutOfTime,
            Self::PathNotServed => Reason::PathNotServed,
            Self::MethodNotAllowed => Reason::MethodNotAllowed,
            Self::ContentEncoding => Reason::ContentEncoding,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::BodyTooSlow => Reason::BodyTooSlow,
            Self::BodyBroken => Reason::BodyBroken,
        }
    }

    /// Whether there was no room for it, here or in the journal.
    pub(super) fn is_for_want_of_room(&self) -> bool {
        matches!(self, Self::Journal(_) | Self::TooManyInFlight)
    }

    /// Whether it is answered 403 and nothing proves that MNS sent it.
    pub(super) fn is_of_a_stranger(&self) -> bool {
        matches!(self, Self::Untrusted(_))
            && self.status() == 403
            && self.provenance() == Provenance::Unsigned
    }

    /// Whether the signature had been looked at.
    pub(super) fn is_after_signature(&self) -> bool {
        match self {
            Self::Untrusted(
                Untrusted::SignatureWrong | Untrusted::KeyTooSmall(_) | Untrusted::RenewalFailed(_),
            ) => true,
            Self::NotAdmitted(_) | Self::Invalid(_) | Self::Journal(_) => true,
            Self::Untrusted(_)
            | Self::TooManyInFlight
            | Self::OutOfTime
            | Self::PathNotServed
            | Self::MethodNotAllowed
            | Self::ContentEncoding
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyBroken => false,
        }
    }

    /// What is known of the sender of a request that came whole.
    pub(super) fn provenance(&self) -> Provenance {
        match self {
            Self::Untrusted(Untrusted::KeyTooSmall(_))
            | Self::NotAdmitted(_)
            | Self::Invalid(_)
            | Self::Journal(_)
            | Self::TooManyInFlight => Provenance::Signed,
            Self::Untrusted(_)
            | Self::OutOfTime
            | Self::PathNotServed
            | Self::MethodNotAllowed
            | Self::ContentEncoding
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyBroken => Provenance::Unsigned,
        }
    }
}
