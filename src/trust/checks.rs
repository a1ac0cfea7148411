//! The checks of a request that claims to be a push, in order.
//!
//! Cheap checks come first: a certificate is fetched and the signature compared only after them. A
//! [`Verifier`](crate::trust::Verifier) stops at the first failure; `explain` runs all of them.

use std::time::SystemTime;

use strum::IntoEnumIterator as _;

use crate::mns::{NotAllowed, Prefixes, SignedRequest, SigningCertUrl};
use crate::trust::SigningCertificate;
use crate::trust::policy::{Policy, Timeliness};
use crate::trust::untrusted::Untrusted;

/// The name of a check. The variants are in the order of the checks and of `docs/errors.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum CheckName {
    /// The time of signing.
    Date,
    /// The digest of the body, which the signature covers.
    ContentMd5,
    /// The address of the certificate.
    Address,
    /// The signature, and the size of its key.
    Signature,
}

/// The result of a check.
#[derive(Debug)]
pub enum Check<'c, 'r> {
    /// Whether the date is recent.
    Date(Result<Timeliness, Untrusted>),
    /// Whether the body is the signed one.
    ContentMd5(Result<(), Untrusted>),
    /// Whether the certificate may be fetched from its address.
    Address(Result<(), Untrusted>),
    /// The last check, which needs a certificate.
    Signature(SignatureCheck<'c, 'r>),
}

/// The checks of one request. The iterator runs a check only when it reaches that check.
#[derive(Debug)]
pub struct Checks<'c, 'r> {
    names: CheckNameIter,
    policy: &'c Policy,
    prefixes: &'c Prefixes,
    request: &'c SignedRequest<'r>,
    now: SystemTime,
    part: Part,
    address: Option<Result<SigningCertUrl, NotAllowed>>,
}

/// Which part of the request has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Whole,
}

/// The comparison of a request's signature.
#[derive(Debug)]
pub struct SignatureCheck<'c, 'r> {
    policy: &'c Policy,
    request: &'c SignedRequest<'r>,
    /// The address of the certificate.
    pub address: Result<SigningCertUrl, NotAllowed>,
}

impl<'c, 'r> Checks<'c, 'r> {
    /// The checks of a complete request.
    #[must_use]
    pub fn new(
        policy: &'c Policy,
        prefixes: &'c Prefixes,
        request: &'c SignedRequest<'r>,
        now: SystemTime,
    ) -> Self {
        Self {
            names: CheckName::iter(),
            policy,
            prefixes,
            request,
            now,
            part: Part::Whole,
            address: None,
        }
    }

    /// The checks before the body has arrived: all but the comparison of the body with its digest.
    pub(super) fn of_head(self) -> Self {
        Self {
            part: Part::Head,
            ..self
        }
    }
}

impl<'c, 'r> Iterator for Checks<'c, 'r> {
    type Item = (CheckName, Check<'c, 'r>);

    fn next(&mut self) -> Option<Self::Item> {
        let Self {
            policy,
            prefixes,
            request,
            now,
            ..
        } = *self;
        let name = self.names.next()?;
        let check = match name {
            CheckName::Date => Check::Date(policy.check_date(request.date(), now)),
            CheckName::ContentMd5 => Check::ContentMd5(match self.part {
                Part::Head => policy.check_content_md5_header(request),
                Part::Whole => policy.check_content_md5(request),
            }),
            CheckName::Address => {
                let address = prefixes.admit(request.certificate_address());
                let outcome = match &address {
                    Ok(_) => Ok(()),
                    Err(refused) => Err(Untrusted::AddressNotAllowed(*refused)),
                };
                self.address = Some(address);
                Check::Address(outcome)
            }
            CheckName::Signature => {
                let address = self.address.take();
                Check::Signature(SignatureCheck {
                    policy,
                    request,
                    address: address
                        .unwrap_or_else(|| prefixes.admit(request.certificate_address())),
                })
            }
        };
        Some((name, check))
    }
}

impl SignatureCheck<'_, '_> {
    /// Whether the signature matches the string to sign as the manual defines it, or as the
    /// vendor's samples build it.
    #[must_use]
    pub fn matches(&self, certificate: &SigningCertificate) -> bool {
        let signature = self.request.signature();
        certificate.verifies(&self.request.string_to_sign(), signature)
            || self
                .request
                .other_string_to_sign()
                .is_some_and(|text| certificate.verifies(&text, signature))
    }

    /// Checks that the key, whose signature matches, is large enough.
    ///
    /// # Errors
    /// [`Untrusted::KeyTooSmall`]
    pub fn check_key(&self, certificate: &SigningCertificate) -> Result<(), Untrusted> {
        match certificate.key_bits() {
            bits if bits < self.policy.min_key_bits => Err(Untrusted::KeyTooSmall(bits)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;
    use crate::mns::Prefix;

    const REAL: &[u8] = include_bytes!("../../tests/vectors/simplified-2023/request.http");

    /// The real request of 2023.
    fn request() -> Request<Bytes> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut headers);
        let end = head.parse(REAL).unwrap().unwrap();
        let builder = Request::post(head.path.unwrap());
        let builder = head.headers.iter().fold(builder, |builder, header| {
            builder.header(header.name, header.value)
        });
        builder.body(Bytes::from_static(&REAL[end..])).unwrap()
    }

    /// If the checks of a request ended before that of the signature, nothing would be verified. So
    /// each check must be returned exactly once, whatever the earlier ones found.
    #[test]
    fn every_check_runs_in_order_although_all_of_them_fail() {
        let mut request = request();
        *request.body_mut() = Bytes::from_static(b"another");
        let signed = SignedRequest::of(&request).unwrap();
        let policy = Policy {
            max_clock_skew: None,
            max_age: Some(std::time::Duration::ZERO),
            require_content_md5: true,
            min_key_bits: 512,
        };
        let prefixes = Prefixes::new([Prefix::parse("https://elsewhere.test/").unwrap()]);
        let now = signed.date() + std::time::Duration::from_secs(1);
        let made = Checks::new(&policy, &prefixes, &signed, now);
        let mut names = Vec::new();
        for (name, check) in made {
            names.push(name);
            match (name, check) {
                (CheckName::Date, Check::Date(Err(Untrusted::DateTooOld(_))))
                | (CheckName::ContentMd5, Check::ContentMd5(Err(Untrusted::ContentMd5Mismatch)))
                | (CheckName::Address, Check::Address(Err(Untrusted::AddressNotAllowed(_)))) => {}
                (CheckName::Signature, Check::Signature(signature)) => {
                    assert!(signature.address.is_err());
                }
                (name, check) => panic!("{name:?}: {check:?}"),
            }
        }
        assert_eq!(names, CheckName::iter().collect::<Vec<_>>());
        let body = Checks::new(&policy, &prefixes, &signed, now)
            .of_head()
            .nth(1);
        assert!(matches!(body, Some((_, Check::ContentMd5(Ok(()))))));
    }
}
