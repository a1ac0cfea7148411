//! Why a request is not accepted as a push of MNS.

use std::time::Duration;

use crate::mns::{Defect, NotAllowed};
use crate::span::Span;
use crate::trust::FetchError;

/// Why a request is not accepted as a push of MNS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Caused by the peer: a required header is missing, duplicated or cannot be decoded.
    #[error(transparent)]
    Defect(#[from] Defect),
    /// Caused by the peer or by a wrong clock.
    #[error("the date is {} ahead of our clock", in_seconds(.0))]
    DateAhead(Duration),
    /// Caused by the peer or by a wrong clock.
    #[error("the date is {} behind our clock", in_seconds(.0))]
    DateTooOld(Duration),
    /// Caused by the peer: nothing ties the body to the signature.
    #[error("the header content-md5 is missing")]
    ContentMd5Missing,
    /// Caused by the peer, or by a proxy that changed the body.
    #[error("the body does not match the signed digest")]
    ContentMd5Mismatch,
    /// Caused by the peer, or MNS moved to an address that is not configured yet.
    #[error(transparent)]
    AddressNotAllowed(#[from] NotAllowed),
    /// Caused by MNS, against our policy.
    #[error("the signing key has {0} bits")]
    KeyTooSmall(usize),
    /// Caused by the peer, or by a proxy that changed a signed part.
    #[error(
        "the signature does not match the request and the key of the certificate that the request \
            names"
    )]
    SignatureWrong,
    /// Caused by neither side: the signature could not be checked.
    #[error("could not obtain the signing certificate")]
    CertificateUnavailable(#[source] FetchError),
    /// Caused by neither side: the signature does not match the cached certificate, and the
    /// certificate could not be fetched again to see whether MNS has changed its key.
    #[error(
        "the signature does not match the cached certificate, and the certificate could not be \
            fetched again to see whether MNS has changed its key"
    )]
    RenewalFailed(#[source] FetchError),
}

fn in_seconds(span: &Duration) -> Span {
    Span(Duration::from_secs(span.as_secs()))
}
