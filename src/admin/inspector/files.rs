//! The files of the page: in the binary, in one table. They hold no data, so they need no token.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::admin) struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $content_type:expr, $name:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("page/", $name)),
        }
    };
}

static FILES: [File; 16] = [
    file!("/", HTML, "index.html"),
    file!("/inspector/api.js", SCRIPT, "api.js"),
    file!("/inspector/app.css", STYLE, "app.css"),
    file!("/inspector/app.js", SCRIPT, "app.js"),
    file!("/inspector/curl.js", SCRIPT, "curl.js"),
    file!("/inspector/detail.js", SCRIPT, "detail.js"),
    file!("/inspector/dialogs.js", SCRIPT, "dialogs.js"),
    file!("/inspector/dom.js", SCRIPT, "dom.js"),
    file!("/inspector/format.js", SCRIPT, "format.js"),
    file!("/inspector/i18n/en.js", SCRIPT, "i18n/en.js"),
    file!("/inspector/i18n/zh.js", SCRIPT, "i18n/zh.js"),
    file!("/inspector/icon.svg", PICTURE, "icon.svg"),
    file!("/inspector/list.js", SCRIPT, "list.js"),
    file!("/inspector/pretty.js", SCRIPT, "pretty.js"),
    file!("/inspector/store.js", SCRIPT, "store.js"),
    file!("/inspector/strip.js", SCRIPT, "strip.js"),
];

/// The digest of each file, as its tag: what a browser has is asked for again and sent once.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |file: &File| {
        let digest = Sha256::digest(file.bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    };
    FILES.iter().map(tag).collect()
});

impl File {
    /// The file at a raw path.
    pub(in crate::admin) fn of(path: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.path == path)
    }

    pub(in crate::admin) fn answer(&self, headers: &HeaderMap) -> Response {
        let at = FILES.iter().position(|file| file.path == self.path);
        let tag = at.and_then(|at| TAGS.get(at)).cloned().unwrap_or_default();
        let known = headers.get(IF_NONE_MATCH).map(http::HeaderValue::as_bytes);
        let is_known = known == Some(tag.as_bytes());
        let (status, body) = if is_known {
            (StatusCode::NOT_MODIFIED, Body::empty())
        } else {
            (StatusCode::OK, Body::from(self.bytes))
        };
        let headers = [
            (CONTENT_TYPE, self.content_type.to_owned()),
            (CACHE_CONTROL, "no-cache".to_owned()),
            (ETAG, tag),
        ];
        (status, headers, body).into_response()
    }
}
