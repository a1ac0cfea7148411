//! The one place where a receipt or a rejection becomes an answer.
//!
//! What the peer reads is fixed text. A status of a refusal is 4xx or 5xx by its type: MNS takes a
//! 3xx for a delivery.

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::journal::{Level, Place, Receipt};
use crate::server::rejection::Rejection;
use crate::trust::Untrusted;

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

    fn refusal(&self) -> Refusal {
        match self {
            Self::Untrusted(Untrusted::CertificateUnavailable(_) | Untrusted::RenewalFailed(_))
            | Self::Journal(_)
            | Self::TooManyInFlight
            | Self::OutOfTime => Refusal::Unavailable,
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

/// The answer to a refused request. Where that did not come whole the connection ends: what is left
/// of it must not be taken for the next request.
pub(super) fn refused(rejection: &Rejection, is_whole: bool) -> Response {
    let refusal = rejection.refusal();
    let mut response = text(refusal.status(), refusal.body());
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(name, value);
    }
    if !is_whole {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
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
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
