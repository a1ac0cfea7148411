//! One notification: what it says, and the request that brought it.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::request::{Head, claimed, judged, text_or_base64};
use crate::admin::inspector::row::Names;
use crate::admin::respond::{self, ApiError};
use crate::server::Recorded;

/// `GET /api/notifications/ID`.
pub(super) fn detail(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let recorded = find(inspector, id)?;
    let summary = &recorded.summary;
    let head = Head::of(summary, &inspector.rows.paths);
    let (method, target) = head.line();
    let headers: Vec<[Value; 2]> = head
        .headers()
        .map(|(name, value)| [text_or_base64(name), text_or_base64(value)])
        .collect();
    let judged = judged(summary);
    let said = judged.as_ref().and_then(claimed);
    let attributes: Option<Vec<[Value; 2]>> = said.as_ref().map(|said| {
        let attributes = said.attributes().into_iter();
        let others = attributes.filter(|(name, _)| *name != "Message");
        others
            .map(|(name, value)| [json!(name), text_or_base64(value)])
            .collect()
    });
    let mut item = inspector.rows.row(&recorded, &Names::of(summary));
    if let Some(item) = item.as_object_mut() {
        item.insert("attributes".to_owned(), json!(attributes));
        let message = said.as_ref().map(|said| text_or_base64(&said.message));
        item.insert("message".to_owned(), json!(message));
        let request = json!({
            "method": method,
            "target": target,
            "headers": headers,
            "body": summary.body().map(text_or_base64),
        });
        item.insert("request".to_owned(), request);
    }
    Ok(respond::json(&item))
}

/// `GET /api/notifications/ID/request`: as `explain` reads it.
pub(super) fn request(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let recorded = find(inspector, id)?;
    let summary = &recorded.summary;
    let body = summary
        .body()
        .ok_or_else(|| gone("the body was too large to keep"))?;
    let head = Head::of(summary, &inspector.rows.paths);
    let head = head.bytes().strip_suffix(b"\r\n").unwrap_or_default();
    let length = format!("content-length: {}\r\n\r\n", body.len());
    let bytes = [head, length.as_bytes(), body].concat();
    Ok(download("notification.http", bytes))
}

/// `GET /api/notifications/ID/message`: its bytes as they were published.
pub(super) fn message(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let recorded = find(inspector, id)?;
    let request = judged(&recorded.summary);
    let said = request.as_ref().and_then(claimed);
    let message = said.ok_or_else(|| gone("no message can be read from this request"))?;
    Ok(download(
        "notification.message",
        message.message.into_owned(),
    ))
}

/// A download under a fixed name: a peer does not choose file names.
fn download(name: &str, bytes: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from(bytes)).into_response()
}

pub(super) fn find(inspector: &Inspector, id: &str) -> Result<Recorded, ApiError> {
    let seq = inspector.rows.seq(id);
    let found = seq.and_then(|seq| Some((seq, inspector.endpoint.recent.find(seq)?)));
    found
        .map(|(seq, summary)| Recorded { seq, summary })
        .ok_or_else(|| gone("it is not in memory any more"))
}

fn gone(text: &str) -> ApiError {
    ApiError::new(StatusCode::GONE, "gone", text)
}
