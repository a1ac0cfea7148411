//! Which page made a request: one of another site may not ask.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// What a browser says about the page that made a request.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// Whether the request was made by no page, or by one of this listener. A link elsewhere may lead
/// here: whoever follows it brings no token, and changes nothing.
pub(crate) fn is_of_no_other_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let is_of_site = match text(SEC_FETCH_SITE) {
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => text(SEC_FETCH_MODE) == Some(b"navigate"),
    };
    // A proxy in front may have taken off TLS: the scheme is the page's.
    let host = headers.get(HOST).map(http::HeaderValue::as_bytes);
    let is_of_origin = headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.as_bytes();
        let authority = origin
            .strip_prefix(b"http://")
            .or_else(|| origin.strip_prefix(b"https://"));
        authority
            .zip(host)
            .is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    });
    is_of_site && is_of_origin
}
