//! The one place where a receipt or a rejection becomes an answer.
//!
//! What the peer reads is fixed text. There is no redirect: MNS may take a 3xx for a delivery.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::forward::Forwarded;
use crate::journal::Receipt;
use crate::server::rejection::Rejection;

/// 201: it is on disk, and with the destination that it waits for, if there is one.
pub(super) fn created(_on_disk: &Receipt, _forwarded: &Forwarded) -> Response {
    text(StatusCode::CREATED, "Notify Message Succeed!")
}

/// The answer to a refused request. If the request did not come whole the connection ends: what is
/// left of it must not be taken for the next request.
pub(super) fn refused(rejection: &Rejection, is_whole: bool) -> Response {
    let status = rejection.facts().status;
    let mut response = text(status.code(), status.body());
    if let Some((name, value)) = status.header() {
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
