//! A push being answered: its head before the body is read, and the whole of it after that.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use tokio::time::Instant;

use crate::mns::SignedRequest;
use crate::net::Arrival;
use crate::server::Endpoint;
use crate::server::awaited::Awaited;
use crate::server::rejection::Rejection;
use crate::traces::Trace;
use crate::trust::HeadProof;

/// A request while it is answered.
pub(super) struct Push<'e> {
    pub(super) endpoint: &'e Endpoint,
    pub(super) arrival: Arrival,
    /// The request; its body is empty until it has been read.
    pub(super) request: http::Request<Bytes>,
    /// `None` if it is not traced, whatever it turns out to be.
    pub(super) trace: Option<Arc<Trace>>,
}

/// A request whose body has not been read.
pub(super) struct Head<'e> {
    pub(super) push: Push<'e>,
    pub(super) body: Body,
}

/// A request that came whole.
pub(super) struct Pushed<'e> {
    pub(super) push: Push<'e>,
}

/// A request that was refused before it came whole.
pub(super) struct Unread<'e> {
    pub(super) push: Push<'e>,
    pub(super) rejection: Rejection,
    /// The body, if nothing of it was read and the connection may carry the next push once it has
    /// come.
    pub(super) body: Option<Body>,
}

/// What a head alone proves.
///
/// MNS signs the head, and Content-MD5 in it covers the body. So a head proves that MNS signed it,
/// which decides who may stay when room is short. It never proves a push: the whole request is
/// verified again.
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

impl<'e> Head<'e> {
    /// The head of a request, with what a proxy cut off its path put back.
    pub(super) fn of(endpoint: &'e Endpoint, arrival: Arrival, request: Request) -> Self {
        let (mut head, body) = request.into_parts();
        head.uri = endpoint.settings.with_prefix(head.uri);
        let trace = endpoint.traces.begin(&head.headers);
        let request = http::Request::from_parts(head, Bytes::new());
        let push = Push {
            endpoint,
            arrival,
            request,
            trace,
        };
        Self { push, body }
    }
}

impl<'e> Push<'e> {
    /// `budget` after the request's first byte.
    pub(super) fn deadline(&self, budget: Duration) -> Instant {
        let first_byte = self.arrival.first_byte;
        first_byte.checked_add(budget).unwrap_or(first_byte)
    }

    /// Whether the signature of MNS matches the head, under a cached certificate.
    pub(super) fn is_signed(&self) -> bool {
        match self.judge_head() {
            HeadVerdict::Proved(_) | HeadVerdict::Copied => true,
            HeadVerdict::Open | HeadVerdict::Refused(_) => false,
        }
    }

    /// Judges the head without waiting for anything.
    pub(super) fn judge_head(&self) -> HeadVerdict<'e> {
        let signed = match SignedRequest::of(&self.request) {
            Ok(signed) => signed,
            Err(defect) => return HeadVerdict::Refused(Rejection::Untrusted(defect.into())),
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
