//! Why a request is not taken for a push of MNS.

use std::time::Duration;

use crate::mns::{Defect, NotAllowed};
use crate::span::Span;
use crate::trust::FetchError;

/// Why a request is not taken for a push of MNS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The peer's doing: a needed header is missing, doubled or undecodable.
    #[error(transparent)]
    Defect(#[from] Defect),
    /// The peer's doing, or a clock is wrong.
    #[error("the date is {} ahead of our clock", in_seconds(.0))]
    DateAhead(Duration),
    /// The peer's doing, or a clock is wrong.
    #[error("the date is {} behind our clock", in_seconds(.0))]
    DateTooOld(Duration),
    /// The peer's doing: nothing ties the body to the signature.
    #[error("the header content-md5 is missing")]
    ContentMd5Missing,
    /// The peer's doing, or a proxy changed the body.
    #[error("the body is not the one whose digest was signed")]
    ContentMd5Mismatch,
    /// The peer's doing, or MNS moved to an address that is not configured yet.
    #[error(transparent)]
    AddressNotAllowed(#[from] NotAllowed),
    /// MNS's doing, against our policy.
    #[error("the signing key has {0} bits")]
    KeyTooSmall(usize),
    /// The peer's doing, or a proxy changed what was signed.
    #[error("the signature is not that of the request under the key at its address")]
    SignatureWrong,
    /// The world's doing: the signature could not be checked.
    #[error("the signing certificate cannot be had")]
    CertificateUnavailable(#[source] FetchError),
    /// The world's doing: the signature does not match the cached certificate, and the certificate
    /// could not be fetched again to see whether MNS has changed its key.
    #[error(
        "the signature does not hold under the key at hand, and whether it has changed cannot be \
         told"
    )]
    RenewalFailed(#[source] FetchError),
}

fn in_seconds(span: &Duration) -> Span {
    Span(Duration::from_secs(span.as_secs()))
}
