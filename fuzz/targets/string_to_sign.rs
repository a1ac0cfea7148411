//! The string to sign of a raw request: it has its lines, and the order of headers does not matter.
#![no_main]

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use mns_endpoint::fuzzing;
use mns_endpoint::mns::{Defect, Form, SignedRequest, header, string_to_sign};

fuzz_target!(|bytes: &[u8]| {
    let Some((request, _)) = fuzzing::capture(bytes) else {
        return;
    };
    let _ = SignedRequest::claimed_certificate_address(&request);
    let seen = SignedRequest::of(&request);
    if let Ok(signed) = &seen {
        assert_eq!(
            signed.string_to_sign(),
            string_to_sign(&request, Form::Documented)
        );
        let _ = signed.other_string_to_sign();
    }
    let mns_headers = request
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with(header::MNS_PREFIX))
        .count();
    if let Err(Defect::HeaderDoubled(_)) = seen {
        return;
    }
    let permuted = permuted(&request);
    assert_eq!(SignedRequest::of(&permuted).err(), seen.err());
    for form in [Form::Documented, Form::Samples] {
        let text = string_to_sign(&request, form);
        assert!(text.starts_with(format!("{}\n", request.method()).as_bytes()));
        assert_eq!(text.split(|byte| *byte == b'\n').count(), 5 + mns_headers);
        assert_eq!(string_to_sign(&permuted, form), text);
    }
});

/// The same request with its headers in another order, which the body decides.
fn permuted(request: &Request<Bytes>) -> Request<Bytes> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let by = request
        .body()
        .iter()
        .fold(1_usize, |sum, byte| sum.wrapping_add(usize::from(*byte)));
    if !headers.is_empty() {
        let places = by % headers.len();
        headers.rotate_left(places);
    }
    if by % 2 == 1 {
        headers.reverse();
    }
    let mut permuted = Request::new(request.body().clone());
    *permuted.method_mut() = request.method().clone();
    *permuted.uri_mut() = request.uri().clone();
    for (name, value) in headers {
        permuted.headers_mut().append(name, value);
    }
    permuted
}
