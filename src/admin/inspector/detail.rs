//! Shows one notification: its contents, and the request that carried it.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::known::{Known, gone};
use crate::admin::inspector::request::{Head, text_or_base64};
use crate::admin::respond::{self, ApiError};

/// `GET /api/notifications/ID`.
pub(super) async fn detail(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let known = Known::find(inspector, id).await?;
    let request = known.head.as_ref().map(|head| {
        let head = Head::of(head, &inspector.rows.paths);
        let (method, target) = head.line();
        let headers: Vec<[Value; 2]> = head
            .headers()
            .map(|(name, value)| [text_or_base64(name), text_or_base64(value)])
            .collect();
        json!({
            "method": method,
            "target": target,
            "headers": headers,
            "body": known.body.as_deref().map(text_or_base64),
        })
    });
    let attributes = known.attributes();
    let others = attributes.iter().filter(|(name, _)| *name != "Message");
    let others: Vec<[Value; 2]> = others
        .map(|(name, value)| [json!(name), text_or_base64(value)])
        .collect();
    let message = known.message();
    let left_out: Option<&str> = known.left_out.map(Into::into);
    let mut item = known.item;
    if let Some(item) = item.as_object_mut() {
        let said = (!attributes.is_empty()).then_some(others);
        item.insert("attributes".to_owned(), json!(said));
        let message = message.as_deref().map(text_or_base64);
        item.insert("message".to_owned(), json!(message));
        item.insert("request".to_owned(), json!(request));
        item.insert("left_out".to_owned(), json!(left_out));
    }
    Ok(respond::json(&item))
}

/// `GET /api/notifications/ID/request`: the request in the form that `explain` reads.
pub(super) async fn request(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let known = Known::find(inspector, id).await?;
    let (head, body) = sent(&known)?;
    let head = Head::of(head, &inspector.rows.paths);
    let head = head.bytes().strip_suffix(b"\r\n").unwrap_or_default();
    let length = format!("content-length: {}\r\n\r\n", body.len());
    let bytes = [head, length.as_bytes(), body].concat();
    Ok(download("notification.http", bytes))
}

/// Head and body of a request that is complete.
pub(super) fn sent(known: &Known) -> Result<(&[u8], &[u8]), ApiError> {
    if let Some(left_out) = known.left_out {
        return Err(gone(left_out.why()));
    }
    let body = known.body.as_deref();
    let sent = known.head.as_deref().zip(body);
    sent.ok_or_else(|| gone("the body was too large to keep"))
}

/// `GET /api/notifications/ID/message`: the bytes of the message as they were published.
pub(super) async fn message(inspector: &Inspector, id: &str) -> Result<Response, ApiError> {
    let known = Known::find(inspector, id).await?;
    let message = known.message();
    let message = message.ok_or_else(|| gone("no message can be read from this request"))?;
    Ok(download("notification.message", message))
}

/// A download with a fixed file name, because a peer must not choose it.
fn download(name: &str, bytes: Vec<u8>) -> Response {
    let headers = [
        // A type that no browser renders, because a peer chose the bytes.
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from(bytes)).into_response()
}
