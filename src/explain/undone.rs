//! The requests from which a proxy may have made the received one, each with one change reverted.
//!
//! Their number is bounded, whatever the request contains. Each is created when it is requested.

use bytes::Bytes;
use http::{HeaderValue, Request, header};

use crate::explain::cause::Finding;
use crate::explain::spelling::{self, spellings};
use crate::mns::header::{CONTENT_MD5, DATE, MNS_PREFIX, VERSION};
use crate::mns::{ContentMd5, Notation};

/// The Content-Types that MNS is known or assumed to send.
const CONTENT_TYPES: [&str; 5] = [
    "text/xml;charset=utf-8",
    "text/plain;charset=utf-8",
    "application/json;charset=utf-8",
    // These two in case a proxy added the charset.
    "text/xml",
    "text/plain",
];

/// The maximum number of segments that are removed from the front of a path. No proxy is known to
/// prepend that many.
const CUTS_MAX: usize = 64;
/// The longest part of a target that a sentence shows, in bytes. The string to sign shows all of
/// it.
const SHOWN_BYTES_MAX: usize = 1024;

/// A change that a proxy may have made, and the request without it.
pub(super) struct Undone {
    /// The change.
    pub(super) finding: Finding,
    pub(super) request: Request<Bytes>,
}

/// Whether the path has more segments than are removed, or the target has more places than are
/// respelled.
pub(super) fn is_over_bound(received: &Request<Bytes>) -> bool {
    received
        .uri()
        .path()
        .match_indices('/')
        .nth(CUTS_MAX.saturating_add(1))
        .is_some()
        || spelling::is_over_bound(target_of(received))
}

fn target_of(request: &Request<Bytes>) -> &str {
    request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str())
}

/// The request with another target. `None` if the target is invalid.
fn sent_to(received: &Request<Bytes>, target: &str) -> Option<Request<Bytes>> {
    let mut request = received.clone();
    *request.uri_mut() = target.parse().ok()?;
    Some(request)
}

pub(super) fn other_spellings<'a>(
    received: &'a Request<Bytes>,
    served: &'a [String],
) -> impl Iterator<Item = Undone> + 'a {
    let target = target_of(received);
    spellings(target, served).filter_map(move |spelling| {
        let request = sent_to(received, &spelling.target)?;
        let finding = Finding::TargetRespelled {
            change: spelling.change,
            signed: shown(&spelling.target),
            came: shown(target),
        };
        Some(Undone { finding, request })
    })
}

pub(super) fn other_paths<'a>(
    received: &'a Request<Bytes>,
    prefixes: &'a [String],
) -> impl Iterator<Item = Undone> + 'a {
    let target = target_of(received);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let put_back = prefixes
        .iter()
        .map(move |prefix| format!("{}{target}", prefix.trim_end_matches('/')));
    let slash = if path.ends_with('/') {
        path.trim_end_matches('/').to_owned()
    } else {
        format!("{path}/")
    };
    // A lost default path, a removed `/notifications`, an added query, an added or lost final
    // slash.
    let usual = [
        "/notifications".to_owned(),
        format!("/notifications{target}"),
        path.to_owned(),
        slash,
    ];
    // Without its first segments, which a proxy may have prepended.
    let cuts = path
        .match_indices('/')
        .skip(1)
        .take(CUTS_MAX)
        .filter_map(move |(place, _)| target.get(place..));
    // A final slash that was lost in front of the query.
    let query = (!query.is_empty()).then(|| format!("{path}/?{query}"));
    let candidates = put_back
        .chain(usual)
        .chain(cuts.map(str::to_owned))
        .chain(query);
    candidates
        .filter(move |candidate| candidate != target)
        .filter_map(move |candidate| {
            let request = sent_to(received, &candidate)?;
            let (signed, came) = (shown(&candidate), shown(target));
            let finding = Finding::PathRewritten { signed, came };
            Some(Undone { finding, request })
        })
}

/// The beginning of a target, marked if it is incomplete.
fn shown(target: &str) -> String {
    // The `http` crate only accepts ASCII targets here, so every position is a character boundary.
    match target.get(..SHOWN_BYTES_MAX) {
        Some(beginning) if target.len() > SHOWN_BYTES_MAX => format!("{beginning}..."),
        Some(_) | None => target.to_owned(),
    }
}

pub(super) fn other_content_types(received: &Request<Bytes>) -> impl Iterator<Item = Undone> + '_ {
    let now = received.headers().get(header::CONTENT_TYPE);
    let changed = CONTENT_TYPES
        .into_iter()
        .filter(move |kind| now.is_none_or(|now| now != kind))
        .map(|kind| {
            let mut request = received.clone();
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            Undone {
                finding: Finding::ContentTypeChanged { signed: kind },
                request,
            }
        });
    // A proxy may add a type, and an absent one is signed as an empty line.
    let added = now.map(|_present| {
        let mut request = received.clone();
        request.headers_mut().remove(header::CONTENT_TYPE);
        Undone {
            finding: Finding::ContentTypeAdded,
            request,
        }
    });
    changed.chain(added)
}

/// The request with the digest of its body in each notation, and without a digest.
pub(super) fn other_digests(received: &Request<Bytes>) -> impl Iterator<Item = Undone> + '_ {
    let now = received.headers().get(CONTENT_MD5);
    let digest = ContentMd5::of(received.body());
    let hex = digest.written(Notation::Hex);
    let notations = [
        digest.written(Notation::Base64Hex),
        // Not seen in a push, but serve accepts it.
        hex.to_ascii_lowercase(),
        hex,
        digest.written(Notation::Base64),
    ];
    let changed = notations
        .into_iter()
        .filter(move |value| now.is_none_or(|now| now != value))
        .filter_map(move |value| {
            let mut request = received.clone();
            request
                .headers_mut()
                .insert(CONTENT_MD5, HeaderValue::from_str(&value).ok()?);
            let finding = match now {
                Some(_) => Finding::ContentMd5Changed { signed: value },
                None => Finding::ContentMd5Removed { signed: value },
            };
            Some(Undone { finding, request })
        });
    let added = now.map(|_present| {
        let mut request = received.clone();
        request.headers_mut().remove(CONTENT_MD5);
        Undone {
            finding: Finding::ContentMd5Added,
            request,
        }
    });
    changed.chain(added)
}

/// The request without one of the headers that MNS would have signed, or with a missing one whose
/// value is constant.
pub(super) fn other_headers(received: &Request<Bytes>) -> impl Iterator<Item = Undone> + '_ {
    // The only header of MNS whose value is the same in every push.
    let version = (!received.headers().contains_key(VERSION)).then(|| {
        let mut request = received.clone();
        request
            .headers_mut()
            .insert(VERSION, HeaderValue::from_static("2015-06-06"));
        Undone {
            finding: Finding::HeaderRemoved {
                name: VERSION.to_string(),
            },
            request,
        }
    });
    let suspects = received
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with(MNS_PREFIX) || *name == DATE);
    let added = suspects.map(|name| {
        let mut request = received.clone();
        request.headers_mut().remove(name);
        Undone {
            finding: Finding::HeaderAdded {
                name: name.to_string(),
            },
            request,
        }
    });
    version.into_iter().chain(added)
}
