//! The second listener: is it alive, is it ready, and what was counted.
//!
//! Other machines need a token, and browsers are kept out by the name in Host: a page of a stranger
//! that makes its own name point here does not get past it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use subtle::ConstantTimeEq as _;

use crate::host_name;

/// The type of `OpenMetrics` text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The type of the older text that every Prometheus reads.
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who may ask for what.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// What a caller has to show, where there is one.
    pub token: Option<String>,
    /// Paths that are served without it.
    pub open: Vec<String>,
    /// Names that a Host header may carry, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// One part of being ready. It is for machines: `health` has the sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is about.
    pub name: &'static str,
    /// Whether it is as it should be; `None` for a part that the verdict does not depend on.
    pub is_ready: Option<bool>,
    /// What is known of it: numbers with their unit in the name, booleans, words of the
    /// configuration, lists of names.
    pub facts: Vec<(&'static str, serde_json::Value)>,
}

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

impl Access {
    /// Whether the caller may see everything: it showed the token, or there is none.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let shown = headers
            .get(AUTHORIZATION)
            .map(|value| value.as_bytes())
            .unwrap_or_default();
        shown
            .strip_prefix(b"Bearer ")
            .is_some_and(|shown| shown.ct_eq(token.as_bytes()).into())
    }

    fn knows_host(&self, headers: &HeaderMap) -> bool {
        host_name::is_ours(headers, |name| {
            self.hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }
}

fn verdict(is_well: bool) -> Response {
    if is_well {
        text(StatusCode::OK, "OK\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
    }
}

fn ready(parts: &[Part], with_parts: bool) -> Response {
    let is_ready = parts.iter().all(|part| part.is_ready != Some(false));
    if !with_parts {
        return verdict(is_ready);
    }
    let parts: serde_json::Map<String, serde_json::Value> = parts
        .iter()
        .map(|part| {
            let verdict = part.is_ready.map(|is_ready| ("ready", is_ready.into()));
            let members = verdict.into_iter().chain(part.facts.iter().cloned());
            (
                part.name.to_owned(),
                members
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            )
        })
        .collect();
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = format!(
        "{}\n",
        serde_json::json!({ "ready": is_ready, "parts": parts })
    );
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

fn metrics(open_metrics: &str, headers: &HeaderMap) -> Response {
    let accepted = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    if accepted.contains("application/openmetrics-text") {
        return ([(CONTENT_TYPE, OPEN_METRICS)], open_metrics.to_owned()).into_response();
    }
    ([(CONTENT_TYPE, PLAIN_METRICS)], in_plain_form(open_metrics)).into_response()
}

/// The same in the older form: a counter has its `_total` in HELP and TYPE too, and there is no end
/// mark.
fn in_plain_form(open_metrics: &str) -> String {
    let mut plain = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let types = lines.peek().and_then(|next| next.strip_prefix("# TYPE "));
        let is_counters = |types: &str| types.ends_with(" counter");
        let renamed = match line
            .strip_prefix("# ")
            .and_then(|rest| rest.split_once(' '))
        {
            Some(("EOF", _)) | None if line == "# EOF" => continue,
            Some(("UNIT", _)) => continue,
            Some(("HELP", rest)) if types.is_some_and(is_counters) => with_total("HELP", rest),
            Some(("TYPE", rest)) if is_counters(rest) => with_total("TYPE", rest),
            Some(_) | None => line.to_owned(),
        };
        plain.push_str(&renamed);
        plain.push('\n');
    }
    plain
}

fn with_total(kind: &str, rest: &str) -> String {
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    format!("# {kind} {name}_total {rest}")
}

fn text(status: StatusCode, body: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain")], body).into_response()
}
