//! The API over HTTP: authentication, the operation, and the answer in the service's layout.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use tracing::{error, info, warn};

use crate::emulator::account::AccountError;
use crate::emulator::api::answer::Answer;
use crate::emulator::api::authentication::authenticate;
use crate::emulator::api::execution::{SCHEME, carry_out};
use crate::emulator::api::operation::Operation;
use crate::emulator::api::request::whole;
use crate::emulator::emulator::Emulator;
use crate::emulator::page;
use crate::emulator::push::new_request_id;
use crate::emulator::refusal::Refusal;
use crate::mns::api::ApiError;
use crate::page::guarded;
use crate::report::Report;

impl Emulator {
    /// The API, the page, the certificates and the status document.
    pub fn router(self: &Arc<Self>) -> Router {
        router(self.clone())
    }
}

fn router(emulator: Arc<Emulator>) -> Router {
    let known_hosts_only = from_fn_with_state(emulator.clone(), known_hosts_only);
    let header_case = emulator.header_case.clone();
    let in_case = map_response(move |mut answer: Response| {
        header_case.apply(&mut answer);
        std::future::ready(answer)
    });
    let router = Router::new().route("/status", get(status)).fallback(answer);
    router
        // The layer added last is the outermost, so refusals of the first one get the service's
        // header names too.
        .layer(known_hosts_only)
        .layer(in_case)
        .with_state(emulator)
}

/// Rejects a web page that uses the API through the visitor's browser: a stranger can point a DNS
/// name at this machine, and the default key is public.
async fn known_hosts_only(
    State(emulator): State<Arc<Emulator>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    if emulator.knows_host(request.headers()) {
        return next.run(request).await;
    }
    warn!("Refused a request whose Host is not a name of this emulator: add it with --host");
    let text =
        "The emulator does not answer to the name in Host: start it with --host NAME\n".to_owned();
    let refused = plain(StatusCode::MISDIRECTED_REQUEST, "text/plain", text);
    if page::is_asked(&request) {
        guarded(refused)
    } else {
        refused
    }
}

async fn status(State(emulator): State<Arc<Emulator>>) -> Response {
    match emulator
        .status()
        .await
        .map(|status| serde_json::to_string_pretty(&status))
    {
        Ok(Ok(text)) => plain(StatusCode::OK, "application/json", text),
        Ok(Err(_)) | Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            "the account failed".to_owned(),
        ),
    }
}

fn plain(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

async fn answer(State(emulator): State<Arc<Emulator>>, request: Request<Body>) -> Response {
    if page::is_asked(&request) {
        return page::answer(&emulator, request).await;
    }
    // Without a signature, because an endpoint that fetches a certificate has no access key.
    if let Some(pem) = emulator.sender.keyring.certificate(request.uri().path()) {
        return plain(StatusCode::OK, "application/x-pem-file", pem);
    }
    let begun = Instant::now();
    let request_id = new_request_id(emulator.clock.now());
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let base = format!("{SCHEME}{host}");
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = perform(&emulator, &base, request)
        .await
        .unwrap_or_else(|refusal| {
            let (code, message) = (refusal.code().to_owned(), refusal.to_string());
            let error = ApiError {
                code,
                message,
                request_id: request_id.clone(),
                host_id: base.clone(),
            };
            Answer::of(refusal.status(), error.to_element())
        });
    info!(%method, path, status = answer.status.as_u16(), request_id, "Answered");
    answer.into_response(&request_id, begun.elapsed())
}

async fn perform(
    emulator: &Emulator,
    base: &str,
    request: Request<Body>,
) -> Result<Answer, Refusal> {
    let request = whole(request).await?;
    // Before the signature, because clients disagree on how to sign a name that needs
    // percent-encoding.
    let operation = Operation::of(
        request.method(),
        request.uri().path(),
        request.uri().query(),
    )?;
    authenticate(&request, emulator.access_key.as_ref(), emulator.clock.now())?;
    match carry_out(emulator, base, operation, &request).await {
        Ok(answer) => Ok(answer),
        Err(AccountError::Refused(refusal)) => Err(refusal),
        Err(failure @ (AccountError::Database(_) | AccountError::Closed)) => {
            error!(error = %Report(&failure), "A request failed");
            Err(Refusal::InternalError)
        }
    }
}
