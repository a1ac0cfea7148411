//! Signatures of version 4 for requests to the REST API (`docs/emulator.md`).
//!
//! ```text
//! MNS4-HMAC-SHA256
//! 20250603T105235Z                                   the Date, to the second
//! 20250603/cn-hangzhou/mns/aliyun_v4_request         the scope
//! PUT
//! /topics/MyTopic1                                   decoded, and encoded again
//! metaoverride=true                                  so too; names in lower case, sorted
//! content-type:text/xml;charset=UTF-8                with content-md5 and x-mns-*, sorted
//!                                                    an empty line, and a line break after it
//! ```
//!
//! The key is derived from the secret, the day, the region and the product, so a signature is valid
//! for one day in one region. The variant of the private cloud (`APSARA-MNS4-HMAC-SHA256`) is not
//! supported.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

use crate::mns::header;

/// The first word of the header's value, and the first line of the text.
pub(super) const ALGORITHM: &str = "MNS4-HMAC-SHA256";
/// The end of every scope, after the region.
const SCOPE_END: &str = "mns/aliyun_v4_request";
/// The characters that are not encoded in a query: the unreserved ones of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The day and the region in which a signature of version 4 is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The day in UTC, as in `20250603`.
    pub day: String,
    /// The region, as in `cn-hangzhou`.
    pub region: String,
}

impl Scope {
    /// The scope of a request that is signed at `time`.
    pub(super) fn of(time: SystemTime, region: &str) -> Self {
        Self {
            day: timestamp(time)
                .chars()
                .take_while(|character| *character != 'T')
                .collect(),
            region: region.to_owned(),
        }
    }

    /// Reads `DAY/REGION/mns/aliyun_v4_request`. `None` for another product or another form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (day, rest) = text.split_once('/')?;
        let (region, end) = rest.split_once('/')?;
        let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
        let is_scope = is_day && !region.is_empty() && end == SCOPE_END;
        is_scope.then(|| Self {
            day: day.to_owned(),
            region: region.to_owned(),
        })
    }

    /// The key that is derived from `secret` for this scope.
    pub(super) fn key(&self, secret: &str) -> Vec<u8> {
        let first = format!("aliyun_v4{secret}").into_bytes();
        let steps = [self.day.as_str(), &self.region, "mns", "aliyun_v4_request"];
        steps.into_iter().fold(first, |key, step| {
            mac(&key, step.as_bytes()).finalize().into_bytes().to_vec()
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{SCOPE_END}", self.day, self.region)
    }
}

/// The region in the host of an account's endpoint, `ACCOUNT.mns.REGION.aliyuncs.com`. `None` for
/// any other host.
#[must_use]
pub fn region_of(host: &str) -> Option<&str> {
    let name = host.split_once(':').map_or(host, |(name, _port)| name);
    let region = name.split_once(".mns.")?.1.strip_suffix(".aliyuncs.com")?;
    // The endpoints inside the region's network accept the same signatures.
    // `-internal-vpc` has both endings, so this one is removed first.
    let region = region.strip_suffix("-vpc").unwrap_or(region);
    Some(region.strip_suffix("-internal").unwrap_or(region))
}

/// HMAC-SHA256 of `text`.
pub(super) fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac
}

/// The header that states the time of a request: `Date`, or else `x-mns-date`.
pub(super) fn date(headers: &HeaderMap) -> Option<&HeaderValue> {
    let date = headers.get(header::DATE);
    date.or_else(|| headers.get(header::MNS_DATE))
}

/// The time that a request states.
pub(super) fn signed_at(request: &Request<Bytes>) -> Option<SystemTime> {
    let value = date(request.headers())?;
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// The text that is signed.
pub(super) fn text(request: &Request<Bytes>, time: SystemTime, scope: &Scope) -> Vec<u8> {
    let uri = request.uri();
    let path = utf8_percent_encode(&decoded(uri.path()), PATH).to_string();
    // A client sends `/` for an empty path (RFC 9112, 3.2.1).
    let path = if path.is_empty() { "/" } else { &path };
    let (time, method, query) = (
        timestamp(time),
        request.method(),
        canonical_query(uri.query().unwrap_or_default()),
    );
    let mut text =
        format!("{ALGORITHM}\n{time}\n{scope}\n{method}\n{path}\n{query}\n").into_bytes();
    let is_signed = |name: &HeaderName| {
        *name == header::CONTENT_MD5
            || *name == header::CONTENT_TYPE
            || name.as_str().starts_with(header::MNS_PREFIX)
    };
    let mut headers: Vec<_> = request
        .headers()
        .iter()
        .filter(|(name, _)| is_signed(name))
        .collect();
    // A stable sort, so that a header that appears twice keeps its order.
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        for part in [
            name.as_str().as_bytes(),
            b":",
            // Blanks at the ends are not part of a value (RFC 9110, 5.5).
            value.as_bytes().trim_ascii(),
            b"\n",
        ] {
            text.extend_from_slice(part);
        }
    }
    text.push(b'\n');
    text
}

/// If a name occurs twice, the last value counts, as in the vendor's implementation.
fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode(text.trim(), QUERY).to_string();
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                encoded(&decoded(name).to_lowercase()),
                encoded(&decoded(value)),
            )
        });
    let sorted: BTreeMap<String, String> = pairs.collect();
    let joined = sorted.into_iter().map(|(name, value)| {
        if value.is_empty() {
            name
        } else {
            format!("{name}={value}")
        }
    });
    joined.collect::<Vec<_>>().join("&")
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// The form of `20250603T105235Z`. A `Date` is between 1970 and 9999, and so is our clock.
fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time)
        .to_string()
        .replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::mns::{AccessKey, Authorization};

    #[test]
    fn the_derived_keys_of_the_vendors_sdk_sign_as_it_does() {
        let vectors = include_str!("../../tests/vectors/request-signing/v4-keys.tsv");
        assert_eq!(vectors.lines().count(), 3);
        for line in vectors.lines() {
            let [key, text, signature] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let found = mac(
                &STANDARD.decode(key).unwrap(),
                text.replace("\\n", "\n").as_bytes(),
            );
            let hex: String = found
                .finalize()
                .into_bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, signature, "{text}");
        }
    }

    #[test]
    fn the_requests_of_the_vendors_sdk_are_signed_as_it_signs_them_and_verify() {
        let vectors = include_str!("../../tests/vectors/request-signing/v4.tsv");
        assert_eq!(vectors.lines().count(), 5);
        for line in vectors.lines() {
            let fields: [&str; 8] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let [
                id,
                secret,
                region,
                method,
                target,
                headers,
                expected,
                authorization,
            ] = fields;
            let mut request = Request::builder().method(method).uri(target);
            for (name, value) in headers
                .split('|')
                .map(|header| header.split_once(':').unwrap())
            {
                request = request.header(name, value);
            }
            let request = request.body(Bytes::new()).unwrap();
            let time = signed_at(&request).unwrap();
            let text = String::from_utf8(text(&request, time, &Scope::of(time, region))).unwrap();
            assert_eq!(text, expected.replace("\\n", "\n"), "{target}");
            let key = AccessKey {
                id: id.to_owned(),
                secret: secret.to_owned(),
            };
            let signed = key.authorize_v4(&request, region, time);
            assert_eq!(signed.to_string(), authorization);
            let parsed = Authorization::parse(authorization.as_bytes()).unwrap();
            assert_eq!(parsed, signed);
            assert!(key.authorized(&request, &parsed), "{target}");
            assert!(
                !AccessKey {
                    secret: "other".to_owned(),
                    ..key
                }
                .authorized(&request, &parsed)
            );
        }
    }

    #[test]
    fn a_scope_whose_day_differs_from_date_is_rejected_although_the_rest_is_signed() {
        let key = AccessKey {
            id: "id".to_owned(),
            secret: "secret".to_owned(),
        };
        let request = Request::get("/topics")
            .header("date", "Tue, 03 Jun 2025 10:52:35 GMT")
            .body(Bytes::new())
            .unwrap();
        let time = signed_at(&request).unwrap();
        for (day, is_right) in [("20250603", true), ("20250602", false)] {
            let scope = Scope {
                day: day.to_owned(),
                region: "r".to_owned(),
            };
            let signature = mac(&scope.key("secret"), &text(&request, time, &scope))
                .finalize()
                .into_bytes()
                .to_vec();
            let authorization = Authorization {
                access_key_id: "id".to_owned(),
                signature,
                scope: Some(scope),
            };
            assert_eq!(key.authorized(&request, &authorization), is_right, "{day}");
        }
    }

    #[test]
    fn the_region_is_in_the_host_of_an_account() {
        for (host, region) in [
            ("1.mns.cn-hangzhou.aliyuncs.com", Some("cn-hangzhou")),
            (
                "1.mns.cn-hangzhou-internal.aliyuncs.com:80",
                Some("cn-hangzhou"),
            ),
            (
                "1.mns.cn-hangzhou-internal-vpc.aliyuncs.com",
                Some("cn-hangzhou"),
            ),
            ("127.0.0.1:9000", None),
            ("emulator", None),
            ("1.mns.cn-hangzhou.example.com", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }

    #[test]
    fn a_query_is_sorted_and_encoded_whatever_its_spelling_was() {
        for (query, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("META=%54rue&x", "meta=True&x"),
            ("a=%7e*&a=%7E%2a+", "a=~%2A%2B"),
            ("a==b&&c=", "a=%3Db&c"),
            ("a=%ff", "a=%EF%BF%BD"),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }
}
