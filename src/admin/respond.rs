//! The answers of the admin listener.

use axum::response::Response;
use http::StatusCode;

pub(super) use crate::page::{ApiError, guarded, json, text};

pub(super) fn verdict(is_well: bool) -> Response {
    if is_well {
        text(StatusCode::OK, "OK\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
    }
}
