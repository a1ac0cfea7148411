//! The text that MNS signs (protocol.md 2.1).
//!
//! ```text
//! POST
//! <Content-MD5, verbatim>
//! <Content-Type, verbatim>
//! <Date>
//! x-mns-...:<value>          one line for each, sorted
//! /notifications?and=query   raw, and no line break after it
//! ```

use bytes::Bytes;
use http::Request;

use crate::mns::header;

/// The reading of the rules: the manual and the vendor's samples disagree in two details.
///
/// For every push seen so far both give the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As on the signature page: `x-mns-date` replaces `Date`; lines are sorted by name.
    Documented,
    /// As in the Python, Java and Go samples: only `Date` counts; the joined lines are sorted.
    Samples,
}

/// The text whose signature is in the `Authorization` header.
///
/// Every `x-mns-*` header is included, known or not, with its value as received. Nothing is
/// decoded, normalised or lower-cased, except the names, in which HTTP ignores case.
#[must_use]
pub fn string_to_sign(request: &Request<Bytes>, form: Form) -> Vec<u8> {
    let headers = request.headers();
    let value =
        |name: &http::HeaderName| headers.get(name).map_or(&b""[..], |value| value.as_bytes());
    let date = match form {
        Form::Documented if headers.contains_key(header::MNS_DATE) => value(&header::MNS_DATE),
        Form::Documented | Form::Samples => value(&header::DATE),
    };
    // The text of a usual push has less than 1 KiB.
    let mut text = Vec::with_capacity(1024);
    for line in [
        request.method().as_str().as_bytes(),
        value(&header::CONTENT_MD5),
        value(&header::CONTENT_TYPE),
        date,
    ] {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    for (name, value) in sorted_mns_headers(request, form) {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text.extend_from_slice(target(request).as_bytes());
    text
}

/// The raw path with its query, as signed. An empty path is `/`.
pub(super) fn target(request: &Request<Bytes>) -> &str {
    request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str())
}

fn sorted_mns_headers(request: &Request<Bytes>, form: Form) -> Vec<(&str, &[u8])> {
    let mut lines: Vec<(&str, &[u8])> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .filter(|(name, _)| name.starts_with(header::MNS_PREFIX))
        .collect();
    match form {
        // Unstable is enough: a push in which one of them appears twice is refused.
        Form::Documented => lines.sort_unstable_by_key(|(name, _)| *name),
        // `-` sorts before `:`, so `x-mns-a-b` precedes `x-mns-a` in this form.
        Form::Samples => lines.sort_unstable_by(|one, other| joined(one).cmp(joined(other))),
    }
    lines
}

fn joined<'a>((name, value): &(&'a str, &'a [u8])) -> impl Iterator<Item = u8> + use<'a> {
    name.bytes().chain([b':']).chain(value.iter().copied())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(target: &str, headers: &[(&str, &str)]) -> Request<Bytes> {
        let mut builder = Request::builder().method("POST").uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Bytes::new()).unwrap()
    }

    #[test]
    fn the_sample_of_the_signature_page_is_reproduced() {
        let request = request(
            "/notifications",
            &[
                ("x-mns-version", "2015-06-06"),
                ("Date", "Wed, 25 May 2016 10:46:14 GMT"),
                (
                    "Content-MD5",
                    "ZDgxNjY5ZjFlMDQ5MGM0YWMwMWE5ODlmZDVlYmQxYjI=",
                ),
                ("x-mns-request-id", "57458276F0E3D56D7C00054B"),
                ("Content-Type", "text/xml;charset=utf-8"),
                ("x-mns-signing-cert-url", "aHR0cDov"),
                ("User-Agent", "not signed"),
            ],
        );
        let expected = concat!(
            "POST\n",
            "ZDgxNjY5ZjFlMDQ5MGM0YWMwMWE5ODlmZDVlYmQxYjI=\n",
            "text/xml;charset=utf-8\n",
            "Wed, 25 May 2016 10:46:14 GMT\n",
            "x-mns-request-id:57458276F0E3D56D7C00054B\n",
            "x-mns-signing-cert-url:aHR0cDov\n",
            "x-mns-version:2015-06-06\n",
            "/notifications",
        );
        for form in [Form::Documented, Form::Samples] {
            assert_eq!(
                String::from_utf8(string_to_sign(&request, form)).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn absent_parts_are_empty_lines_and_the_target_stays_raw() {
        let bare = request("/a%2Fb/../c?x=%20&y", &[]);
        assert_eq!(
            string_to_sign(&bare, Form::Documented),
            b"POST\n\n\n\n/a%2Fb/../c?x=%20&y"
        );
        let bare = request("http://example.com", &[]);
        assert_eq!(string_to_sign(&bare, Form::Documented), b"POST\n\n\n\n/");
    }

    #[test]
    fn the_two_forms_differ_only_in_two_details() {
        let prefixed = request("/", &[("x-mns-a", "1"), ("x-mns-a-b", "2")]);
        assert_eq!(
            string_to_sign(&prefixed, Form::Documented),
            b"POST\n\n\n\nx-mns-a:1\nx-mns-a-b:2\n/"
        );
        assert_eq!(
            string_to_sign(&prefixed, Form::Samples),
            b"POST\n\n\n\nx-mns-a-b:2\nx-mns-a:1\n/"
        );
        let dated = request("/", &[("Date", "d"), ("x-mns-date", "m")]);
        assert_eq!(
            string_to_sign(&dated, Form::Documented),
            b"POST\n\n\nm\nx-mns-date:m\n/"
        );
        assert_eq!(
            string_to_sign(&dated, Form::Samples),
            b"POST\n\n\nd\nx-mns-date:m\n/"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_headers_does_not_matter(
            headers in proptest::collection::btree_map("x-mns-[a-z-]{1,12}", "[!-~]{0,20}", 0..12)
                .prop_flat_map(|map| {
                    let list: Vec<_> = map.into_iter().collect();
                    (Just(list.clone()), Just(list).prop_shuffle())
                })
        ) {
            let (sorted, shuffled) = headers;
            let build = |list: &[(String, String)]| {
                let list = list.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                request("/", &list.collect::<Vec<_>>())
            };
            for form in [Form::Documented, Form::Samples] {
                prop_assert_eq!(
                    string_to_sign(&build(&sorted), form),
                    string_to_sign(&build(&shuffled), form)
                );
            }
        }
    }
}
