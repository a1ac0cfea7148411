//! The answers of the API, in the layout of the service (`docs/emulator.md`).

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, LOCATION, SERVER};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::emulator::account::{Creation, Pages};
use crate::mns::{Element, header};

const RESPONSE_FORMAT: HeaderName = HeaderName::from_static("x-mns-response-format");
const ACCOUNT_TYPE: HeaderName = HeaderName::from_static("x-mns-account-type");
const THREADPOOL_WAIT_TIME: HeaderName = HeaderName::from_static("x-mns-threadpool-wait-time");
const NETTY_TOTAL_TIME: HeaderName = HeaderName::from_static("x-mns-netty-total-time");

/// The header names that the service writes in title case, in recordings of 2026. Names with the
/// prefix `x-mns-` are in lower case.
pub(in crate::emulator) const TITLE_CASE_NAMES: [&str; 6] = [
    "Server",
    "Date",
    "Content-Type",
    "Content-Length",
    "Location",
    "Connection",
];

/// The answer to a request.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    location: Option<String>,
    document: Option<Element>,
}

impl Answer {
    /// 204.
    pub(super) fn done() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            location: None,
            document: None,
        }
    }

    /// 200 with a document.
    pub(super) fn found(document: Element) -> Self {
        Self::of(StatusCode::OK, document)
    }

    /// A status with a document.
    pub(super) fn of(status: StatusCode, document: Element) -> Self {
        Self {
            status,
            location: None,
            document: Some(document),
        }
    }

    /// 201 for a created object, 204 for an existing one.
    pub(super) fn created(creation: Creation, location: String) -> Self {
        let status = match creation {
            Creation::New => StatusCode::CREATED,
            Creation::Unchanged => StatusCode::NO_CONTENT,
        };
        Self {
            status,
            location: Some(location),
            document: None,
        }
    }

    /// 200 with a page of a list.
    pub(super) fn list<T>(name: &str, pages: Pages<T>, entry: impl Fn(T) -> Element) -> Self {
        let mut children: Vec<Element> = pages.entries.into_iter().map(entry).collect();
        // The last page has no marker at all: an empty one breaks the vendor's Python SDK.
        children.extend(
            pages
                .next_marker
                .map(|marker| Element::of_text("NextMarker", marker)),
        );
        Self::found(Element::of_children(name, children))
    }

    /// Adds the headers that all answers of the service have. `elapsed` is the time since the
    /// request arrived.
    pub(super) fn into_response(self, request_id: &str, elapsed: Duration) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("AliyunMQS"));
        // Even a 204 has one.
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/xml;charset=utf-8"),
        );
        headers.extend(
            self.location
                // Host and names are visible ASCII by now, so this never fails.
                .and_then(|url| HeaderValue::try_from(url).ok())
                .map(|url| (LOCATION, url)),
        );
        headers.extend(
            HeaderValue::from_str(request_id)
                .map(|id| (header::REQUEST_ID, id))
                .ok(),
        );
        headers.insert(header::VERSION, HeaderValue::from_static("2015-06-06"));
        headers.insert(RESPONSE_FORMAT, HeaderValue::from_static("xml"));
        // The service sends this header, although it is empty.
        headers.insert(ACCOUNT_TYPE, HeaderValue::from_static(""));
        // The emulator has no queue for a thread pool.
        headers.insert(THREADPOOL_WAIT_TIME, HeaderValue::from_static("0"));
        headers.insert(
            NETTY_TOTAL_TIME,
            u64::try_from(elapsed.as_millis())
                .unwrap_or(u64::MAX)
                .into(),
        );
        if let Some(document) = self.document {
            *response.body_mut() = Body::from(document.document());
        }
        response
    }
}
