//! A request with everything that a signature check needs, each part single and decoded.

use std::time::SystemTime;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{HeaderName, Request};

use crate::mns::header;
use crate::mns::{ContentMd5, Form, string_to_sign};

/// A push whose signature can be checked: the required headers are present, single and decodable.
///
/// Nothing is known yet about whether they are true.
#[derive(Debug)]
pub struct SignedRequest<'r> {
    request: &'r Request<Bytes>,
    signature: Vec<u8>,
    certificate_address: Vec<u8>,
    date: SystemTime,
    content_md5: Option<ContentMd5>,
}

/// Why a request cannot be a push. The sender or a proxy caused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// A header that every push has is missing.
    #[error("the header {0} is missing")]
    HeaderMissing(HeaderName),
    /// A header whose value is signed occurs twice, so it is ambiguous which one MNS signed.
    #[error("the header {0} is there more than once")]
    HeaderDoubled(HeaderName),
    /// A header's value does not have its required notation.
    #[error("the value of the header {0} cannot be decoded")]
    HeaderUndecodable(HeaderName),
}

impl<'r> SignedRequest<'r> {
    /// Reads the headers of a request. Does not read its body.
    ///
    /// # Errors
    /// The first [`Defect`]: duplicated headers, then missing ones, then undecodable ones.
    pub fn of(request: &'r Request<Bytes>) -> Result<Self, Defect> {
        // First, because `get` returns only one of two values.
        refuse_doubled(request)?;
        let headers = request.headers();
        let needed = |name: HeaderName| match headers.get(&name) {
            Some(value) => Ok(value.as_bytes()),
            None => Err(Defect::HeaderMissing(name)),
        };
        let authorization = needed(header::AUTHORIZATION)?;
        let address = needed(header::SIGNING_CERT_URL)?;
        // In the documented form `x-mns-date` replaces `Date`.
        let (date_name, date) = match headers.get(header::MNS_DATE) {
            Some(value) => (header::MNS_DATE, value.as_bytes()),
            None => (header::DATE, needed(header::DATE)?),
        };
        let content_md5 = match headers.get(header::CONTENT_MD5) {
            Some(value) => Some(
                ContentMd5::parse(value.as_bytes())
                    .ok_or(Defect::HeaderUndecodable(header::CONTENT_MD5))?,
            ),
            None => None,
        };
        Ok(Self {
            request,
            signature: decode(authorization, header::AUTHORIZATION)?,
            certificate_address: decode(address, header::SIGNING_CERT_URL)?,
            date: parse_date(date).ok_or(Defect::HeaderUndecodable(date_name))?,
            content_md5,
        })
    }

    /// The request itself.
    #[must_use]
    pub fn request(&self) -> &'r Request<Bytes> {
        self.request
    }

    /// The signature, decoded.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The address of the certificate, decoded and not checked.
    #[must_use]
    pub fn certificate_address(&self) -> &[u8] {
        &self.certificate_address
    }

    /// When the push was signed, by MNS's clock: `x-mns-date`, else `Date`. Both are signed.
    #[must_use]
    pub fn date(&self) -> SystemTime {
        self.date
    }

    /// The digest of the body that the signature covers.
    #[must_use]
    pub fn content_md5(&self) -> Option<ContentMd5> {
        self.content_md5
    }

    /// The address of the certificate in any request that has one, whether or not it has the
    /// required headers.
    #[must_use]
    pub fn claimed_certificate_address(request: &Request<Bytes>) -> Option<Vec<u8>> {
        decode(
            request.headers().get(header::SIGNING_CERT_URL)?.as_bytes(),
            header::SIGNING_CERT_URL,
        )
        .ok()
    }

    /// The signed text, in the form of the manual.
    #[must_use]
    pub fn string_to_sign(&self) -> Vec<u8> {
        string_to_sign(self.request, Form::Documented)
    }

    /// The signed text in the form of the vendor's samples, if it differs from the manual's.
    #[must_use]
    pub fn other_string_to_sign(&self) -> Option<Vec<u8>> {
        let other = string_to_sign(self.request, Form::Samples);
        (other != self.string_to_sign()).then_some(other)
    }
}

fn refuse_doubled(request: &Request<Bytes>) -> Result<(), Defect> {
    let headers = request.headers();
    // Nearly every request: no header occurs twice, so there is nothing to search.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let signed = |name: &HeaderName| {
        name.as_str().starts_with(header::MNS_PREFIX)
            || [
                header::AUTHORIZATION,
                header::CONTENT_MD5,
                header::CONTENT_TYPE,
                header::DATE,
            ]
            .contains(name)
    };
    match headers
        .keys()
        .find(|name| signed(name) && headers.get_all(*name).iter().count() > 1)
    {
        Some(name) => Err(Defect::HeaderDoubled(name.clone())),
        None => Ok(()),
    }
}

fn decode(value: &[u8], name: HeaderName) -> Result<Vec<u8>, Defect> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        // Missing padding leaves the bytes unambiguous, so it is no reason to refuse a push.
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    BASE64
        .decode(value)
        .ok()
        // An empty value decodes without an error, but is neither a signature nor an address.
        .filter(|bytes| !bytes.is_empty())
        .ok_or(Defect::HeaderUndecodable(name))
}

fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("authorization", "c2ln"),
        ("x-mns-signing-cert-url", "aHR0cHM6Ly9h"),
        ("date", "Wed, 29 Mar 2023 08:41:27 GMT"),
        ("content-md5", "4CCBAD7AF2D23C2D00DDECCA59323A8C"),
    ];

    fn defect(change: impl FnOnce(&mut http::HeaderMap)) -> Option<Defect> {
        let mut request = Request::new(Bytes::new());
        for (name, value) in GOOD {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        change(request.headers_mut());
        SignedRequest::of(&request).err()
    }

    #[test]
    fn the_needed_headers_are_enough() {
        assert_eq!(defect(|_| ()), None);
        assert_eq!(defect(|headers| drop(headers.remove("content-md5"))), None);
    }

    #[test]
    fn a_missing_header_is_named() {
        for name in ["authorization", "x-mns-signing-cert-url", "date"] {
            let name = HeaderName::from_static(name);
            assert_eq!(
                defect(|headers| drop(headers.remove(&name))),
                Some(Defect::HeaderMissing(name))
            );
        }
    }

    #[test]
    fn x_mns_date_replaces_date() {
        assert_eq!(
            defect(|headers| {
                let date = headers.remove("date").unwrap();
                headers.insert("x-mns-date", date);
            }),
            None
        );
    }

    #[test]
    fn a_doubled_signed_header_is_refused_and_an_unsigned_one_is_not() {
        for name in [
            "authorization",
            "date",
            "content-md5",
            "content-type",
            "x-mns-anything",
        ] {
            let name = HeaderName::from_static(name);
            let found = defect(|headers| {
                headers.append(&name, "one".parse().unwrap());
                headers.append(&name, "two".parse().unwrap());
            });
            assert_eq!(found, Some(Defect::HeaderDoubled(name)));
        }
        // Each proxy adds a Via of its own, and none of them is signed.
        let via = defect(|headers| {
            headers.append("via", "one".parse().unwrap());
            headers.append("via", "two".parse().unwrap());
        });
        assert_eq!(via, None);
    }

    #[test]
    fn an_undecodable_header_is_named() {
        for (name, value) in [
            ("authorization", "Basic c2ln"),
            ("authorization", ""),
            ("x-mns-signing-cert-url", "https://a/"),
            ("date", "yesterday"),
            ("content-md5", "none"),
        ] {
            let name = HeaderName::from_static(name);
            let found = defect(|headers| drop(headers.insert(&name, value.parse().unwrap())));
            assert_eq!(found, Some(Defect::HeaderUndecodable(name)), "{value}");
        }
    }
}
