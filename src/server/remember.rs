//! Stores an answered request for the inspector.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use crate::journal::Outcome;
use crate::mns::{Notification, header};
use crate::server::entry::written;
use crate::server::push::Push;
use crate::server::reason::Reason;
use crate::server::rejection::Rejection;
use crate::server::remarks::Remarks;
use crate::server::summary::{Said, Summary};

/// The largest body that is kept, in bytes: twice the length of a JSON body that carries the
/// largest message as plain text. A larger one is only in the log.
const BODY_BYTES_MAX: usize = 128 * 1024;
/// How many bytes of a message a list shows.
const PREVIEW_BYTES: usize = 240;
const STATUS_CREATED: u16 = 201;
const STATUS_UNAVAILABLE: u16 = 503;

impl Push<'_> {
    /// Stores an accepted request.
    pub(super) fn remember_accepted(
        &self,
        notification: &Notification<'_>,
        is_duplicate: bool,
        remarks: Remarks,
    ) {
        let reason = remarks.reasons().next();
        let outcome = match reason {
            // A duplicate is shown as a duplicate even if it has remarks.
            _ if is_duplicate => Outcome::Duplicate,
            Some(_) => Outcome::Remark,
            None => Outcome::Accepted,
        };
        self.remember(outcome, (STATUS_CREATED, reason), true, Some(notification));
    }

    /// Stores a refused request. `is_signed` means that the request was read whole and that MNS
    /// signed it.
    pub(super) fn remember_refused(
        &self,
        rejection: &Rejection,
        is_signed: bool,
        notification: Option<&Notification<'_>>,
    ) {
        let headers = self.request.headers();
        let has_mns_headers = || {
            headers
                .keys()
                .any(|name| name.as_str().starts_with(header::MNS_PREFIX))
        };
        let outcome = match rejection {
            // Scanners and browsers send such requests. These requests have a queue of their own,
            // so that they evict no push.
            Rejection::PathNotServed | Rejection::MethodNotAllowed if !has_mns_headers() => {
                Outcome::Other
            }
            _ if rejection.status() == STATUS_UNAVAILABLE => Outcome::Deferred,
            _ => Outcome::Refused,
        };
        let answer = (rejection.status(), Some(rejection.reason()));
        self.remember(outcome, answer, is_signed, notification);
    }

    fn remember(
        &self,
        outcome: Outcome,
        (status, reason): (u16, Option<Reason>),
        is_signed: bool,
        notification: Option<&Notification<'_>>,
    ) {
        let took = self.arrival.first_byte.elapsed();
        let now = self.endpoint.clock.now();
        let (request, body_at) = self.raw();
        self.endpoint.recent.push(Summary {
            // The arrival has only a monotonic instant, so compute the time of day of the first
            // byte.
            came: now.checked_sub(took).unwrap_or(now),
            outcome,
            status,
            reason,
            is_signed,
            took,
            peer: self.arrival.peer,
            body_bytes: self.request.body().len(),
            said: notification.map(said),
            request,
            body_at,
        });
    }

    /// Returns the request as the inspector shows it: always as HTTP/1.1, with the path prefix that
    /// a proxy removed, and with header names in lower case. Content-Length, Transfer-Encoding and
    /// a body larger than [`BODY_BYTES_MAX`] are left out. Also returns the offset of the body.
    fn raw(&self) -> (Box<[u8]>, usize) {
        let request = &self.request;
        let headers = request.headers();
        let target = written(request.uri());
        let method = request.method().as_str();
        let body = Some(request.body().as_ref()).filter(|body| body.len() <= BODY_BYTES_MAX);
        let body = body.unwrap_or_default();
        // 32 bytes for method, spaces and version; 4 more in each header for `: ` and CRLF.
        let room = headers.iter().fold(32_usize, |room, (name, value)| {
            room.saturating_add(name.as_str().len())
                .saturating_add(value.len())
                .saturating_add(4)
        });
        let room = room.saturating_add(target.len()).saturating_add(body.len());
        let mut raw = Vec::with_capacity(room);
        for part in [method, " ", &target, " HTTP/1.1\r\n"] {
            raw.extend_from_slice(part.as_bytes());
        }
        for (name, value) in headers {
            // Whoever sends the request again adds both headers itself.
            if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
                raw.extend_from_slice(name.as_str().as_bytes());
                raw.extend_from_slice(b": ");
                raw.extend_from_slice(value.as_bytes());
                raw.extend_from_slice(b"\r\n");
            }
        }
        raw.extend_from_slice(b"\r\n");
        let body_at = raw.len();
        raw.extend_from_slice(body);
        (raw.into_boxed_slice(), body_at)
    }
}

fn said(notification: &Notification<'_>) -> Said {
    let message: &[u8] = &notification.message;
    let preview = message
        .get(..message.len().min(PREVIEW_BYTES))
        .unwrap_or_default();
    let parts: [&[u8]; 5] = [
        &notification.topic_name,
        &notification.subscription_name,
        &notification.message_tag,
        &notification.message_id,
        preview,
    ];
    let room = parts
        .iter()
        .fold(0_usize, |room, part| room.saturating_add(part.len()));
    let mut text = Vec::with_capacity(room);
    let ends = parts.map(|part| {
        text.extend_from_slice(part);
        u32::try_from(text.len()).unwrap_or_default()
    });
    Said {
        text: text.into_boxed_slice(),
        ends,
        message_bytes: message.len(),
    }
}
