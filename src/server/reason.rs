//! The stable keys under which refusals and remarks are logged.
//!
//! `docs/errors.md` explains each; a test keeps it complete.

use strum::IntoStaticStr;

use crate::mns::Defect;
use crate::trust::{FetchError, Untrusted};

/// The stable key of a refusal, or of a remark on an accepted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumCount, strum::EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "docs/errors.md tells what each one means; a test keeps it complete"
)]
pub enum Reason {
    HeaderMissing,
    HeaderDoubled,
    HeaderUndecodable,
    DateAhead,
    DateTooOld,
    ContentMd5Missing,
    ContentMd5Mismatch,
    CertificateAddressRefused,
    CertificateOverBudget,
    CertificateUnavailable,
    KeyTooSmall,
    SignatureWrong,
    OwnerNotAccepted,
    TopicNotAccepted,
    SourceNotAccepted,
    BodyNotRecognised,
    BodyMalformed,
    BodyNotUtf8,
    DocumentType,
    ElementMissing,
    ElementDoubled,
    JournalFull,
    JournalRefused,
    JournalFailed,
    TooManyInFlight,
    OutOfTime,
    PathNotServed,
    MethodNotAllowed,
    ContentEncoding,
    BodyTooLarge,
    BodyTooSlow,
    BodyBroken,
    /// A remark: accepted all the same.
    MessageMd5Mismatch,
    /// A remark: accepted all the same.
    DateLate,
}

impl Reason {
    pub(super) fn of_untrusted(untrusted: &Untrusted) -> Self {
        match untrusted {
            Untrusted::Defect(Defect::HeaderMissing(_)) => Self::HeaderMissing,
            Untrusted::Defect(Defect::HeaderDoubled(_)) => Self::HeaderDoubled,
            Untrusted::Defect(Defect::HeaderUndecodable(_)) => Self::HeaderUndecodable,
            Untrusted::DateAhead(_) => Self::DateAhead,
            Untrusted::DateTooOld(_) => Self::DateTooOld,
            Untrusted::ContentMd5Missing => Self::ContentMd5Missing,
            Untrusted::ContentMd5Mismatch => Self::ContentMd5Mismatch,
            Untrusted::AddressNotAllowed(_) => Self::CertificateAddressRefused,
            Untrusted::CertificateUnavailable(FetchError::OverBudget)
            | Untrusted::RenewalFailed(FetchError::OverBudget) => Self::CertificateOverBudget,
            Untrusted::CertificateUnavailable(_) | Untrusted::RenewalFailed(_) => {
                Self::CertificateUnavailable
            }
            Untrusted::KeyTooSmall(_) => Self::KeyTooSmall,
            Untrusted::SignatureWrong => Self::SignatureWrong,
        }
    }

    /// The stable key.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The likely cause and what to do.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "until it is split")]
    pub fn hint(self) -> &'static str {
        match self {
            Self::HeaderMissing => "not a push of MNS, or a proxy removed the header",
            Self::HeaderDoubled => "not a push of MNS, or a proxy added the header again",
            Self::HeaderUndecodable => "not a push of MNS, or a proxy rewrote the header",
            Self::DateAhead => "check this machine's clock; signing.max_clock_skew allows more",
            Self::DateTooOld => {
                "check this machine's clock; an old request sent again, or a very late retry: \
                 signing.max_age allows more"
            }
            Self::ContentMd5Missing => {
                "a proxy removed the header: let it through, since the signature covers it; if it \
                 came without one, signing.require_content_md5 = false accepts it, and then anyone \
                 may put another body under its signature"
            }
            Self::ContentMd5Mismatch => {
                "a proxy changed the body, or an old request was sent again with another one"
            }
            Self::CertificateAddressRefused => {
                "if the address is MNS's, add its prefix to signing.certificate_prefixes or its \
                 region to signing.extra_regions; for the emulator and push start serve with \
                 --trust"
            }
            Self::CertificateOverBudget => {
                "a stranger makes up addresses, and MNS sends a genuine push again. Name a proxy \
                 in front in server.trusted_proxies, or put the certificate in place with: \
                 mns-endpoint certificate add URL FILE"
            }
            Self::CertificateUnavailable => {
                "check the way to the address: signing.fetch_via, signing.proxy, DNS; or put the \
                 certificate in place with: mns-endpoint certificate add URL FILE"
            }
            Self::KeyTooSmall => "signing.min_key_bits asks for more than MNS uses",
            Self::SignatureWrong => {
                "forged, or a proxy changed the path, the query, Content-Type or an x-mns header: \
                 see mns-endpoint explain"
            }
            Self::OwnerNotAccepted => {
                "add the account to accept.topic_owners if its pushes are meant for you"
            }
            Self::TopicNotAccepted => {
                "add the topic to accept.topics if its pushes are meant for you"
            }
            Self::SourceNotAccepted => {
                "add the network to accept.sources if pushes come from there"
            }
            Self::BodyNotRecognised
            | Self::BodyMalformed
            | Self::BodyNotUtf8
            | Self::DocumentType
            | Self::ElementMissing
            | Self::ElementDoubled => {
                "the signature matches, so MNS sent this body: take it back as it is with: \
                 mns-endpoint logs recover --as-raw; and please report it with the bytes"
            }
            Self::JournalFull => {
                "the disk is slower than the pushes that come: MNS sends them again"
            }
            Self::JournalRefused => {
                "the disk is full or failing: make room in logs.dir; MNS sends the push again"
            }
            Self::JournalFailed => "the disk failed a sync: see the diagnostic log, then restart",
            Self::TooManyInFlight => {
                "more comes than this machine can take: MNS sends the push again"
            }
            Self::OutOfTime => {
                "the certificate source or this machine is too slow: MNS sends the push again"
            }
            Self::PathNotServed => {
                "the subscription's address has another path: add it to server.paths, or see \
                 server.secret_path_file"
            }
            Self::MethodNotAllowed => "only POST is answered here",
            Self::ContentEncoding => "a proxy compressed the body, or it is not a push of MNS",
            Self::BodyTooLarge => "no push of MNS is that large; server.max_body allows more",
            Self::BodyTooSlow => {
                "the network or a proxy is too slow; server.body_timeout allows more, up to 3s"
            }
            Self::BodyBroken => "the peer or a proxy ended the body early",
            Self::MessageMd5Mismatch => {
                "normal if the publisher set user properties: MessageMD5 is then not the MD5 of \
                 the message; the body's own digest was signed"
            }
            Self::DateLate => "a retry with its first Date, or this machine's clock is wrong",
        }
    }
}
