//! What is served, and how it is logged.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};

use crate::journal::{AccessField, Format};
use crate::server::rejection::Rejection;
use crate::server::{RefusedLimits, SecretPath};

/// What is served, and how it is logged.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The paths that MNS posts to.
    pub paths: Paths,
    /// The prefix that a proxy removes from the path. It is put back before a path is compared or a
    /// signature is checked.
    pub path_prefix: String,
    /// The path of the health check for load balancers.
    pub health_path: Option<String>,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// The longest time from the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// The form of both logs.
    pub format: Format,
    /// How much of an accepted request is logged before its outcome.
    pub request_detail: RequestDetail,
    /// How much of a refused body is logged, in bytes.
    pub refused_body_bytes: usize,
    /// How many refusals a second are logged in full; `None` for no limit.
    pub refused_per_second: Option<u64>,
    /// How many bytes of access lines refusals may write each second; `None` for no limit.
    pub refused_line_bytes: Option<u64>,
    /// Whether each accepted notification is printed to stdout as a line of JSON.
    pub prints_messages: bool,
    /// The fields of the access log after those of the manual.
    pub access_fields: Vec<AccessField>,
}

/// The paths that are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths {
    /// Every path.
    Any,
    /// These paths, compared byte for byte.
    These(Vec<String>),
    /// A path that only MNS and the operator know, after the prefix that a proxy removes.
    Secret(SecretPath),
}

/// How much of an accepted request is in the endpoint log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestDetail {
    /// Headers and body.
    Full,
    /// Headers.
    Headers,
    /// Nothing but the outcome.
    Off,
}

impl Settings {
    /// The limits on what refusals may write.
    #[must_use]
    pub fn refused_limits(&self) -> RefusedLimits {
        RefusedLimits {
            records: self.refused_per_second,
            body_bytes: self.refused_body_bytes,
            line_bytes: self.refused_line_bytes,
        }
    }

    /// The target as MNS sent it, with the prefix that a proxy removed.
    #[must_use]
    pub fn with_prefix(&self, uri: Uri) -> Uri {
        let prefix = self.path_prefix.as_str();
        if prefix.is_empty() {
            return uri;
        }
        let mut parts = uri.clone().into_parts();
        let whole = parts
            .path_and_query
            .map(|rest| PathAndQuery::try_from(format!("{prefix}{rest}")));
        // A target without a path, such as `*`, cannot have a prefix.
        let Some(Ok(whole)) = whole else { return uri };
        parts.path_and_query = Some(whole);
        Uri::from_parts(parts).unwrap_or(uri)
    }

    /// Checks what can be refused before the body is read.
    ///
    /// # Errors
    /// The first [`Rejection`] found.
    pub fn check_head<B>(&self, request: &http::Request<B>) -> Result<(), Rejection> {
        // Check the path first: a stranger who does not know it learns nothing else.
        if !self.serves(request.uri().path()) {
            return Err(Rejection::PathNotServed);
        }
        if request.method() != Method::POST {
            return Err(Rejection::MethodNotAllowed);
        }
        // MNS never sends this header. A proxy that compresses the body changes what was signed.
        if request.headers().contains_key(CONTENT_ENCODING) {
            return Err(Rejection::ContentEncoding);
        }
        // An announced length is refused before anything is read. A body without an announced
        // length is limited while it is read.
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match announced.map(usize::try_from) {
            Some(Ok(length)) if length <= self.body_bytes_max => Ok(()),
            // A length that does not fit in `usize` is too large as well.
            Some(Ok(_) | Err(_)) => Err(Rejection::BodyTooLarge),
            None => Ok(()),
        }
    }

    fn serves(&self, path: &str) -> bool {
        match &self.paths {
            Paths::Any => true,
            Paths::These(paths) => paths.iter().any(|served| served == path),
            Paths::Secret(secret) => path
                .strip_prefix(&self.path_prefix)
                .is_some_and(|path| secret.serves(path)),
        }
    }
}

impl Paths {
    /// A text with a secret path hidden.
    #[must_use]
    pub fn hide<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Any | Self::These(_) => Cow::Borrowed(text),
            Self::Secret(secret) => secret.hide(text),
        }
    }

    /// Headers with a secret path hidden.
    pub(super) fn hide_in<'a>(&self, headers: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        match self {
            Self::Any | Self::These(_) => Cow::Borrowed(headers),
            Self::Secret(secret) => secret.hide_in(headers),
        }
    }
}
