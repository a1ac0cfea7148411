//! The files of a page: embedded in the binary, its own in one table, and those that the pages
//! share.

use std::sync::OnceLock;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(crate) const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
/// The name of the file at `/`.
const INDEX: &str = "index.html";

/// A file of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    tag: OnceLock<String>,
}

/// The files of one page.
pub(crate) struct Files {
    /// The prefix of the paths of all files except the index.
    prefix: &'static str,
    own: &'static [File],
}

/// A file by its name on the page, its content type, and its path in the sources.
macro_rules! file {
    ($name:literal, $content_type:expr, $path:literal) => {
        $crate::page::File::new($name, $content_type, include_bytes!($path))
    };
}
pub(crate) use file;

/// The files that every page has.
static SHARED: [File; 5] = [
    file!("app.css", STYLE, "shared/app.css"),
    file!("dom.js", SCRIPT, "shared/dom.js"),
    file!("format.js", SCRIPT, "shared/format.js"),
    file!("icon.svg", PICTURE, "shared/icon.svg"),
    file!("settings.js", SCRIPT, "shared/settings.js"),
];

impl Files {
    pub(crate) const fn new(prefix: &'static str, own: &'static [File]) -> Self {
        Self { prefix, own }
    }

    /// The file at a raw path. The only path of the index is `/`.
    pub(crate) fn of(&'static self, path: &str) -> Option<&'static File> {
        let name = match path {
            "/" => INDEX,
            path => path
                .strip_prefix(self.prefix)
                .filter(|name| *name != INDEX)?,
        };
        let mut files = self.own.iter().chain(&SHARED);
        files.find(|file| file.name == name)
    }
}

impl File {
    pub(crate) const fn new(
        name: &'static str,
        content_type: &'static str,
        bytes: &'static [u8],
    ) -> Self {
        Self {
            name,
            content_type,
            bytes,
            // Computed on first use, because `Sha256` does not run in a `const fn`.
            tag: OnceLock::new(),
        }
    }

    /// The digest of the file. A browser revalidates its copy with it and gets the content only
    /// once.
    fn tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let digest = Sha256::digest(self.bytes);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\"{hex}\"")
        })
    }

    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        // Browsers send back the tag that they got. For a list or `*` the whole file is correct,
        // too.
        let known = headers.get(IF_NONE_MATCH).map(http::HeaderValue::as_bytes);
        let is_known = known == Some(self.tag().as_bytes());
        let (status, body) = if is_known {
            (StatusCode::NOT_MODIFIED, Body::empty())
        } else {
            (StatusCode::OK, Body::from(self.bytes))
        };
        let headers = [
            (CONTENT_TYPE, self.content_type),
            // Revalidated each time, so that after an upgrade the page and its scripts are of one
            // version.
            (CACHE_CONTROL, "no-cache"),
            (ETAG, self.tag()),
        ];
        (status, headers, body).into_response()
    }
}
