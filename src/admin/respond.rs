//! The answers of the admin listener: plain text, JSON, and what every answer carries.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

/// Nothing but this listener's own files, and no way to make a script of a text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";
/// What every answer carries, errors too.
const EVERYWHERE: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Why a path below `/api/` gives nothing: a stable key, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) key: &'static str,
    pub(super) text: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, key: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, key, text }
    }

    pub(super) fn response(self) -> Response {
        json_with(
            self.status,
            &json!({ "error": self.key, "text": self.text }),
        )
    }
}

pub(super) fn verdict(is_well: bool) -> Response {
    if is_well {
        text(StatusCode::OK, "OK\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
    }
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain")], body).into_response()
}

pub(super) fn json(value: &Value) -> Response {
    json_with(StatusCode::OK, value)
}

fn json_with(status: StatusCode, value: &Value) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Body::from(format!("{value}\n"))).into_response()
}

/// The same answer with what every answer carries.
pub(super) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in EVERYWHERE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
