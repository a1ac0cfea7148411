//! The paths of the admin listener. They are matched byte for byte: nothing is decoded, and there
//! are no prefixes.

use http::Method;

use crate::admin::inspector::FILES;
use crate::page::File;

/// The longest id of a notification, in bytes.
const ID_BYTES_MAX: usize = 64;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Health,
    Ready,
    Metrics,
    /// A file of the page.
    Page(&'static File),
    Api(Api<'a>),
}

/// What a path below `/api/` leads to. Each requires the token of the inspector.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Api<'a> {
    About,
    Hour,
    Forwarding,
    Stream,
    Notifications,
    Replay,
    Notification(&'a str),
    Checks(&'a str),
    Request(&'a str),
    Message(&'a str),
}

impl<'a> Route<'a> {
    /// Matches the raw path of a request.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/api/about" => Self::Api(Api::About),
            "/api/hour" => Self::Api(Api::Hour),
            "/api/forwarding" => Self::Api(Api::Forwarding),
            "/api/stream" => Self::Api(Api::Stream),
            "/api/replay" => Self::Api(Api::Replay),
            "/api/notifications" => Self::Api(Api::Notifications),
            path => match FILES.of(path) {
                Some(file) => Self::Page(file),
                None => return Self::of_notification(path.strip_prefix("/api/notifications/")?),
            },
        })
    }

    /// Matches an id, optionally followed by one word.
    fn of_notification(rest: &'a str) -> Option<Self> {
        let (id, part) = match rest.split_once('/') {
            Some((id, part)) => (id, Some(part)),
            None => (rest, None),
        };
        let is_of_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(is_of_id) {
            return None;
        }
        Some(Self::Api(match part {
            None => Api::Notification(id),
            Some("checks") => Api::Checks(id),
            Some("request") => Api::Request(id),
            Some("message") => Api::Message(id),
            Some(_) => return None,
        }))
    }

    /// The methods that the route accepts, as in the Allow header.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Api(Api::Replay) => "POST",
            Self::Health | Self::Ready | Self::Metrics | Self::Page(_) | Self::Api(_) => {
                "GET, HEAD"
            }
        }
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        self.methods()
            .split(", ")
            .any(|taken| taken == method.as_str())
    }
}
