//! Which change on the way explains a signature that does not hold.
//!
//! Proxies change few things. Each is undone on a copy of the request; where the signature then holds,
//! that is what happened.

use bytes::Bytes;
use http::{HeaderValue, Request, header};

use crate::mns::header::{DATE, MNS_PREFIX};
use crate::mns::{Form, SignedRequest, string_to_sign};
use crate::trust::SigningCertificate;

/// What MNS is known or thought to send as Content-Type.
const CONTENT_TYPES: [&str; 5] =
    ["text/xml;charset=utf-8", "text/plain;charset=utf-8", "application/json;charset=utf-8", "text/xml", "text/plain"];

/// A change that a proxy may have made, and the request without it.
struct Undone {
    told: String,
    request: Request<Bytes>,
}

/// The change that explains the signature, as a sentence without its full stop.
pub(super) fn find(
    signed: &SignedRequest<'_>,
    certificate: &SigningCertificate,
    prefixes: &[String],
) -> Option<String> {
    let received = signed.request();
    let holds = |request: &Request<Bytes>| {
        [Form::Documented, Form::Samples]
            .into_iter()
            .any(|form| certificate.verifies(&string_to_sign(request, form), signed.signature()))
    };
    let paths = other_paths(received, prefixes);
    let types = other_content_types(received);
    let headers = other_headers(received);
    if let Some(undone) = paths.iter().chain(&types).chain(&headers).find(|undone| holds(&undone.request)) {
        return Some(undone.told.clone());
    }
    // Two changes at once: a proxy that rewrites the path may touch the type as well.
    paths.iter().find_map(|path| {
        let both = other_content_types(&path.request);
        both.iter().find(|undone| holds(&undone.request)).map(|undone| format!("{}, and {}", path.told, undone.told))
    })
}

fn other_paths(received: &Request<Bytes>, prefixes: &[String]) -> Vec<Undone> {
    let target = received.uri().path_and_query().map_or("/", |target| target.as_str());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut candidates: Vec<String> =
        prefixes.iter().map(|prefix| format!("{}{target}", prefix.trim_end_matches('/'))).collect();
    candidates.push("/notifications".to_owned());
    candidates.push(format!("/notifications{target}"));
    candidates.push(path.to_owned());
    candidates.push(if path.ends_with('/') { path.trim_end_matches('/').to_owned() } else { format!("{path}/") });
    // Without its first segments, as where a proxy put something in front.
    let cuts = path.match_indices('/').skip(1).filter_map(|(place, _)| target.get(place..));
    candidates.extend(cuts.map(str::to_owned));
    if !query.is_empty() {
        candidates.push(format!("{path}/?{query}"));
    }
    let undone = candidates.into_iter().filter(|candidate| candidate != target).filter_map(|candidate| {
        let mut request = received.clone();
        *request.uri_mut() = candidate.parse().ok()?;
        let told =
            format!("the path was rewritten: {candidate} was signed, {target} was received; pass the original path on");
        Some(Undone { told, request })
    });
    undone.collect()
}

fn other_content_types(received: &Request<Bytes>) -> Vec<Undone> {
    let now = received.headers().get(header::CONTENT_TYPE);
    let mut undone: Vec<Undone> = CONTENT_TYPES
        .into_iter()
        .filter(|kind| now.is_none_or(|now| now != kind))
        .map(|kind| {
            let mut request = received.clone();
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            Undone { told: format!("Content-Type was changed: {kind:?} was signed; pass it on as it is"), request }
        })
        .collect();
    if now.is_some() {
        let mut request = received.clone();
        request.headers_mut().remove(header::CONTENT_TYPE);
        undone.push(Undone { told: "Content-Type was added: none was signed".to_owned(), request });
    }
    undone
}

/// The request without one of the headers that MNS would have signed.
fn other_headers(received: &Request<Bytes>) -> Vec<Undone> {
    let suspects = received.headers().keys().filter(|name| name.as_str().starts_with(MNS_PREFIX) || *name == DATE);
    suspects
        .map(|name| {
            let mut request = received.clone();
            request.headers_mut().remove(name);
            Undone { told: format!("the header {name} was added on the way"), request }
        })
        .collect()
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
    fn found(change: impl FnOnce(&mut Request<Bytes>)) -> Option<String> {
        let (mut request, _) = capture::read(REAL).unwrap();
        change(&mut request);
        let certificate = SigningCertificate::parse(CERTIFICATE).unwrap();
        find(&SignedRequest::of(&request).unwrap(), &certificate, &[])
    }

    #[test]
    fn a_rewritten_path_is_found() {
        for received in ["/", "/hooks/mns/notifications", "/notifications/", "/notifications?x=1"] {
            let told = found(|request| *request.uri_mut() = received.parse().unwrap()).unwrap();
            assert!(told.contains("/notifications was signed"), "{told}");
        }
    }

    #[test]
    fn a_changed_content_type_is_found_alone_and_with_a_path() {
        let html = HeaderValue::from_static("text/html");
        let told = found(|request| drop(request.headers_mut().insert(header::CONTENT_TYPE, html.clone()))).unwrap();
        assert!(told.starts_with("Content-Type was changed: \"text/plain;charset=utf-8\""), "{told}");
        let both = |request: &mut Request<Bytes>| {
            request.headers_mut().remove(header::CONTENT_TYPE);
            *request.uri_mut() = "/x".parse().unwrap();
        };
        let told = found(both).unwrap();
        assert!(told.contains("the path was rewritten") && told.contains("Content-Type was changed"), "{told}");
    }

    #[test]
    fn an_added_header_is_found_and_a_forgery_is_not_explained() {
        let added = |request: &mut Request<Bytes>| {
            drop(request.headers_mut().insert("x-mns-via", HeaderValue::from_static("1")))
        };
        assert_eq!(found(added).as_deref(), Some("the header x-mns-via was added on the way"));
        let forged = |request: &mut Request<Bytes>| {
            let signature = HeaderValue::from_str(&STANDARD.encode([7; 64])).unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, signature);
        };
        assert_eq!(found(forged), None);
    }
}
