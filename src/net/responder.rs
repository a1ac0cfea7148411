//! The service behind the accept loop, which answers requests.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::Service as _;

use crate::net::arrival::Arrival;

/// Answers requests, given how each arrived. Cloned for each request.
pub trait Responder: Clone + Send + Sync + 'static {
    /// Answers one request. The future is dropped when the peer leaves.
    fn respond(&self, arrival: Arrival, request: Request) -> impl Future<Output = Response> + Send;
}

/// A handler finds the [`Arrival`] among the extensions of the request.
impl Responder for Router {
    async fn respond(&self, arrival: Arrival, mut request: Request) -> Response {
        request.extensions_mut().insert(arrival);
        match self.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
