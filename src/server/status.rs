//! The eight statuses of a refusal: what the peer reads, and how the record of each begins.

use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::journal::{Level, Place};

/// The status of a refusal. The type admits only 4xx and 5xx: MNS may count a 3xx as delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalStatus {
    Forbidden,
    Invalid,
    Unavailable,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
}

impl RefusalStatus {
    pub(super) fn code(self) -> StatusCode {
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

    /// The body of the answer.
    pub(super) fn body(self) -> &'static str {
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

    /// The additional header of the answer, if it has one.
    pub(super) fn header(self) -> Option<(HeaderName, HeaderValue)> {
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

    /// The first line of the record.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Forbidden => "Access Forbidden!",
            Self::Invalid => "Invalid Notify Message!",
            Self::Unavailable => "Service Unavailable!",
            Self::NotFound => "Not Found!",
            Self::MethodNotAllowed => "Method Not Allowed!",
            Self::TooLarge => "Payload Too Large!",
            Self::TooSlow => "Request Timeout!",
            Self::UnsupportedMediaType => "Unsupported Media Type!",
        }
    }

    /// The place of the record.
    pub(super) fn place(self) -> Place {
        match self {
            Self::Forbidden => Place::Forbidden,
            Self::Invalid => Place::Invalid,
            Self::Unavailable => Place::Unavailable,
            Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::TooSlow
            | Self::UnsupportedMediaType => Place::Refused,
        }
    }

    /// The level of the record. A stranger's request for a wrong path is not worth a warning, but a
    /// push of MNS for a wrong path is.
    pub(super) fn level(self, has_mns_headers: bool) -> Level {
        match self {
            Self::NotFound | Self::MethodNotAllowed if !has_mns_headers => Level::Info,
            Self::NotFound
            | Self::MethodNotAllowed
            | Self::Forbidden
            | Self::Invalid
            | Self::Unavailable
            | Self::TooLarge
            | Self::TooSlow
            | Self::UnsupportedMediaType => Level::Warning,
        }
    }
}
