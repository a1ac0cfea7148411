//! Parses the stored bytes of a request, to show it or to judge it.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use serde_json::{Value, json};

use crate::mns::Notification;
use crate::server::Paths;

/// The head of a request with its secret path hidden.
pub(super) struct Head<'a>(Cow<'a, [u8]>);

impl<'a> Head<'a> {
    pub(super) fn of(head: &'a [u8], paths: &Paths) -> Self {
        Self(paths.hide(head))
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.0.split(|byte| *byte == b'\n');
        lines
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|line| !line.is_empty())
    }

    /// Request line and headers, including the empty line.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Method and target.
    pub(super) fn line(&self) -> (String, String) {
        let line = self.lines().next().unwrap_or_default();
        let text = String::from_utf8_lossy(line);
        let mut words = text.split(' ').map(str::to_owned);
        let method = words.next().unwrap_or_default();
        (method, words.next().unwrap_or_default())
    }

    /// Names and values, in the order in which they arrived.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().skip(1).filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((name, value.strip_prefix(b": ").unwrap_or_default()))
        })
    }

    pub(super) fn header(&self, wanted: &str) -> Option<&[u8]> {
        let mut headers = self.headers();
        headers.find_map(|(name, value)| (name == wanted.as_bytes()).then_some(value))
    }
}

/// The request including its secret path. For the checks only: it must not be shown.
pub(super) fn judged(head: &[u8], body: &[u8]) -> Option<Request<Bytes>> {
    let head = Head(Cow::Borrowed(head));
    let (method, target) = head.line();
    let mut request = Request::builder().method(method.as_str()).uri(target);
    for (name, value) in head.headers() {
        let name = HeaderName::from_bytes(name).ok()?;
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    request.body(Bytes::copy_from_slice(body)).ok()
}

/// What the request says, whether or not it was verified.
pub(super) fn claimed(request: &Request<Bytes>) -> Option<Notification<'_>> {
    Notification::decode(request).ok()
}

/// Bytes from a peer: as text if they are UTF-8, otherwise as base64.
pub(super) fn text_or_base64(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// The same for bytes that may be truncated within a character, which is then left out.
pub(super) fn beginning(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => {
            text_or_base64(bytes.get(..error.valid_up_to()).unwrap_or_default())
        }
        Ok(_) | Err(_) => text_or_base64(bytes),
    }
}
