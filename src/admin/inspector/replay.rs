//! Replays a notification from its stored bytes, to this machine or to a URL prefix that the
//! configuration allows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use reqwest::{Client, Url, redirect};
use serde_json::{Value, json};
use tokio::net::lookup_host;
use tokio::time::Instant;

use crate::admin::inspector::detail::sent;
use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::known::{Known, gone};
use crate::admin::inspector::query::{Query, wrong};
use crate::admin::inspector::request::{Head, text_or_base64};
use crate::admin::respond::{self, ApiError};
use crate::roots::{Trust, tls_client_trusting};

/// The largest body of a replay request, in bytes.
const ASKED_BYTES_MAX: usize = 4096;
/// How many bytes of the receiver's answer are shown.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// The timeout of a replay.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Informs the receiver that this is a replay. The name does not start with `x-mns-`, because MNS
/// signs such headers.
const MARK: HeaderName = HeaderName::from_static("mns-endpoint-replay");
/// Headers that the HTTP library writes itself.
const OWN: [HeaderName; 4] = [HOST, CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING];

/// `POST /api/replay`.
pub(super) async fn replay(
    inspector: &Arc<Inspector>,
    request: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    Query::of(&request.uri, &[])?;
    let asked = read(&request.headers, body).await?;
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
    let known = Known::find(inspector, text("id")).await?;
    let (headers, bytes) = match text("as") {
        "request" => whole(inspector, &known)?,
        "message" => message(&known)?,
        _ => return Err(wrong("as is request or message")),
    };
    // Not awaited: each may take the whole timeout.
    let Ok(_permit) = inspector.replays.try_acquire() else {
        let text = "two are being sent already";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text));
    };
    let (url, addresses) = allowed(text("to"), &inspector.about.replay_to).await?;
    let begun = Instant::now();
    let sent = send(url, &addresses, headers, bytes).await;
    let (status, headers, body) = sent.map_err(|error| no_answer(&error))?;
    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let headers: Vec<[Value; 2]> = headers
        .iter()
        .map(|(name, value)| [json!(name.as_str()), text_or_base64(value.as_bytes())])
        .collect();
    Ok(respond::json(&json!({
        "status": status.as_u16(),
        "took_us": took,
        "headers": headers,
        "body": text_or_base64(&body),
    })))
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Value, ApiError> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // A page of another site cannot send this type without a preflight, which is refused here.
    if content_type != Some(b"application/json") {
        let text = "Content-Type has to be application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "content_type", text));
    }
    let read = Limited::new(body, ASKED_BYTES_MAX).collect().await;
    let bytes = read.map_err(|_too_large| {
        let text = format!("the body has more than {ASKED_BYTES_MAX} bytes, or broke off");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    })?;
    serde_json::from_slice(&bytes.to_bytes()).map_err(|_mistake| wrong("the body is no JSON"))
}

/// The request as it arrived, with its signature. A secret path is hidden.
fn whole(inspector: &Inspector, known: &Known) -> Result<(HeaderMap, Vec<u8>), ApiError> {
    let odd = || gone("a header of it cannot be sent again");
    let (head, body) = sent(known)?;
    let mut headers = HeaderMap::new();
    for (name, value) in Head::of(head, &inspector.rows.paths).headers() {
        let name = HeaderName::from_bytes(name).map_err(|_never| odd())?;
        let value = HeaderValue::from_bytes(value).map_err(|_never| odd())?;
        if !OWN.contains(&name) {
            headers.append(name, value);
        }
    }
    Ok((headers, body.to_vec()))
}

fn message(known: &Known) -> Result<(HeaderMap, Vec<u8>), ApiError> {
    let message = known.message();
    let message = message.ok_or_else(|| gone("no message can be read from this request"))?;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok((HeaderMap::from_iter([(CONTENT_TYPE, plain)]), message))
}

/// Parses the URL and resolves its host. The connection uses exactly the addresses that were
/// checked.
async fn allowed(to: &str, prefixes: &[String]) -> Result<(Url, Vec<SocketAddr>), ApiError> {
    let url = Url::parse(to).map_err(|_mistake| wrong("to is no address"))?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let host = url
        .host_str()
        .filter(|_| is_plain && !url.cannot_be_a_base());
    let port = url.port_or_known_default();
    let (Some(host), Some(port), "http" | "https") = (host, port, url.scheme()) else {
        return Err(wrong("to is no http or https address"));
    };
    let name = (host.trim_matches(['[', ']']), port);
    let found = lookup_host(name).await.map_err(|error| no_answer(&error))?;
    let addresses: Vec<SocketAddr> = found.collect();
    let is_here = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    let is_listed = prefixes
        .iter()
        .any(|prefix| url.as_str().starts_with(prefix));
    if addresses.is_empty() || !(is_listed || addresses.iter().all(is_here)) {
        let text = "only loopback and the prefixes in admin.replay_to are allowed";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not_allowed", text));
    }
    Ok((url, addresses))
}

async fn send(
    url: Url,
    addresses: &[SocketAddr],
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<(StatusCode, HeaderMap, Vec<u8>), Box<dyn std::error::Error + Send + Sync>> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let client = Client::builder()
        .tls_backend_preconfigured(tls_client_trusting(Trust::Roots)?)
        .timeout(TIMEOUT)
        // Neither a redirect nor a proxy, which could lead to an address that was not checked.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs(&host, addresses)
        .build()?;
    let request = client.request(Method::POST, url).headers(headers);
    let request = request
        .header(MARK, HeaderValue::from_static("1"))
        .body(body);
    let mut answer = request.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut shown = Vec::new();
    while shown.len() < ANSWER_BYTES_MAX
        && let Some(chunk) = answer.chunk().await?
    {
        shown.extend_from_slice(&chunk);
    }
    shown.truncate(ANSWER_BYTES_MAX);
    Ok((status, headers, shown))
}

fn no_answer(error: &(impl std::fmt::Display + ?Sized)) -> ApiError {
    ApiError::new(StatusCode::BAD_GATEWAY, "no_answer", error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// The name resolves to nothing, so the connection succeeds only if it uses the checked
    /// address: a name that resolves differently later (DNS rebinding) gains nothing.
    #[tokio::test]
    async fn what_was_checked_is_what_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 5];
            stream.read_exact(&mut head).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).unwrap();
            head
        });
        let url = Url::parse(&format!("http://no-such-name.invalid:{}/", address.port())).unwrap();
        let sent = send(url, &[address], HeaderMap::new(), Vec::new()).await;
        assert_eq!(sent.unwrap().0, StatusCode::OK);
        assert_eq!(&receiver.join().unwrap(), b"POST ");
    }
}
