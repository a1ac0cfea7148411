//! The straight path: head, body, proof, notification, admission, disk, 201.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{Method, request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout, timeout_at};

use crate::journal::Receipt;
use crate::mns::SignedRequest;
use crate::net::{Arrival, Responder};
use crate::server::entry::Visit;
use crate::server::head::HeadVerdict;
use crate::server::in_flight::Permit;
use crate::server::refused::Refused;
use crate::server::rejection::Rejection;
use crate::server::remarks::Remarks;
use crate::server::respond;
use crate::server::{BUDGET, Endpoint};
use crate::trust::{Admission, Verified, Verifier};

/// How long the body of a push that there is no room for may take to come. Where all of it comes
/// its connection stays: a new one for each push would cost more than all else that is done for it.
const UNWANTED_PATIENCE: Duration = Duration::from_millis(100);
/// How much of it is read, in bytes: more than the largest push of MNS has.
const UNWANTED_BYTES_MAX: usize = 128 * 1024;
/// How long the body may take of a request that its head refuses.
const REFUSED_PATIENCE: Duration = Duration::from_secs(1);

impl Responder for Arc<Endpoint> {
    /// Answers one request, whatever its path and method: what is not served is refused and logged
    /// like anything else.
    ///
    /// If the peer leaves, this future is dropped: before the hand-over to the journal nothing has
    /// happened, and after it the record is written all the same, so that a retry is a duplicate
    /// and never a loss.
    ///
    /// Once a stop is under way each answer is the last of its connection.
    async fn respond(&self, arrival: Arrival, request: Request) -> Response {
        let response = answer_one(self, arrival, request).await;
        if self.draining.is_cancelled() {
            respond::last(response)
        } else {
            response
        }
    }
}

async fn answer_one(endpoint: &Endpoint, arrival: Arrival, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    if is_health_check(endpoint, &head) {
        let is_well = endpoint.journal.is_writable() && !endpoint.journal.is_low();
        return respond::health(is_well && !endpoint.draining.is_cancelled());
    }
    head.uri = endpoint.settings.with_prefix(head.uri);
    let request = http::Request::from_parts(head, Bytes::new());
    let mut visit = Visit {
        endpoint,
        arrival,
        request,
        has_body: false,
    };
    // The room is given back with the answer.
    let (outcome, unwanted) = match make_room(&visit) {
        Ok(mut room) => match read_body(&visit, body, &mut room).await {
            Ok(body) => {
                *visit.request.body_mut() = body;
                visit.has_body = true;
                room.body_has_come();
                visit.arrival.connection.note_whole();
                (receive(&visit, &mut room).await, None)
            }
            Err(rejection) => (Err(rejection.into()), None),
        },
        Err(rejection) => {
            let unwanted = rejection.is_for_want_of_room().then_some(body);
            (Err(rejection.into()), unwanted)
        }
    };
    match outcome {
        Ok(receipt) => {
            endpoint
                .counts
                .answer
                .note(visit.arrival.first_byte.elapsed());
            respond::created(&receipt)
        }
        Err(refused) => {
            let rejection = &refused.rejection;
            endpoint.counts.note(rejection.reason());
            if let Some(entry) = visit.refused(&refused) {
                endpoint.journal.offer(entry);
            }
            let is_whole = match unwanted {
                Some(body) => swallow(&visit, body).await,
                None => visit.has_body,
            };
            // A stranger gets one answer. A connection that has carried a push may be a proxy's,
            // which sends others on it.
            let is_last = rejection.is_of_a_stranger() && !visit.arrival.connection.has_accepted();
            respond::refused(rejection, is_whole && !is_last)
        }
    }
}

/// Reads a body that there is no room for; `false` where not all of it comes soon.
async fn swallow(visit: &Visit<'_>, body: Body) -> bool {
    let is_much =
        usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes > UNWANTED_BYTES_MAX);
    // Who waits to be asked for it has not sent it.
    if is_much || visit.request.headers().contains_key(EXPECT) {
        return false;
    }
    let mut body = Limited::new(body, UNWANTED_BYTES_MAX);
    let whole = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    timeout(UNWANTED_PATIENCE, whole).await.unwrap_or(false)
}

/// What is known before the body is read: whether it is worth reading, and whether there is room
/// for it.
fn make_room<'e>(visit: &Visit<'e>) -> Result<Permit<'e>, Rejection> {
    let Endpoint {
        settings,
        journal,
        in_flight,
        ..
    } = visit.endpoint;
    settings.check_head(&visit.request)?;
    journal.check_room()?;
    if let Some(permit) = in_flight.check() {
        return Ok(permit);
    }
    if in_flight.is_full() {
        return Err(Rejection::TooManyInFlight);
    }
    // Strangers have all their share. A push of MNS's that comes whole takes what they cannot.
    let permit = if visit.is_signed() {
        in_flight.check_signed()
    } else {
        None
    };
    permit.ok_or(Rejection::TooManyInFlight)
}

/// From a whole request to the proof that it is on disk.
async fn receive<'v>(visit: &'v Visit<'_>, room: &mut Permit<'_>) -> Result<Receipt, Refused<'v>> {
    let gate = visit.endpoint.gate.load_full();
    let verified = verify(visit, &gate.verifier, room).await?;
    append(visit, &gate.admission, room, &verified)
        .await
        .map_err(|rejection| Refused::verified(rejection, &verified))
}

/// Proves that MNS sent the request.
async fn verify<'v>(
    visit: &'v Visit<'_>,
    verifier: &Verifier,
    room: &mut Permit<'_>,
) -> Result<Verified<'v>, Rejection> {
    let endpoint = visit.endpoint;
    let signed = SignedRequest::of(&visit.request).map_err(Rejection::defect)?;
    let deadline = visit.deadline(BUDGET);
    let begun = Instant::now();
    let verdict = timeout_at(deadline, verifier.verify(&signed, visit.arrival.peer.ip())).await;
    endpoint.counts.verify.note(begun.elapsed());
    let verified = verdict.map_err(Rejection::late)??;
    room.prove();
    endpoint.counts.note_skew(verified.skew_seconds());
    endpoint.journal.confirm_time(signed.date());
    if let Some(change) = verified.key_change() {
        visit.log_key_change(change);
    }
    Ok(verified)
}

/// Puts on disk what is meant for us.
async fn append(
    visit: &Visit<'_>,
    admission: &Admission,
    room: &mut Permit<'_>,
    verified: &Verified<'_>,
) -> Result<Receipt, Rejection> {
    let endpoint = visit.endpoint;
    let notification = admission.admit(verified.notification()?, visit.arrival.peer.ip())?;
    let remarks = Remarks::of(&notification, verified.timeliness());
    let entry = visit.accepted(&notification, remarks);
    if !room.wait_for_disk() {
        return Err(Rejection::TooManyInFlight);
    }
    visit.arrival.connection.note_admitted();
    let begun = Instant::now();
    let appended = endpoint.journal.append(entry).await;
    endpoint.counts.commit.note(begun.elapsed());
    let receipt = appended?;
    if !receipt.is_duplicate() {
        visit
            .arrival
            .connection
            .note_accepted(visit.arrival.peer.ip());
    }
    remarks
        .reasons()
        .for_each(|reason| endpoint.counts.note(reason));
    endpoint
        .counts
        .note_accepted(&notification, endpoint.clock.now());
    Ok(receipt)
}

fn is_health_check(endpoint: &Endpoint, head: &request::Parts) -> bool {
    let is_read = head.method == Method::GET || head.method == Method::HEAD;
    is_read && endpoint.settings.health_path.as_deref() == Some(head.uri.path())
}

/// Reads the body. One that came with its head costs nothing more; while it is awaited, the head
/// decides for how long and at whose expense.
async fn read_body<'e>(
    visit: &Visit<'e>,
    body: Body,
    room: &mut Permit<'e>,
) -> Result<Bytes, Rejection> {
    let settings = &visit.endpoint.settings;
    let mut body = PartialBody {
        rest: Limited::new(body, settings.body_bytes_max),
        read: BytesMut::new(),
    };
    if let Some(whole) =
        poll_once(body.collect(room, |room| visit.is_signed() && room.sign())).await
    {
        return whole;
    }
    let after = |span: Duration| {
        let now = Instant::now();
        now.checked_add(span)
            .unwrap_or(now)
            .min(visit.deadline(BUDGET))
    };
    let (deadline, rejection) = match visit.judge_head() {
        HeadVerdict::Proved(awaited) => {
            if room.await_body(awaited) {
                visit.arrival.connection.note_proved_head();
            }
            (after(settings.body_timeout), Rejection::BodyTooSlow)
        }
        // Whichever limit it meets, it was the peer that was slow.
        HeadVerdict::Copied | HeadVerdict::Open => {
            (after(settings.body_timeout), Rejection::BodyTooSlow)
        }
        // With its body it can be quarantined, and `logs recover` can append it if the refusal was
        // a mistake.
        HeadVerdict::Refused(rejection) => (
            after(settings.body_timeout.min(REFUSED_PATIENCE)),
            rejection,
        ),
    };
    // The room for what comes whole is not for waiting.
    if room.is_of_a_push() {
        return Err(Rejection::TooManyInFlight);
    }
    timeout_at(deadline, body.collect(room, |_| false))
        .await
        .unwrap_or(Err(rejection))
}

/// A body of which some has come.
struct PartialBody {
    rest: Limited<Body>,
    read: BytesMut,
}

impl PartialBody {
    /// Reads the whole body. If the future is dropped, the bytes read so far are kept. Where there
    /// is no room, `find_more` may find another share for it.
    async fn collect<'e>(
        &mut self,
        room: &mut Permit<'e>,
        find_more: impl Fn(&mut Permit<'e>) -> bool,
    ) -> Result<Bytes, Rejection> {
        while let Some(frame) = self.rest.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => Rejection::BodyTooLarge,
                false => Rejection::BodyBroken,
            })?;
            // Trailers are no part of it.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let fits = room.add(data.len()) || (find_more(room) && room.add(data.len()));
            if !fits {
                return Err(Rejection::TooManyInFlight);
            }
            self.read.extend_from_slice(&data);
        }
        Ok(std::mem::take(&mut self.read).freeze())
    }
}

/// Polls a future once. Returns its output, or `None` if it is pending.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
