//! The origin of a request: pages of other sites are rejected.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// What a browser says about the page that made a request.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// Whether the request was made by no page or by one of this listener. A link on another site may
/// lead here, because following it sends no token and changes nothing.
pub(crate) fn is_of_no_other_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let is_of_site = match text(SEC_FETCH_SITE) {
        // Clients that are not browsers do not send it. `none` is an address that the user has
        // typed.
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => text(SEC_FETCH_MODE) == Some(b"navigate"),
    };
    // A proxy may have terminated TLS, so the scheme is that of the page.
    let host = headers.get(HOST).map(http::HeaderValue::as_bytes);
    // The origin `null` of sandboxed frames and local files has no authority, so it is rejected.
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
