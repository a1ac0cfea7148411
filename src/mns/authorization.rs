//! How a client signs its requests to the REST API (protocol.md 4.1).
//!
//! The string to sign is that of a push; the signature is HMAC-SHA1 under the access key's secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use sha1::Sha1;

use crate::mns::{Form, string_to_sign};

/// What stands before the access key's id.
const SCHEME: &str = "MNS ";

/// An access key: whoever knows its secret is its owner.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The id, which is sent.
    pub id: String,
    /// The secret, which is not.
    pub secret: String,
}

/// The value of an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The id of the access key that signed.
    pub access_key_id: String,
    /// The signature.
    pub signature: Vec<u8>,
}

impl AccessKey {
    /// Signs a request that has all headers but Authorization.
    #[must_use]
    pub fn authorize(&self, request: &Request<Bytes>) -> Authorization {
        let signature = self.mac(&string_to_sign(request, Form::Documented)).finalize().into_bytes().to_vec();
        Authorization { access_key_id: self.id.clone(), signature }
    }

    /// Whether a request was signed with this key. Takes the same time for every wrong signature.
    #[must_use]
    pub fn authorized(&self, request: &Request<Bytes>, authorization: &Authorization) -> bool {
        authorization.access_key_id == self.id
            && self.mac(&string_to_sign(request, Form::Documented)).verify_slice(&authorization.signature).is_ok()
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha1> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha1>::new_from_slice(self.secret.as_bytes()).expect("a key of any length");
        mac.update(text);
        mac
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).field("secret", &"***").finish()
    }
}

impl Authorization {
    /// Reads a header value; `None` where it is not `MNS id:signature`.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (id, signature) = std::str::from_utf8(value).ok()?.strip_prefix(SCHEME)?.split_once(':')?;
        Some(Self { access_key_id: id.to_owned(), signature: STANDARD.decode(signature).ok()? })
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}", self.access_key_id, STANDARD.encode(&self.signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> AccessKey {
        AccessKey { id: "ak1".to_owned(), secret: secret.to_owned() }
    }

    #[test]
    fn the_vectors_of_the_vendors_sdk_come_out() {
        let vectors = include_str!("../../tests/vectors/request-signing/hmac-sha1.tsv");
        assert_eq!(vectors.lines().count(), 7);
        for line in vectors.lines() {
            let [secret, text, signature] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let found = key(secret).mac(text.replace("\\n", "\n").as_bytes()).finalize().into_bytes();
            assert_eq!(STANDARD.encode(found), signature, "{text}");
        }
    }

    #[test]
    fn a_request_is_signed_as_the_sdk_signs_it_and_known_again() {
        let request = Request::post("/queues/TestQueue")
            .header("Date", "Tue, 03 Jun 2025 11:23:48 GMT")
            .header("X-mns-ABCdef", "abcDEF")
            .header("x-kkk-def", "left out")
            .body(Bytes::new())
            .unwrap();
        let authorization = key("sk1").authorize(&request);
        assert_eq!(authorization.to_string(), "MNS ak1:cAThPWnbphg3hDe3ZHDADTgkgyE=");
        let parsed = Authorization::parse(authorization.to_string().as_bytes()).unwrap();
        assert!(key("sk1").authorized(&request, &parsed));
        assert!(!key("sk2").authorized(&request, &parsed));
        assert!(!AccessKey { id: "ak2".to_owned(), ..key("sk1") }.authorized(&request, &parsed));
        let mut other = request;
        *other.uri_mut() = "/queues/TestQueue?metaoverride=true".parse().unwrap();
        assert!(!key("sk1").authorized(&other, &parsed));
    }

    #[test]
    fn other_values_are_no_authorization_and_the_secret_is_never_shown() {
        for value in ["", "MNS", "MNS ak1", "Basic YTpi", "MNS ak1:???", "mns ak1:YTpi"] {
            assert_eq!(Authorization::parse(value.as_bytes()), None, "{value}");
        }
        assert!(!format!("{:?}", key("hush")).contains("hush"));
    }
}
