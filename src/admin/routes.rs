//! The paths of the admin listener and their answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::WWW_AUTHENTICATE;
use http::{Method, StatusCode};

use crate::admin::access::Access;
use crate::admin::exposition::metrics;
use crate::admin::ready::{Part, ready};
use crate::admin::respond::{text, verdict};

type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Where the answers come from.
pub struct Sources {
    /// Whether the threads that must move do.
    pub is_alive: Ask<bool>,
    /// The parts of being ready.
    pub parts: Ask<Vec<Part>>,
    /// All metrics, as `OpenMetrics` text.
    pub metrics: Ask<String>,
}

struct Admin {
    access: Access,
    sources: Sources,
}

/// The service of the admin listener.
pub fn router(access: Access, sources: Sources) -> Router {
    Router::new()
        .fallback(answer)
        .with_state(Arc::new(Admin { access, sources }))
}

async fn answer(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let path = request.uri().path();
    if !admin.access.knows_host(request.headers()) {
        return text(
            StatusCode::MISDIRECTED_REQUEST,
            "This name is not one of admin.hosts\n",
        );
    }
    if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
        return text(StatusCode::NOT_FOUND, "Not Found\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    }
    let is_shown = admin.access.is_shown(request.headers());
    if !is_shown && !admin.access.open.iter().any(|open| open == path) {
        let mut response = text(
            StatusCode::UNAUTHORIZED,
            "A token is needed: Authorization: Bearer TOKEN\n",
        );
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
        return response;
    }
    match path {
        "/healthz" => verdict((admin.sources.is_alive)()),
        "/readyz" => ready(&(admin.sources.parts)(), is_shown),
        _ => metrics(&(admin.sources.metrics)(), request.headers()),
    }
}
