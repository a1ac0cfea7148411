//! The content of a request to the API: its body, its document, and the requested part of a list.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderName, Request};
use tokio::time::timeout;

use crate::emulator::account::{PAGE_ENTRIES_MAX, Page};
use crate::emulator::refusal::Refusal;
use crate::mns::Element;
use crate::mns::api::UnexpectedDocument;

/// The maximum size of a request, in bytes: 64 KiB of ampersands become 320 KiB of XML.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// The time limit for a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const PREFIX: HeaderName = HeaderName::from_static("x-mns-prefix");
const MARKER: HeaderName = HeaderName::from_static("x-mns-marker");
const RET_NUMBER: HeaderName = HeaderName::from_static("x-mns-ret-number");
const WITH_META: HeaderName = HeaderName::from_static("x-mns-with-meta");

/// Whether the entries of a list include the attributes.
#[derive(Clone, Copy)]
pub(super) enum Attributes {
    LeftOut,
    Listed,
}

/// Reads the whole body of a request.
pub(in crate::emulator) async fn whole(request: Request<Body>) -> Result<Request<Bytes>, Refusal> {
    let (head, body) = request.into_parts();
    // A client that stops sending must not keep the request open for ever.
    let body = timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await;
    let too_large = |_| {
        Refusal::InvalidArgument(format!(
            "The body has more than {BODY_BYTES_MAX} bytes, or broke off."
        ))
    };
    let late =
        |_| Refusal::InvalidArgument(format!("The body did not arrive within {BODY_TIMEOUT:?}."));
    Ok(Request::from_parts(
        head,
        body.map_err(late)?.map_err(too_large)?,
    ))
}

/// Reads the document in the body of a request.
pub(super) fn read<T>(
    request: &Request<Bytes>,
    read: impl FnOnce(&Element) -> Result<T, UnexpectedDocument>,
) -> Result<T, Refusal> {
    let element =
        Element::parse(request.body()).map_err(|error| Refusal::MalformedXML(error.to_string()))?;
    // By the service's table of errors, MalformedXML means not well-formed, and InvalidArgument
    // means against the schema.
    read(&element).map_err(|error| match &error {
        UnexpectedDocument::Nested(_) => Refusal::MalformedXML(error.to_string()),
        UnexpectedDocument::Value {
            name: "NotifyContentFormat",
            value,
            // A format of the service: the request is valid, but the emulator lacks it.
        } if value.trim() == "STREAM" => {
            Refusal::NotSupported("no format STREAM: give XML, JSON or SIMPLIFIED")
        }
        UnexpectedDocument::Root { .. }
        | UnexpectedDocument::Missing(_)
        | UnexpectedDocument::Value { .. } => {
            Refusal::InvalidArgument(format!("The XML you provided is not valid: {error}."))
        }
    })
}

/// Whether a request for a list also wants the attributes.
pub(super) fn wants_attributes(request: &Request<Bytes>) -> Attributes {
    match text(request, &WITH_META) {
        Some(value) if value.eq_ignore_ascii_case("true") => Attributes::Listed,
        Some(_) | None => Attributes::LeftOut,
    }
}

/// The part of a list that a request asks for.
pub(super) fn page(request: &Request<Bytes>) -> Result<Page, Refusal> {
    let entries_max = match text(request, &RET_NUMBER) {
        None => PAGE_ENTRIES_MAX,
        Some(number) => {
            let number = number
                .parse()
                .ok()
                .filter(|number| (1..=PAGE_ENTRIES_MAX).contains(number));
            number.ok_or_else(|| {
                Refusal::InvalidArgument("x-mns-ret-number is from 1 to 1000.".to_owned())
            })?
        }
    };
    let own = |name| text(request, name).unwrap_or_default().to_owned();
    Ok(Page {
        prefix: own(&PREFIX),
        marker: own(&MARKER),
        entries_max,
    })
}

fn text<'a>(request: &'a Request<Bytes>, name: &HeaderName) -> Option<&'a str> {
    request
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
}
