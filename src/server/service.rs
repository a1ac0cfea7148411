//! The service that `net` serves.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler as _;
use axum::response::Response;
use tower::Service;

use crate::server::Endpoint;
use crate::server::receive;

/// The service of an endpoint.
///
/// One handler for every path and method: what is not served is refused and logged like anything
/// else.
pub fn service(
    endpoint: Arc<Endpoint>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    receive::answer.with_state(endpoint)
}
