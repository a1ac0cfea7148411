//! The steps of a request in order: head, body, verification, notification, admission, disk, 201.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::forward::Forwarded;
use crate::journal::{Health, Receipt, Space};
use crate::mns::SignedRequest;
use crate::net::{Arrival, Responder};
use crate::quarantine::Provenance;
use crate::server::in_flight::Permit;
use crate::server::push::{Head, Push, Pushed, Unread};
use crate::server::refused::Refused;
use crate::server::rejection::Rejection;
use crate::server::remarks::Remarks;
use crate::server::respond;
use crate::server::{BUDGET, Endpoint};
use crate::traces::Stage;
use crate::trust::{Admission, Untrusted, Verified, Verifier};

impl Responder for Arc<Endpoint> {
    /// Answers one request of any path and method. A request that is not served is refused and
    /// logged like any other.
    ///
    /// If the peer disconnects, this future is dropped. Before the hand-over to the journal nothing
    /// has happened. After the hand-over the record is written all the same, so a retry is logged
    /// as a duplicate and no push is lost.
    ///
    /// While the endpoint drains, each answer also closes its connection.
    async fn respond(&self, arrival: Arrival, request: Request) -> Response {
        let response = answer_one(self, arrival, request).await;
        // Close the connection: otherwise MNS would send further pushes on it, and the drain would
        // not end.
        if self.draining.is_cancelled() {
            respond::last(response)
        } else {
            response
        }
    }
}

async fn answer_one(endpoint: &Endpoint, arrival: Arrival, request: Request) -> Response {
    // A health check is neither counted nor logged, because load balancers send one every few
    // seconds.
    if endpoint.is_health_check(&request) {
        return respond::health(endpoint.is_healthy());
    }
    match Head::of(endpoint, arrival, request).read().await {
        Ok((pushed, room)) => match pushed.receive(room).await {
            Ok((receipt, forwarded)) => pushed.push.created(&receipt, &forwarded),
            Err(refused) => pushed.refuse(&refused),
        },
        Err(unread) => unread.refuse().await,
    }
}

impl Endpoint {
    fn is_health_check(&self, request: &Request) -> bool {
        let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
        is_read && self.settings.health_path.as_deref() == Some(request.uri().path())
    }

    fn is_healthy(&self) -> bool {
        // With less than logs.low_water free a balancer should prefer other endpoints, although
        // pushes are still accepted here.
        let is_well = self.journal.health() == Health::Writable(Space::Enough);
        is_well && !self.draining.is_cancelled()
    }
}

impl Pushed<'_> {
    /// Verifies, admits and commits a whole request. Returns the proofs that its notification is on
    /// disk and, if the 201 depends on a destination, that the destination has acknowledged it.
    /// Gives the permit back at the end.
    async fn receive(&self, mut room: Permit<'_>) -> Result<(Receipt, Forwarded), Refused<'_>> {
        let push = &self.push;
        // Load the gate, which is verifier and admission, once for the whole request: a reload must
        // not let one configuration verify the request and another one admit it.
        let gate = push.endpoint.gate.load_full();
        let verified = verify(push, &gate.verifier, &mut room).await?;
        append(push, &gate.admission, &mut room, &verified)
            .await
            .map_err(|rejection| Refused::verified(rejection, &verified))
    }

    fn refuse(&self, refused: &Refused<'_>) -> Response {
        let is_signed = refused.rejection.facts().provenance == Provenance::Signed;
        self.push.count(&refused.rejection, is_signed);
        self.push
            .remember_refused(&refused.rejection, is_signed, refused.notification.as_ref());
        if let Some(notification) = refused.notification() {
            self.push.name_trace(notification);
        }
        if let Some(notification) = refused.backs_off() {
            self.push.endpoint.counts.note_refused(notification);
        }
        if let Some(entry) = self.refusal(refused) {
            self.push.endpoint.journal.offer(entry);
        }
        self.push.refused(&refused.rejection, true)
    }
}

impl Unread<'_> {
    /// Refuses the request, and keeps the connection if the rest of the request can be drained.
    async fn refuse(mut self) -> Response {
        self.push.count(&self.rejection, false);
        self.push.remember_refused(&self.rejection, false, None);
        if let Some(entry) = self.refusal() {
            self.push.endpoint.journal.offer(entry);
        }
        // Log the refusal first, because the drain waits for the peer.
        let is_whole = self.drain().await;
        self.push.refused(&self.rejection, is_whole)
    }
}

impl Push<'_> {
    fn created(&self, receipt: &Receipt, forwarded: &Forwarded) -> Response {
        let answer = &self.endpoint.counts.answer;
        answer.observe(self.arrival.first_byte.elapsed());
        self.finish_trace(StatusCode::CREATED.as_u16(), None);
        respond::created(receipt, forwarded)
    }

    fn count(&self, rejection: &Rejection, is_signed: bool) {
        self.endpoint
            .counts
            .count_refusal(rejection.reason(), is_signed);
    }

    /// Builds the answer. A stranger's connection is closed after the answer, unless the connection
    /// has carried an accepted push: it may then belong to a proxy, which sends other pushes on it.
    fn refused(&self, rejection: &Rejection, is_whole: bool) -> Response {
        let is_last =
            rejection.facts().is_of_a_stranger() && !self.arrival.connection.has_accepted();
        // A request to a path or method that MNS does not use is no push, so its trace is not
        // recorded.
        if !matches!(
            rejection,
            Rejection::PathNotServed | Rejection::MethodNotAllowed
        ) {
            self.finish_trace(rejection.status(), Some(rejection.reason().key()));
        }
        respond::refused(rejection, is_whole && !is_last)
    }
}

/// Verifies that MNS sent the request.
async fn verify<'v>(
    push: &'v Push<'_>,
    verifier: &Verifier,
    room: &mut Permit<'_>,
) -> Result<Verified<'v>, Rejection> {
    let endpoint = push.endpoint;
    let signed = SignedRequest::of(&push.request).map_err(Untrusted::Defect)?;
    let deadline = push.deadline(BUDGET);
    let begun = Instant::now();
    let verdict = timeout_at(deadline, verifier.verify(&signed, push.arrival.peer.ip())).await;
    let took = begun.elapsed();
    // Observe the duration even if the time ran out, so that slow fetches of certificates show in
    // the histogram.
    endpoint.counts.verify.observe(took);
    if let Some(trace) = &push.trace {
        Stage::enter(&trace.verify, begun.into_std(), took);
    }
    // The outer error is the deadline, the inner one the verdict.
    let verified = verdict.map_err(|_elapsed| Rejection::OutOfTime)??;
    room.prove();
    push.continue_trace();
    endpoint.counts.note_skew(verified.skew_seconds());
    // Report the signed Date. If it is near the time of this machine's clock, retention knows the
    // time of day at once. Without a Date, retention trusts the clock only after an hour without a
    // jump (after `logs.keep`, if that is shorter).
    endpoint.journal.confirm_time(signed.date());
    if let Some(change) = verified.key_change() {
        push.log_key_change(change);
    }
    Ok(verified)
}

/// Admits a verified notification and commits it to disk.
async fn append(
    push: &Push<'_>,
    admission: &Admission,
    room: &mut Permit<'_>,
    verified: &Verified<'_>,
) -> Result<(Receipt, Forwarded), Rejection> {
    let endpoint = push.endpoint;
    // Admit only after verification: the owner and the topic in an unverified body prove nothing.
    let notification = admission.admit(verified.notification()?, push.arrival.peer.ip())?;
    push.name_trace(&notification);
    let remarks = Remarks::of(&notification, verified.timeliness());
    let entry = push.accepted(&notification, remarks);
    // This is the last check before `Journal::append`, which checks its own room once more.
    if !room.wait_for_disk() {
        return Err(Rejection::TooManyInFlight);
    }
    // From here on `net` lets the request finish even if it closes the connection to make room: the
    // record is handed over now, and without the 201 MNS would only push the notification again.
    push.arrival.connection.note_admitted();
    // Register before the hand-over to the journal: as soon as the journal has the record, the
    // forwarder may send it and get its acknowledgement.
    let expected = endpoint.handover.expect([
        &notification.topic_owner,
        &notification.topic_name,
        &notification.subscription_name,
        &notification.message_id,
    ]);
    let begun = Instant::now();
    let appended = endpoint.journal.append(entry).await;
    let took = begun.elapsed();
    endpoint.counts.commit.observe(took);
    if let Some(trace) = &push.trace {
        Stage::enter(&trace.commit, begun.into_std(), took);
    }
    let receipt = appended?;
    // A duplicate proves nothing about its connection: anyone can send a copy of a push.
    if !receipt.is_duplicate() {
        push.arrival
            .connection
            .note_accepted(push.arrival.peer.ip());
    }
    let forwarded = expected.forwarded(push.deadline(BUDGET)).await?;
    remarks
        .reasons()
        .for_each(|reason| endpoint.counts.count(reason));
    // Count the push after the last step that can fail, because only now it is certain that the
    // answer is 201.
    endpoint
        .counts
        .note_accepted(&notification, endpoint.clock.now());
    push.remember_accepted(&notification, receipt.is_duplicate(), remarks);
    Ok((receipt, forwarded))
}
