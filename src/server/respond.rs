//! Why there is no 201, and the one place where that becomes an answer.
//!
//! What the peer reads is fixed text. The reason goes to the logs under a stable key, which
//! `docs/errors.md` explains. A status here is 4xx or 5xx by its type: MNS takes a 3xx for a delivery.

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::time::error::Elapsed;

use crate::journal::{JournalError, Level, Place, Receipt};
use crate::mns::{Defect, InvalidNotification};
use crate::quarantine::Standing;
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
    /// Our doing: the request did not come through our accept loop.
    #[error("the request has no peer")]
    Unplaced,
}

/// The answers that are no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Forbidden,
    Invalid,
    Unavailable,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
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
            Self::NotAdmitted(NotAdmitted::Owner) => Reason::OwnerNotAccepted,
            Self::NotAdmitted(NotAdmitted::Topic) => Reason::TopicNotAccepted,
            Self::NotAdmitted(NotAdmitted::Source) => Reason::SourceNotAccepted,
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
            Self::Unplaced => Reason::Unplaced,
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.refusal().status().as_u16()
    }

    /// The first line of its record.
    pub(super) fn title(&self) -> &'static str {
        match self.refusal() {
            Refusal::Forbidden => "Access Forbidden!",
            Refusal::Invalid => "Invalid Notify Message!",
            Refusal::Unavailable => "Service Unavailable!",
            Refusal::NotFound => "Not Found!",
            Refusal::MethodNotAllowed => "Method Not Allowed!",
            Refusal::TooLarge => "Payload Too Large!",
            Refusal::TooSlow => "Request Timeout!",
            Refusal::UnsupportedMediaType => "Unsupported Media Type!",
        }
    }

    /// The place of its record.
    pub(super) fn place(&self) -> Place {
        match self.refusal() {
            Refusal::Forbidden => Place::Forbidden,
            Refusal::Invalid => Place::Invalid,
            Refusal::Unavailable => Place::Unavailable,
            Refusal::NotFound
            | Refusal::MethodNotAllowed
            | Refusal::TooLarge
            | Refusal::TooSlow
            | Refusal::UnsupportedMediaType => Place::Refused,
        }
    }

    /// The level of its record. A stranger on a wrong path is no warning; a push of MNS there is.
    pub(super) fn level(&self, has_mns_headers: bool) -> Level {
        match self.refusal() {
            Refusal::NotFound | Refusal::MethodNotAllowed if !has_mns_headers => Level::Info,
            Refusal::NotFound
            | Refusal::MethodNotAllowed
            | Refusal::Forbidden
            | Refusal::Invalid
            | Refusal::Unavailable
            | Refusal::TooLarge
            | Refusal::TooSlow
            | Refusal::UnsupportedMediaType => Level::Warning,
        }
    }

    /// Whether there was no room for it, here or in the journal.
    pub(super) fn is_for_want_of_room(&self) -> bool {
        matches!(self, Self::Journal(_) | Self::TooManyInFlight)
    }

    /// Whether the signature had been looked at.
    pub(super) fn is_after_signature(&self) -> bool {
        match self {
            Self::Untrusted(Untrusted::SignatureWrong | Untrusted::KeyTooSmall(_) | Untrusted::RenewalFailed(_)) => {
                true
            }
            Self::NotAdmitted(_) | Self::Invalid(_) | Self::Journal(_) => true,
            Self::Untrusted(_)
            | Self::TooManyInFlight
            | Self::OutOfTime
            | Self::PathNotServed
            | Self::MethodNotAllowed
            | Self::ContentEncoding
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyBroken
            | Self::Unplaced => false,
        }
    }

    /// What is known of the sender of a request that came whole.
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Untrusted(Untrusted::KeyTooSmall(_))
            | Self::NotAdmitted(_)
            | Self::Invalid(_)
            | Self::Journal(_)
            | Self::TooManyInFlight => Standing::Genuine,
            Self::Untrusted(_)
            | Self::OutOfTime
            | Self::PathNotServed
            | Self::MethodNotAllowed
            | Self::ContentEncoding
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyBroken
            | Self::Unplaced => Standing::Unproved,
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            Self::Untrusted(Untrusted::CertificateUnavailable(_) | Untrusted::RenewalFailed(_))
            | Self::Journal(_)
            | Self::TooManyInFlight
            | Self::OutOfTime
            | Self::Unplaced => Refusal::Unavailable,
            Self::Untrusted(_) | Self::NotAdmitted(_) => Refusal::Forbidden,
            Self::Invalid(_) | Self::BodyBroken => Refusal::Invalid,
            Self::PathNotServed => Refusal::NotFound,
            Self::MethodNotAllowed => Refusal::MethodNotAllowed,
            Self::ContentEncoding => Refusal::UnsupportedMediaType,
            Self::BodyTooLarge => Refusal::TooLarge,
            Self::BodyTooSlow => Refusal::TooSlow,
        }
    }
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::Forbidden => "Access Forbidden",
            Self::Invalid => "Invalid Notify Message",
            Self::Unavailable => "Service Unavailable",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::TooLarge => "Payload Too Large",
            Self::TooSlow => "Request Timeout",
            Self::UnsupportedMediaType => "Unsupported Media Type",
        }
    }

    fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unavailable => Some((RETRY_AFTER, HeaderValue::from_static("5"))),
            Self::MethodNotAllowed => Some((ALLOW, HeaderValue::from_static("POST"))),
            Self::Forbidden
            | Self::Invalid
            | Self::NotFound
            | Self::TooLarge
            | Self::TooSlow
            | Self::UnsupportedMediaType => None,
        }
    }
}

/// 201: it is on disk.
pub(super) fn created(_proof: &Receipt) -> Response {
    text(StatusCode::CREATED, "Notify Message Succeed!")
}

/// The answer to a refused request.
/// Where that did not come whole the connection ends: what is left of it must not be taken for the next request.
pub(super) fn refused(rejection: &Rejection, is_whole: bool) -> Response {
    let refusal = rejection.refusal();
    let mut response = text(refusal.status(), refusal.body());
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(name, value);
    }
    if !is_whole {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a load balancer.
pub(super) fn health(is_healthy: bool) -> Response {
    if is_healthy {
        text(StatusCode::OK, "OK\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
    }
}

/// The same answer, and the connection ends with it.
pub(super) fn last(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
