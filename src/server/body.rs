//! Reads the body, and decides whether there is room for it, how long it may take, and whose share
//! of the room for bodies it uses.

use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::{Instant, timeout, timeout_at};

use crate::server::in_flight::Permit;
use crate::server::push::{Head, HeadVerdict, Push, Pushed, Unread};
use crate::server::rejection::Rejection;
use crate::server::{BUDGET, Endpoint};

/// How long to wait for the body of a push that we have no room for. If the whole body arrives, the
/// connection is kept: a new connection for each push would cost more than all other work for the
/// push.
const UNWANTED_TIMEOUT: Duration = Duration::from_millis(100);
/// How many bytes of a body are read at most if we have no room for it: more than the largest push
/// of MNS has.
const UNWANTED_BYTES_MAX: usize = 128 * 1024;
/// How long to wait for the body of a request whose head is already refused.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

impl<'e> Head<'e> {
    /// Checks the head, takes a permit, which is room for the body, and reads the body.
    pub(super) async fn read(self) -> Result<(Pushed<'e>, Permit<'e>), Unread<'e>> {
        let Self { mut push, body } = self;
        let mut room = match push.make_room() {
            Ok(room) => room,
            Err(rejection) => {
                let body = rejection.facts().is_for_want_of_room.then_some(body);
                return Err(Unread {
                    push,
                    rejection,
                    body,
                });
            }
        };
        match push.read_body(body, &mut room).await {
            Ok(body) => {
                *push.request.body_mut() = body;
                // End the wait before the signature is checked, so that a retry of the same push is
                // not taken for a copy.
                room.body_has_come();
                push.arrival.connection.note_whole();
                Ok((Pushed { push }, room))
            }
            Err(rejection) => Err(Unread {
                push,
                rejection,
                body: None,
            }),
        }
    }
}

impl Unread<'_> {
    /// Reads and drops a body that there is no room for, so that the connection can carry the next
    /// push. Returns `false` unless the whole body arrives within [`UNWANTED_TIMEOUT`].
    pub(super) async fn drain(&mut self) -> bool {
        let Some(body) = self.body.take() else {
            return false;
        };
        // `lower()` is the announced length, or 0 for a chunked body. `Limited`, a few lines
        // further down, limits a chunked body.
        let is_much =
            usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes > UNWANTED_BYTES_MAX);
        // With `Expect: 100-continue` the client has not sent the body, so there is nothing to
        // drain.
        if is_much || self.push.request.headers().contains_key(EXPECT) {
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
        timeout(UNWANTED_TIMEOUT, whole).await.unwrap_or(false)
    }
}

impl<'e> Push<'e> {
    /// Checks what is known before the body is read: the head, and whether there is room.
    fn make_room(&self) -> Result<Permit<'e>, Rejection> {
        let Endpoint {
            settings,
            journal,
            in_flight,
            handover,
            ..
        } = self.endpoint;
        // Check the head first: a wrong head is refused for the same reason however much room there
        // is.
        settings.check_head(&self.request)?;
        // Check the journal and the destinations before the body is read as well: a push that
        // cannot be stored or forwarded need not be read.
        journal.check_room()?;
        handover.check()?;
        if let Some(permit) = in_flight.check() {
            return Ok(permit);
        }
        if in_flight.is_full() {
            return Err(Rejection::TooManyInFlight);
        }
        // The strangers' share or the room for all bytes is used up. A signed push whose body
        // arrives with its head may use the room that strangers cannot.
        let permit = if self.is_signed() {
            in_flight.check_signed()
        } else {
            None
        };
        permit.ok_or(Rejection::TooManyInFlight)
    }

    /// Reads the body. A body that arrives together with its head is read at once. If we have to
    /// wait for the body, the head decides for how long and whose share the body uses.
    async fn read_body(&self, body: Body, room: &mut Permit<'e>) -> Result<Bytes, Rejection> {
        let settings = &self.endpoint.settings;
        let mut body = PartialBody {
            rest: Limited::new(body, settings.body_bytes_max),
            read: BytesMut::new(),
        };
        if let Some(whole) =
            poll_once(body.collect(room, |room| self.is_signed() && room.sign())).await
        {
            return whole;
        }
        let after = |span: Duration| {
            let now = Instant::now();
            now.checked_add(span)
                .unwrap_or(now)
                .min(self.deadline(BUDGET))
        };
        let (deadline, rejection) = match self.judge_head() {
            HeadVerdict::Proved(awaited) => {
                if room.await_body(awaited) {
                    self.arrival.connection.note_proved_head();
                }
                (after(settings.body_timeout), Rejection::BodyTooSlow)
            }
            // The deadline is that of `body_timeout` or that of the budget. A peer that misses
            // either is too slow.
            HeadVerdict::Copied | HeadVerdict::Open => {
                (after(settings.body_timeout), Rejection::BodyTooSlow)
            }
            // Read the body all the same: with its body the request can be quarantined, and `logs
            // recover` can append it if the refusal was a mistake.
            HeadVerdict::Refused(rejection) => {
                (after(settings.body_timeout.min(REFUSED_TIMEOUT)), rejection)
            }
        };
        // A permit in the share of pushes uses room that is reserved for bodies that arrive with
        // their heads, so its request must not wait for the rest of a body.
        if room.is_of_a_push() {
            return Err(Rejection::TooManyInFlight);
        }
        timeout_at(deadline, body.collect(room, |_| false))
            .await
            .unwrap_or(Err(rejection))
    }
}

/// A body that is partly read.
struct PartialBody {
    rest: Limited<Body>,
    read: BytesMut,
}

impl PartialBody {
    /// Reads the whole body. If the future is dropped, the bytes read so far stay in `self`. If the
    /// permit's share is full, calls `find_more`, which may move the permit to another share.
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
            // The content of a request does not include its trailers.
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
