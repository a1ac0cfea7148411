//! What the head of a push says while its body is still to come.
//!
//! MNS signs the head, and Content-MD5 in it covers the body. So a head proves that MNS signed it,
//! which decides who may stay when room is short. It never proves a push: the whole request is
//! verified again.

use crate::mns::SignedRequest;
use crate::server::awaited::Awaited;
use crate::server::entry::Visit;
use crate::server::rejection::Rejection;
use crate::trust::HeadProof;

/// What a head alone proves.
pub(super) enum HeadVerdict<'e> {
    /// MNS signed it, and this is the only body that is awaited for it.
    Proved(Awaited<'e>),
    /// MNS signed it, and the body of the same head is awaited on another connection.
    Copied,
    /// Its certificate is not cached.
    Open,
    /// The request is refused, whatever its body is, unless MNS has changed its key.
    Refused(Rejection),
}

impl<'e> Visit<'e> {
    /// Whether the signature of MNS matches the head, under a cached certificate.
    pub(super) fn is_signed(&self) -> bool {
        matches!(
            self.judge_head(),
            HeadVerdict::Proved(_) | HeadVerdict::Copied
        )
    }

    /// Judges the head without waiting for anything.
    pub(super) fn judge_head(&self) -> HeadVerdict<'e> {
        let signed = match SignedRequest::of(&self.request) {
            Ok(signed) => signed,
            Err(defect) => return HeadVerdict::Refused(Rejection::defect(defect)),
        };
        match self.endpoint.gate.load().verifier.check_head(&signed) {
            Ok(HeadProof::Signed) => {
                let awaited = self.endpoint.in_flight.awaited.begin(signed.signature());
                awaited.map_or(HeadVerdict::Copied, HeadVerdict::Proved)
            }
            Ok(HeadProof::Open) => HeadVerdict::Open,
            Err(untrusted) => HeadVerdict::Refused(untrusted.into()),
        }
    }
}
