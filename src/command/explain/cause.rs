//! Which change on the way explains a signature that does not hold.
//!
//! Proxies change few things. Each is undone on a copy of the request; if the signature then holds,
//! that is what happened. A capture is a stranger's text: the number of candidates and the bytes
//! that are hashed for them are bounded, and the verdict says if a bound left something out.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Request, header};

use crate::command::explain::spelling::{self, spellings};
use crate::mns::header::{CONTENT_MD5, DATE, MNS_PREFIX, VERSION};
use crate::mns::{ContentMd5, Form, Notation, SignedRequest, string_to_sign};
use crate::trust::SigningCertificate;

/// What MNS is known or thought to send as Content-Type.
const CONTENT_TYPES: [&str; 5] = [
    "text/xml;charset=utf-8",
    "text/plain;charset=utf-8",
    "application/json;charset=utf-8",
    "text/xml",
    "text/plain",
];

/// The most segments that are taken off the front of a path. No proxy is known to put as many
/// there.
const CUTS_MAX: usize = 64;
/// The most texts that are hashed in the search for one cause, in bytes together. A usual request
/// has some hundred candidates of less than 1 KiB each; 64 MiB take SHA-1 a fraction of a second.
const HASHED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest part of a target that is shown in a sentence, in bytes. The string to sign shows all
/// of it.
const SHOWN_BYTES_MAX: usize = 1024;

/// A change that a proxy may have made, and the request without it.
struct Undone {
    told: String,
    request: Request<Bytes>,
}

/// What the search has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The change that explains the signature, as a sentence without its full stop.
    Found(String),
    /// No usual change explains it.
    Nothing,
    /// None of those that were tried explains it, and some were left out because of a bound.
    LeftOut,
}

/// Checks candidates until the bound on what is hashed is reached.
struct Trial<'a> {
    certificate: &'a SigningCertificate,
    signature: &'a [u8],
    bytes_left: usize,
    is_over: bool,
}

impl Trial<'_> {
    fn holds(&mut self, request: &Request<Bytes>) -> bool {
        [Form::Documented, Form::Samples].into_iter().any(|form| {
            let text = string_to_sign(request, form);
            let left = self.bytes_left.checked_sub(text.len());
            self.is_over |= left.is_none();
            self.bytes_left = left.unwrap_or_default();
            left.is_some() && self.certificate.verifies(&text, self.signature)
        })
    }

    /// The first candidate under which the signature holds. Each is made when it is tried, and
    /// dropped after that.
    fn first(&mut self, mut candidates: impl Iterator<Item = Undone>) -> Option<Undone> {
        candidates.find(|undone| !self.is_over && self.holds(&undone.request))
    }
}

/// Looks for the change that explains the signature: `prefixes` may have been cut off the path, and
/// `served` are the paths of the configuration. Bounded in time and memory, whatever the request
/// holds.
pub(super) fn find(
    signed: &SignedRequest<'_>,
    certificate: &SigningCertificate,
    prefixes: &[String],
    served: &[String],
) -> Search {
    let received = signed.request();
    let needed = certificate.key_bits().div_ceil(8);
    if signed.signature().len() != needed {
        let came = signed.signature().len();
        return Search::Found(format!(
            "the signature has {came} bytes, and one under this key has {needed}: Authorization \
             was cut or replaced, or \
             another certificate belongs to it"
        ));
    }
    let mut trial = Trial {
        certificate,
        signature: signed.signature(),
        bytes_left: HASHED_BYTES_MAX,
        is_over: false,
    };
    let paths = || other_paths(received, prefixes);
    let one = paths()
        .chain(other_digests(received))
        .chain(other_content_types(received))
        .chain(other_headers(received))
        .chain(other_spellings(received, served));
    if let Some(undone) = trial.first(one) {
        return Search::Found(undone.told);
    }
    // Two changes at once: a proxy that rewrites the path may touch the type or the digest as well.
    for path in paths() {
        if let Some(undone) =
            trial.first(other_content_types(&path.request).chain(other_digests(&path.request)))
        {
            return Search::Found(format!("{}, and {}", path.told, undone.told));
        }
        if trial.is_over {
            break;
        }
    }
    if trial.is_over || is_over_bound(received) {
        Search::LeftOut
    } else {
        Search::Nothing
    }
}

/// Whether the path has more segments than are cut off, or the target more places than are
/// respelled.
fn is_over_bound(received: &Request<Bytes>) -> bool {
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

/// The request with another target; `None` for what is no target.
fn sent_to(received: &Request<Bytes>, target: &str) -> Option<Request<Bytes>> {
    let mut request = received.clone();
    *request.uri_mut() = target.parse().ok()?;
    Some(request)
}

fn other_spellings<'a>(
    received: &'a Request<Bytes>,
    served: &'a [String],
) -> impl Iterator<Item = Undone> + 'a {
    let target = target_of(received);
    spellings(target, served).filter_map(move |spelling| {
        let (signed, came, change) = (shown(&spelling.target), shown(target), spelling.change);
        let told = format!(
            "a proxy {change}: {signed} was signed, {came} was received; pass the target \
                on as it comes"
        );
        let request = sent_to(received, &spelling.target)?;
        Some(Undone { told, request })
    })
}

fn other_paths<'a>(
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
    let usual = [
        "/notifications".to_owned(),
        format!("/notifications{target}"),
        path.to_owned(),
        slash,
    ];
    // Without its first segments, as where a proxy put something in front.
    let cuts = path
        .match_indices('/')
        .skip(1)
        .take(CUTS_MAX)
        .filter_map(move |(place, _)| target.get(place..));
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
            let told = format!(
                "the path was rewritten: {signed} was signed, {came} was received; pass the \
                original path on"
            );
            Some(Undone { told, request })
        })
}

/// The beginning of a target, marked if it is not all.
fn shown(target: &str) -> Cow<'_, str> {
    // A target is ASCII: the `http` crate takes no other here, so every place is one between
    // characters.
    match target.get(..SHOWN_BYTES_MAX) {
        Some(beginning) if target.len() > SHOWN_BYTES_MAX => Cow::Owned(format!("{beginning}...")),
        Some(_) | None => Cow::Borrowed(target),
    }
}

fn other_content_types(received: &Request<Bytes>) -> impl Iterator<Item = Undone> + '_ {
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
                told: format!("Content-Type was changed: {kind:?} was signed; pass it on as it is"),
                request,
            }
        });
    let added = now.map(|_present| {
        let mut request = received.clone();
        request.headers_mut().remove(header::CONTENT_TYPE);
        Undone {
            told: "Content-Type was added: none was signed".to_owned(),
            request,
        }
    });
    changed.chain(added)
}

/// The request with the digest of its body in each notation, and without one.
fn other_digests(received: &Request<Bytes>) -> impl Iterator<Item = Undone> + '_ {
    let now = received.headers().get(CONTENT_MD5);
    let digest = ContentMd5::of(received.body());
    let hex = digest.written(Notation::Hex);
    let notations = [
        digest.written(Notation::Base64Hex),
        hex.to_ascii_lowercase(),
        hex,
        digest.written(Notation::Base64),
    ];
    let changed = notations
        .into_iter()
        .filter(move |value| now.is_none_or(|now| now != value))
        .filter_map(move |value| {
            let what = if now.is_some() { "changed" } else { "removed" };
            let mut request = received.clone();
            request
                .headers_mut()
                .insert(CONTENT_MD5, HeaderValue::from_str(&value).ok()?);
            Some(Undone {
                told: format!("Content-MD5 was {what}: {value} was signed; pass it on as it is"),
                request,
            })
        });
    let added = now.map(|_present| {
        let mut request = received.clone();
        request.headers_mut().remove(CONTENT_MD5);
        Undone {
            told: "Content-MD5 was added: none was signed".to_owned(),
            request,
        }
    });
    changed.chain(added)
}

/// The request without one of the headers that MNS would have signed, or with the one whose value
/// is always the same.
fn other_headers(received: &Request<Bytes>) -> impl Iterator<Item = Undone> + '_ {
    let version = (!received.headers().contains_key(VERSION)).then(|| {
        let mut request = received.clone();
        request
            .headers_mut()
            .insert(VERSION, HeaderValue::from_static("2015-06-06"));
        Undone {
            told: format!("the header {VERSION} was removed on the way"),
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
            told: format!("the header {name} was added on the way"),
            request,
        }
    });
    version.into_iter().chain(added)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::command::capture;

    const REAL: &[u8] = include_bytes!("../../../tests/vectors/simplified-2023/request.http");
    const CERTIFICATE: &[u8] = include_bytes!("../../../certs/mns-2015.pem");

    /// The real request of 2023 after a change, and what is found.
    fn search(change: impl FnOnce(&mut Request<Bytes>)) -> Search {
        let (mut request, _) = capture::read(REAL).unwrap();
        change(&mut request);
        let certificate = SigningCertificate::parse(CERTIFICATE).unwrap();
        find(
            &SignedRequest::of(&request).unwrap(),
            &certificate,
            &[],
            &[],
        )
    }

    fn found(change: impl FnOnce(&mut Request<Bytes>)) -> Option<String> {
        match search(change) {
            Search::Found(told) => Some(told),
            Search::Nothing => None,
            Search::LeftOut => panic!("nothing is left out of a usual request"),
        }
    }

    #[test]
    fn a_rewritten_path_is_found() {
        for received in [
            "/",
            "/hooks/mns/notifications",
            "/notifications/",
            "/notifications?x=1",
        ] {
            let told = found(|request| *request.uri_mut() = received.parse().unwrap()).unwrap();
            assert!(told.contains("/notifications was signed"), "{told}");
        }
    }

    #[test]
    fn a_changed_content_type_is_found_alone_and_with_a_path() {
        let html = HeaderValue::from_static("text/html");
        let told = found(|request| {
            drop(
                request
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, html.clone()),
            )
        })
        .unwrap();
        assert!(
            told.starts_with("Content-Type was changed: \"text/plain;charset=utf-8\""),
            "{told}"
        );
        let both = |request: &mut Request<Bytes>| {
            request.headers_mut().remove(header::CONTENT_TYPE);
            *request.uri_mut() = "/x".parse().unwrap();
        };
        let told = found(both).unwrap();
        assert!(
            told.contains("the path was rewritten") && told.contains("Content-Type was changed"),
            "{told}"
        );
    }

    #[test]
    fn an_added_header_is_found_and_a_forgery_is_not_explained() {
        let added = |request: &mut Request<Bytes>| {
            drop(
                request
                    .headers_mut()
                    .insert("x-mns-via", HeaderValue::from_static("1")),
            )
        };
        assert_eq!(
            found(added).as_deref(),
            Some("the header x-mns-via was added on the way")
        );
        let forged = |request: &mut Request<Bytes>| {
            let signature = HeaderValue::from_str(&STANDARD.encode([7; 64])).unwrap();
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, signature);
        };
        assert_eq!(found(forged), None);
    }

    #[test]
    fn a_digest_that_was_changed_and_a_header_that_was_dropped_are_found() {
        let told = found(|request| drop(request.headers_mut().remove("x-mns-version"))).unwrap();
        assert_eq!(told, "the header x-mns-version was removed on the way");
        let short = |request: &mut Request<Bytes>| {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, HeaderValue::from_static("c2ln"));
        };
        assert!(
            found(short)
                .unwrap()
                .starts_with("the signature has 3 bytes, and one under this key has 64")
        );
    }

    #[test]
    fn more_segments_than_any_proxy_puts_in_front_are_left_out_and_that_is_said() {
        let below = |segments: usize| format!("{}/notifications", "/a".repeat(segments));
        let forged = |path: &str| {
            search(|request| {
                *request.uri_mut() = path.parse().unwrap();
                let signature = HeaderValue::from_str(&STANDARD.encode([7; 64])).unwrap();
                request
                    .headers_mut()
                    .insert(header::AUTHORIZATION, signature);
            })
        };
        assert_eq!(forged(&below(64)), Search::Nothing);
        assert_eq!(forged(&below(65)), Search::LeftOut);
        assert_eq!(forged(&"/".repeat(30_000)), Search::LeftOut);
        let request = Request::post(below(64)).body(Bytes::new()).unwrap();
        assert!(
            other_paths(&request, &[]).any(|undone| undone.request.uri() == "/a/notifications")
        );
        let request = Request::post("/".repeat(30_000))
            .body(Bytes::new())
            .unwrap();
        assert!(other_paths(&request, &[]).count() <= 64 + 5);
    }

    #[test]
    fn what_is_hashed_is_bounded_whatever_the_headers_are() {
        // 200 signed headers of 4 KiB: each candidate has a text of 800 KiB, and there are 200 of
        // them.
        let received = |request: &mut Request<Bytes>| {
            for number in 0..200 {
                let name = http::HeaderName::try_from(format!("x-mns-{number}")).unwrap();
                request
                    .headers_mut()
                    .insert(name, HeaderValue::try_from("v".repeat(4096)).unwrap());
            }
        };
        assert_eq!(search(received), Search::LeftOut);
    }

    #[test]
    fn a_long_path_is_shown_by_its_beginning() {
        let long = format!("/{}/notifications", "x".repeat(60_000));
        let told = found(|request| *request.uri_mut() = long.parse().unwrap()).unwrap();
        assert!(
            told.len() < 2048 && told.contains("xxx... was received"),
            "{told}"
        );
    }
}
