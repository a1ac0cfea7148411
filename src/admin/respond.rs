//! The answers of the admin listener that are plain text.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

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
