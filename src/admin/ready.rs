//! The parts of readiness, and the answer that combines them.

use std::borrow::Cow;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::admin::respond::verdict;

/// One part of readiness, for machines: `health` prints sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is about.
    pub name: Cow<'static, str>,
    /// Whether it is ready. `None` if readiness does not depend on it.
    pub is_ready: Option<bool>,
    /// Facts about it: numbers with their unit in the name, booleans, words of the configuration,
    /// lists of names.
    pub facts: Vec<(&'static str, serde_json::Value)>,
}

/// The parts as one JSON object.
pub(super) fn parts_json(parts: &[Part]) -> serde_json::Map<String, serde_json::Value> {
    let json = |part: &Part| {
        let verdict = part.is_ready.map(|is_ready| ("ready", is_ready.into()));
        let members = verdict.into_iter().chain(part.facts.iter().cloned());
        let members = members.map(|(name, value)| (name.to_owned(), value));
        (part.name.clone().into_owned(), members.collect())
    };
    parts.iter().map(json).collect()
}

pub(super) fn ready(parts: &[Part], with_parts: bool) -> Response {
    let is_ready = parts.iter().all(|part| part.is_ready != Some(false));
    if !with_parts {
        return verdict(is_ready);
    }
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = format!(
        "{}\n",
        serde_json::json!({ "ready": is_ready, "parts": parts_json(parts) })
    );
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
