//! A request to the page, from its first check to its answer.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use tracing::error;

use crate::emulator::account::AccountError;
use crate::emulator::api::request::whole;
use crate::emulator::emulator::Emulator;
use crate::emulator::page::files::FILES;
use crate::emulator::page::order;
use crate::emulator::page::state::state;
use crate::emulator::refusal::Refusal;
use crate::mns::header;
use crate::net::Arrival;
use crate::page::{ApiError, File, guarded, is_of_no_other_site, json, text};
use crate::report::Report;

/// The prefix of the page's own requests.
const PREFIX: &str = "/-/";
const JSON: &[u8] = b"application/json";

/// The target of a path of the page.
enum Route {
    File(&'static File),
    State,
    Publish,
    Deliver,
    Chaos,
}

impl Route {
    /// Looks a raw path up in one table of exact bytes. Nothing is decoded.
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/-/state" => Self::State,
            "/-/publish" => Self::Publish,
            "/-/deliver" => Self::Deliver,
            "/-/chaos" => Self::Chaos,
            path => Self::File(FILES.of(path)?),
        })
    }

    /// The methods that it accepts, in the form of Allow.
    fn methods(&self) -> &'static str {
        match self {
            Self::File(_) | Self::State => "GET, HEAD",
            Self::Publish | Self::Deliver | Self::Chaos => "POST",
        }
    }
}

/// Whether a request is for the page. The API has no path below `/-/`, and its requests to `/`
/// carry a version or ask for the attributes of the account.
pub(in crate::emulator) fn is_asked<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let is_index = path == "/"
        // With any other method `/` belongs to the API.
        && matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.headers().contains_key(header::VERSION)
        && !request
            .uri()
            .query()
            .is_some_and(|query| query.contains("accountmeta"));
    is_index || path.starts_with(PREFIX)
}

/// Answers a request to the page. The caller has checked the name in Host.
pub(in crate::emulator) async fn answer(
    emulator: &Arc<Emulator>,
    request: Request<Body>,
) -> Response {
    guarded(checked(emulator, request).await)
}

/// All checks that do not depend on the path come first.
async fn checked(emulator: &Arc<Emulator>, request: Request<Body>) -> Response {
    if !is_of_no_other_site(request.headers()) {
        return text(
            StatusCode::FORBIDDEN,
            "Requests from pages of other sites are refused\n",
        );
    }
    let Some(route) = Route::of(request.uri().path()) else {
        return text(StatusCode::NOT_FOUND, "Not Found\n");
    };
    let is_taken = |taken: &str| taken == request.method().as_str();
    if !route.methods().split(", ").any(is_taken) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
        let allowed = HeaderValue::from_static(route.methods());
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    match route {
        Route::File(file) => file.answer(request.headers()),
        route => api_answer(emulator, &route, request)
            .await
            .unwrap_or_else(ApiError::response),
    }
}

/// Answers with JSON.
async fn api_answer(
    emulator: &Arc<Emulator>,
    route: &Route,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let peer = request.extensions().get::<Arrival>().map(|from| from.peer);
    // A listener on `[::]` reports an IPv4 peer as `::ffff:127.0.0.1`, which is no loopback address
    // until it is converted.
    let is_local = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    // The page needs no access key, so it must not be a way around a secret one.
    if !is_local && !emulator.is_open() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "not_local",
            "This emulator has an access key of its own: its page is for its own machine",
        ));
    }
    if *request.method() == Method::POST && !is_json(&request) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "Content-Type has to be application/json",
        ));
    }
    // After the checks above, so that a rejected request costs no body.
    let request = whole(request).await.map_err(|refusal| refused(&refusal))?;
    let body = request.body();
    let done = match route {
        Route::Publish => order::publish(emulator, body).await,
        Route::Deliver => order::deliver(emulator, body).await,
        Route::Chaos => order::set_chaos(emulator, body),
        Route::State | Route::File(_) => state(emulator).await,
    };
    done.map(|value| json(&value))
        .map_err(|failure| match failure {
            AccountError::Refused(refusal) => refused(&refusal),
            AccountError::Database(_) | AccountError::Closed => {
                // Only the log has the cause. The page says that the emulator failed, as the API
                // does.
                error!(error = %Report(&failure), "A request failed");
                refused(&Refusal::InternalError)
            }
        })
}

/// A form on another site cannot send JSON with its content type.
fn is_json(request: &Request<Body>) -> bool {
    let value = request.headers().get(CONTENT_TYPE);
    value.is_some_and(|value| {
        // Parameters such as a charset do not matter.
        let kind = value.as_bytes().split(|byte| *byte == b';').next();
        kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(JSON))
    })
}

fn refused(refusal: &Refusal) -> ApiError {
    ApiError::new(refusal.status(), refusal.code(), refusal.to_string())
}
