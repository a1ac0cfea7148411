//! The signatures of clients' requests to the REST API (`docs/emulator.md`).
//!
//! Version 2 signs the same text as a push, with HMAC-SHA1 and the access key's secret. Version 4
//! is in `signature_v4.rs`.

use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Request};
use sha1::Sha1;

use crate::mns::signature_v4::{self, ALGORITHM, Scope};
use crate::mns::{Form, header, string_to_sign};

/// The word before the access key's id in version 2.
const SCHEME: &str = "MNS ";

/// An access key. Whoever knows its secret may act as its owner.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The id, which is sent.
    pub id: String,
    /// The secret, which is never sent.
    pub secret: String,
}

/// The value of an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The id of the access key that signed.
    pub access_key_id: String,
    /// The signature.
    pub signature: Vec<u8>,
    /// Day and region of a signature of version 4; `None` for version 2.
    pub scope: Option<Scope>,
}

impl AccessKey {
    /// Signs a request with version 2. All headers but Authorization must be set.
    #[must_use]
    pub fn authorize(&self, request: &Request<Bytes>) -> Authorization {
        let signature = self
            .mac(&string_to_sign(request, Form::Documented))
            .finalize()
            .into_bytes()
            .to_vec();
        Authorization {
            access_key_id: self.id.clone(),
            signature,
            scope: None,
        }
    }

    /// Signs a request with version 4 for one region. `time` must be that of the request's Date.
    #[must_use]
    pub fn authorize_v4(
        &self,
        request: &Request<Bytes>,
        region: &str,
        time: SystemTime,
    ) -> Authorization {
        let scope = Scope::of(time, region);
        let mac = signature_v4::mac(
            &scope.key(&self.secret),
            &signature_v4::text(request, time, &scope),
        );
        let signature = mac.finalize().into_bytes().to_vec();
        Authorization {
            access_key_id: self.id.clone(),
            signature,
            scope: Some(scope),
        }
    }

    /// Whether a request was signed with this key, with either version. The comparison takes the
    /// same time for every wrong signature.
    ///
    /// A signature of version 4 is valid for the region that it names, on the day of the request's
    /// Date.
    #[must_use]
    pub fn authorized(&self, request: &Request<Bytes>, authorization: &Authorization) -> bool {
        // The id is no secret, so this comparison need not take constant time.
        if authorization.access_key_id != self.id {
            return false;
        }
        let Some(scope) = &authorization.scope else {
            return self
                .mac(&string_to_sign(request, Form::Documented))
                .verify_slice(&authorization.signature)
                .is_ok();
        };
        signature_v4::signed_at(request).is_some_and(|time| {
            let text = signature_v4::text(request, time, scope);
            // The client chooses the scope and derives the key from it, so its day has to be
            // compared with Date.
            *scope == Scope::of(time, &scope.region)
                && signature_v4::mac(&scope.key(&self.secret), &text)
                    .verify_slice(&authorization.signature)
                    .is_ok()
        })
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha1> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac =
            Hmac::<Sha1>::new_from_slice(self.secret.as_bytes()).expect("a key of any length");
        mac.update(text);
        mac
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            // A derived implementation would write the secret to logs.
            .field("secret", &"***")
            .finish()
    }
}

impl Authorization {
    /// The header with the date that the signature covers. Version 2 signs `x-mns-date` instead of
    /// `Date` if a request has both, so anyone can change the `Date` of such a request.
    #[must_use]
    pub fn signed_date<'r>(&self, headers: &'r HeaderMap) -> Option<&'r HeaderValue> {
        match self.scope {
            Some(_) => signature_v4::date(headers),
            None => headers
                .get(header::MNS_DATE)
                .or_else(|| headers.get(header::DATE)),
        }
    }

    /// Reads a header value; `None` if it is neither `MNS id:signature` nor
    /// `MNS4-HMAC-SHA256 Credential=id/day/region/mns/aliyun_v4_request,Signature=hex`.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        if let Some(rest) = text.strip_prefix(ALGORITHM) {
            let (credential, signature) = rest.strip_prefix(" Credential=")?.split_once(',')?;
            let (id, scope) = credential.split_once('/')?;
            let signature = from_hex(signature.trim_start().strip_prefix("Signature=")?)?;
            return Some(Self {
                access_key_id: id.to_owned(),
                signature,
                scope: Some(Scope::parse(scope)?),
            });
        }
        let (id, signature) = text.strip_prefix(SCHEME)?.split_once(':')?;
        Some(Self {
            access_key_id: id.to_owned(),
            signature: STANDARD.decode(signature).ok()?,
            scope: None,
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    // `u8::from_str_radix` would accept a sign.
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|nibble| u8::try_from(nibble).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?))
        .collect();
    if rest.is_empty() { bytes } else { None }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(scope) = &self.scope else {
            return write!(
                f,
                "{SCHEME}{}:{}",
                self.access_key_id,
                STANDARD.encode(&self.signature)
            );
        };
        write!(
            f,
            "{ALGORITHM} Credential={}/{scope},Signature=",
            self.access_key_id
        )?;
        self.signature
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> AccessKey {
        AccessKey {
            id: "ak1".to_owned(),
            secret: secret.to_owned(),
        }
    }

    #[test]
    fn the_vectors_of_the_vendors_sdk_are_reproduced() {
        let vectors = include_str!("../../tests/vectors/request-signing/hmac-sha1.tsv");
        assert_eq!(vectors.lines().count(), 7);
        for line in vectors.lines() {
            let [secret, text, signature] =
                line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let found = key(secret)
                .mac(text.replace("\\n", "\n").as_bytes())
                .finalize()
                .into_bytes();
            assert_eq!(STANDARD.encode(found), signature, "{text}");
        }
    }

    #[test]
    fn a_request_is_signed_as_the_sdk_signs_it_and_verifies() {
        let request = Request::post("/queues/TestQueue")
            .header("Date", "Tue, 03 Jun 2025 11:23:48 GMT")
            .header("X-mns-ABCdef", "abcDEF")
            .header("x-kkk-def", "left out")
            .body(Bytes::new())
            .unwrap();
        let authorization = key("sk1").authorize(&request);
        assert_eq!(
            authorization.to_string(),
            "MNS ak1:cAThPWnbphg3hDe3ZHDADTgkgyE="
        );
        let parsed = Authorization::parse(authorization.to_string().as_bytes()).unwrap();
        assert!(key("sk1").authorized(&request, &parsed));
        assert!(!key("sk2").authorized(&request, &parsed));
        assert!(
            !AccessKey {
                id: "ak2".to_owned(),
                ..key("sk1")
            }
            .authorized(&request, &parsed)
        );
        let mut other = request;
        *other.uri_mut() = "/queues/TestQueue?metaoverride=true".parse().unwrap();
        assert!(!key("sk1").authorized(&other, &parsed));
    }

    #[test]
    fn other_values_are_rejected_and_the_secret_is_never_shown() {
        for value in [
            "",
            "MNS",
            "MNS ak1",
            "Basic YTpi",
            "MNS ak1:???",
            "mns ak1:YTpi",
        ] {
            assert_eq!(Authorization::parse(value.as_bytes()), None, "{value}");
        }
        let v4 = |credential: &str, signature: &str| {
            format!("MNS4-HMAC-SHA256 Credential={credential},Signature={signature}")
        };
        assert!(
            Authorization::parse(v4("ak1/20250603/r/mns/aliyun_v4_request", "0aF0").as_bytes())
                .is_some()
        );
        for (credential, signature) in [
            ("ak1/20250603/r/mns/aliyun_v4_request", "0a0"),
            ("ak1/20250603/r/mns/aliyun_v4_request", "+a0b"),
            ("ak1/20250603/r/oss/aliyun_v4_request", "0a"),
            ("ak1/20250603/r/mns/aliyun_v3_request", "0a"),
            ("ak1/20250603/r/mns", "0a"),
            ("ak1/20250603//mns/aliyun_v4_request", "0a"),
            ("ak1/2025-06-03/r/mns/aliyun_v4_request", "0a"),
            ("ak1", "0a"),
        ] {
            let value = v4(credential, signature);
            assert_eq!(Authorization::parse(value.as_bytes()), None, "{value}");
        }
        for value in [
            "MNS4-HMAC-SHA256",
            "MNS4-HMAC-SHA256 Signature=0a",
            "MNS4-HMAC-SHA512 Credential=a",
        ] {
            assert_eq!(Authorization::parse(value.as_bytes()), None, "{value}");
        }
        assert!(!format!("{:?}", key("hush")).contains("hush"));
    }
}
