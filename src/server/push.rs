//! A push being answered: its head, before the body is read, and later the whole request.

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

/// A request being answered.
pub(super) struct Push<'e> {
    pub(super) endpoint: &'e Endpoint,
    pub(super) arrival: Arrival,
    /// The request; its body is empty until it has been read.
    pub(super) request: http::Request<Bytes>,
    /// `None` if tracing is off, or if the request is not sampled and names no trace.
    pub(super) trace: Option<Arc<Trace>>,
}

/// A request whose body has not been read.
pub(super) struct Head<'e> {
    pub(super) push: Push<'e>,
    pub(super) body: Body,
}

/// A request that was read whole.
pub(super) struct Pushed<'e> {
    pub(super) push: Push<'e>,
}

/// A request that was refused before all of it was read.
pub(super) struct Unread<'e> {
    pub(super) push: Push<'e>,
    pub(super) rejection: Rejection,
    /// The body, if none of it was read and the connection can carry the next push after the body
    /// is drained.
    pub(super) body: Option<Body>,
}

/// What a head alone proves.
///
/// MNS signs the head, and the Content-MD5 in it covers the body. If the signature of a head
/// matches, MNS signed the head. Then the request may use room that strangers cannot. If there are
/// too many connections, `net` may close those of strangers, but not the one of this request.
/// However, a head never proves a push: a copied head may have another body, so the whole request
/// is verified again.
pub(super) enum HeadVerdict<'e> {
    /// MNS signed the head, and no other connection awaits its body.
    Proved(Awaited<'e>),
    /// MNS signed the head, but another connection already awaits the body of the same head.
    Copied,
    /// The certificate is not cached, so the signature is not checked yet.
    Open,
    /// The request will be refused whatever its body is, unless MNS has changed its key.
    Refused(Rejection),
}

impl<'e> Head<'e> {
    /// Splits a request into head and body, and puts back the path prefix that a proxy removed.
    pub(super) fn of(endpoint: &'e Endpoint, arrival: Arrival, request: Request) -> Self {
        let (mut head, body) = request.into_parts();
        // Put the prefix back first, because MNS signed the path with its prefix.
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
    /// The time `budget` after the request's first byte.
    pub(super) fn deadline(&self, budget: Duration) -> Instant {
        let first_byte = self.arrival.first_byte;
        first_byte.checked_add(budget).unwrap_or(first_byte)
    }

    /// Whether MNS signed the head, as far as a cached certificate shows.
    pub(super) fn is_signed(&self) -> bool {
        match self.judge_head() {
            HeadVerdict::Proved(_) | HeadVerdict::Copied => true,
            HeadVerdict::Open | HeadVerdict::Refused(_) => false,
        }
    }

    /// Judges the head from what is cached, without waiting.
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
