//! Searches for the change in transit that explains a signature which does not match.
//!
//! Proxies change few things. Each change is reverted on a copy of the request. If the signature
//! then matches, that is the explanation. A capture is a stranger's text, so the number of
//! candidates and the bytes hashed for them are bounded, and the verdict says whether a bound
//! excluded any.

use bytes::Bytes;
use http::Request;

use crate::explain::cause::{Cause, Finding};
use crate::explain::undone::{
    Undone, is_over_bound, other_content_types, other_digests, other_headers, other_paths,
    other_spellings,
};
use crate::mns::{Form, SignedRequest, string_to_sign};
use crate::trust::SigningCertificate;

/// The limit on the bytes that are hashed in the search for one cause. A usual request has some
/// hundred candidates of less than 1 KiB each. SHA-1 takes a fraction of a second for 64 MiB.
const HASHED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The result of the search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The change that explains the signature.
    Found(Cause),
    /// No usual change explains it.
    Nothing,
    /// None of the candidates explains it, and a bound excluded some.
    LeftOut,
}

/// Checks candidates until the limit on hashed bytes is reached.
struct Trial<'a> {
    certificate: &'a SigningCertificate,
    signature: &'a [u8],
    bytes_left: usize,
    is_over: bool,
}

impl Trial<'_> {
    fn holds(&mut self, request: &Request<Bytes>) -> bool {
        // Both forms, because a genuine push may have either (protocol.md 2.1).
        [Form::Documented, Form::Samples].into_iter().any(|form| {
            let text = string_to_sign(request, form);
            let left = self.bytes_left.checked_sub(text.len());
            self.is_over |= left.is_none();
            // Zero from the first text that does not fit, so that nothing more is hashed.
            self.bytes_left = left.unwrap_or_default();
            left.is_some() && self.certificate.verifies(&text, self.signature)
        })
    }

    /// The first candidate with which the signature matches. Each is created when it is checked and
    /// dropped afterwards.
    fn first(&mut self, mut candidates: impl Iterator<Item = Undone>) -> Option<Undone> {
        candidates.find(|undone| !self.is_over && self.holds(&undone.request))
    }
}

/// Searches for the change that explains the signature. `prefixes` may have been removed from the
/// path, and `served` are the configured paths. Bounded in time and memory, whatever the request
/// contains.
pub(super) fn find(
    signed: &SignedRequest<'_>,
    certificate: &SigningCertificate,
    prefixes: &[String],
    served: &[String],
) -> Search {
    let received = signed.request();
    // A signature of RSASSA-PKCS1-v1_5 is as long as the modulus (RFC 8017, 8.2.1). No change of
    // the text explains another length.
    let needed = certificate.key_bits().div_ceil(8);
    if signed.signature().len() != needed {
        let came = signed.signature().len();
        return Search::Found(Finding::SignatureLength { came, needed }.into());
    }
    let mut trial = Trial {
        certificate,
        signature: signed.signature(),
        bytes_left: HASHED_BYTES_MAX,
        is_over: false,
    };
    let paths = || other_paths(received, prefixes);
    // One lazy chain: the kinds share one bound, and what follows the explanation is never made.
    let one = paths()
        .chain(other_digests(received))
        .chain(other_content_types(received))
        .chain(other_headers(received))
        .chain(other_spellings(received, served));
    if let Some(undone) = trial.first(one) {
        return Search::Found(undone.finding.into());
    }
    // Two changes at once: a proxy that rewrites the path may also change the type or the digest.
    for path in paths() {
        if let Some(undone) =
            trial.first(other_content_types(&path.request).chain(other_digests(&path.request)))
        {
            return Search::Found(Cause::both(path.finding, undone.finding));
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderValue, header};

    use super::*;
    use crate::command::capture;

    const REAL: &[u8] = include_bytes!("../../tests/vectors/simplified-2023/request.http");
    const CERTIFICATE: &[u8] = include_bytes!("../../certs/mns-2015.pem");

    /// The result for the real request of 2023 after a change.
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
            Search::Found(cause) => Some(cause.to_string()),
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
            let sentence = found(|request| *request.uri_mut() = received.parse().unwrap()).unwrap();
            assert!(sentence.contains("/notifications was signed"), "{sentence}");
        }
    }

    #[test]
    fn a_changed_content_type_is_found_alone_and_with_a_path() {
        let html = HeaderValue::from_static("text/html");
        let sentence = found(|request| {
            drop(
                request
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, html.clone()),
            )
        })
        .unwrap();
        assert!(
            sentence.starts_with("Content-Type was changed: \"text/plain;charset=utf-8\""),
            "{sentence}"
        );
        let both = |request: &mut Request<Bytes>| {
            request.headers_mut().remove(header::CONTENT_TYPE);
            *request.uri_mut() = "/x".parse().unwrap();
        };
        let sentence = found(both).unwrap();
        assert!(
            sentence.contains("the path was rewritten")
                && sentence.contains("Content-Type was changed"),
            "{sentence}"
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
            // 64 bytes, as under the real key of 512 bits, so that the length does not explain it.
            let signature = HeaderValue::from_str(&STANDARD.encode([7; 64])).unwrap();
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, signature);
        };
        assert_eq!(found(forged), None);
    }

    #[test]
    fn a_digest_that_was_changed_and_a_header_that_was_dropped_are_found() {
        let sentence =
            found(|request| drop(request.headers_mut().remove("x-mns-version"))).unwrap();
        assert_eq!(sentence, "the header x-mns-version was removed on the way");
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
    fn more_segments_than_any_proxy_prepends_are_excluded_and_that_is_reported() {
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
        // 64 segments can be removed from the front, and `/notifications` remains.
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
        // 64 shorter paths, and the five candidates that do not depend on the length.
        assert!(other_paths(&request, &[]).count() <= 64 + 5);
    }

    #[test]
    fn the_hashed_bytes_are_bounded_whatever_the_headers_are() {
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
        let sentence = found(|request| *request.uri_mut() = long.parse().unwrap()).unwrap();
        assert!(
            sentence.len() < 2048 && sentence.contains("xxx... was received"),
            "{sentence}"
        );
    }
}
