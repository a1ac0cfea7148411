//! Builds every answer, from a receipt or a rejection.
//!
//! The body is fixed text. No answer is a redirect: MNS may count a 3xx as delivered.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::forward::Forwarded;
use crate::journal::Receipt;
use crate::server::rejection::Rejection;

/// 201: the notification is on disk and, if the 201 depends on a destination, acknowledged by it.
// The unused arguments are proofs: without them no 201 can be built.
pub(super) fn created(_on_disk: &Receipt, _forwarded: &Forwarded) -> Response {
    text(StatusCode::CREATED, "Notify Message Succeed!")
}

/// The answer to a refused request. Closes the connection if the request was not read whole: its
/// rest must not be parsed as the next request.
pub(super) fn refused(rejection: &Rejection, is_whole: bool) -> Response {
    let status = rejection.facts().status;
    let mut response = text(status.code(), status.body());
    if let Some((name, value)) = status.header() {
        response.headers_mut().insert(name, value);
    }
    if !is_whole {
        // Announce the close (RFC 9112, 9.6), so that MNS sends no further push on this connection.
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a load balancer's health check.
pub(super) fn health(is_healthy: bool) -> Response {
    if is_healthy {
        text(StatusCode::OK, "OK\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
    }
}

/// Adds `Connection: close` to an answer.
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
