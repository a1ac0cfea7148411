//! Answers a request to the admin listener, from its first check on.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::admin::access::{Access, Shown, shown};
use crate::admin::exposition::metrics;
use crate::admin::inspector::{Inspector, answer};
use crate::admin::ready::{Part, ready};
use crate::admin::respond::{ApiError, guarded, text, verdict};
use crate::admin::routes::Route;
use crate::admin::wrong_tokens::{WRONG_FOR_METRICS_MAX, WRONG_MAX, WrongTokens};
use crate::net::{Arrival, Responder};
use crate::page::is_of_no_other_site;

type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Provides the contents of the answers.
pub struct Sources {
    /// Whether the threads that must make progress do.
    pub is_alive: Ask<bool>,
    /// The parts of readiness.
    pub parts: Ask<Vec<Part>>,
    /// All metrics, as `OpenMetrics` text.
    pub metrics: Ask<String>,
    /// What the inspector's page shows.
    pub inspector: Arc<Inspector>,
}

/// The service of the admin listener.
pub struct Admin {
    access: Access,
    sources: Sources,
    wrong_tokens: WrongTokens,
}

impl Admin {
    /// Creates the service.
    #[must_use]
    pub fn new(access: Access, sources: Sources) -> Arc<Self> {
        Arc::new(Self {
            access,
            sources,
            wrong_tokens: WrongTokens::default(),
        })
    }

    /// Checks everything before it looks at the path, except the token, which not every path needs:
    /// a check that parsed the path differently from the table of routes could be bypassed.
    async fn answer(&self, peer: IpAddr, request: &Parts, body: Body) -> Response {
        if !self.access.knows_host(&request.headers) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "The name in Host is not one of admin.hosts\n",
            );
        }
        if !is_of_no_other_site(&request.headers) {
            return text(
                StatusCode::FORBIDDEN,
                "Requests from pages of other sites are refused\n",
            );
        }
        let Some(route) = Route::of(request.uri.path()) else {
            return text(StatusCode::NOT_FOUND, "Not Found\n");
        };
        if !route.takes(&request.method) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
            let allowed = HeaderValue::from_static(route.methods());
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        let shown = self.shown(&route, peer, &request.headers);
        let is_open = match &route {
            Route::Api(_) => false,
            Route::Page(_) => true,
            Route::Health | Route::Ready | Route::Metrics => {
                let path = request.uri.path();
                self.access.open.iter().any(|open| open == path)
            }
        };
        match (&route, shown) {
            (_, Shown::Wrong | Shown::Nothing) if !is_open => refused(&route),
            (_, Shown::TooMany) if !is_open => text(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong tokens: wait for a second\n",
            ),
            (Route::Api(api), _) => {
                let answer = answer(&self.sources.inspector, api, request, body).await;
                answer.unwrap_or_else(ApiError::response)
            }
            (Route::Page(file), _) => file.answer(&request.headers),
            (Route::Health, _) => verdict((self.sources.is_alive)()),
            (Route::Ready, shown) => ready(&(self.sources.parts)(), shown == Shown::Right),
            (Route::Metrics, _) => metrics(&(self.sources.metrics)(), &request.headers),
        }
    }

    /// Compares the caller's token for a path. A path without a required token is open to every
    /// caller.
    fn shown(&self, route: &Route<'_>, peer: IpAddr, headers: &HeaderMap) -> Shown {
        let (token, allowed) = match route {
            Route::Api(_) => (self.access.inspector_token.as_deref(), WRONG_MAX),
            Route::Page(_) => return Shown::Right,
            Route::Health | Route::Ready | Route::Metrics => match self.access.token.as_deref() {
                None => return Shown::Right,
                token => (token, WRONG_FOR_METRICS_MAX),
            },
        };
        let wrong = &self.wrong_tokens;
        // Without a token nothing can be guessed, so such a request gets its usual answer.
        if headers.contains_key(AUTHORIZATION) && wrong.are_too_many(peer, allowed) {
            return Shown::TooMany;
        }
        let shown = shown(headers, token);
        if shown == Shown::Wrong {
            wrong.note(peer);
        }
        shown
    }
}

impl Responder for Arc<Admin> {
    async fn respond(&self, arrival: Arrival, request: Request) -> Response {
        let (request, body) = request.into_parts();
        guarded(self.answer(arrival.peer.ip(), &request, body).await)
    }
}

/// Answers 401 with `WWW-Authenticate: Bearer`, for which no browser opens a login window: the page
/// asks for the token itself.
fn refused(route: &Route<'_>) -> Response {
    let mut response = match route {
        Route::Api(_) => ApiError::new(
            StatusCode::UNAUTHORIZED,
            "token_needed",
            "A token is needed: Authorization: Bearer TOKEN. `mns-endpoint inspect` prints it",
        )
        .response(),
        Route::Health | Route::Ready | Route::Metrics | Route::Page(_) => text(
            StatusCode::UNAUTHORIZED,
            "A token is needed: Authorization: Bearer TOKEN\n",
        ),
    };
    response
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
