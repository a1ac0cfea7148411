//! Builds what a request leaves in the logs: the parts that both kinds of entry share, and the
//! entry of an accepted request.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use crate::journal::{
    AcceptedRows, AccessLine, Entry, Level, LoggedNotification, MessageLine, Place, Record,
    RecordOrigin, RecordRequest, RecordTime, SUCCEED, Space, Stamp,
};
use crate::mns::{self, Notification, header};
use crate::server::RequestDetail;
use crate::server::push::Push;
use crate::server::remarks::Remarks;
use crate::trust::KeyChange;

const STATUS_CREATED: u16 = 201;
/// The maximum length of a field in the access line of a refusal, in bytes.
const REFUSED_FIELD_BYTES: usize = 512;
/// The length of an escaped byte, `\xhh`.
const ESCAPED_BYTES: usize = 4;
/// An estimate of what a record has besides the bytes of the request (names, times, separators), in
/// bytes.
const HEAD_ROOM: usize = 1024;
/// An estimate of the length of an access line, in bytes.
const ACCESS_ROOM: usize = 384;
/// The maximum number of attributes added to those of the notification.
const REMARKS_MAX: usize = 3;
const KEY_HINT: &str = "MNS renews its keys now and then. If this is not such a renewal, somebody \
    who controls the certificate's address or a TLS root can now sign pushes: see \
    docs/design/trust.md";

impl Push<'_> {
    /// Builds the entry of an accepted request: the request, its outcome and its access line. The
    /// journal commits it before the 201 is sent.
    pub(super) fn accepted(&self, notification: &Notification<'_>, remarks: Remarks) -> Entry {
        let settings = &self.endpoint.settings;
        // One stamp for the records and the access line: `logs verify` compares both logs by
        // minutes.
        let stamp = self.stamp();
        // A proxy may repeat the path in a header, such as X-Original-URI.
        let headers = settings.paths.hide_in(self.request.headers());
        let mut entry = self.room_for_an_entry();
        if settings.request_detail != RequestDetail::Off {
            let peer = self.arrival.peer.to_string();
            let body = (settings.request_detail == RequestDetail::Full)
                .then_some(self.request.body().as_ref());
            let target = self.target();
            let origin = RecordOrigin {
                peer: &peer,
                target: &target,
                request_id: request_id(&headers),
            };
            let request = RecordRequest {
                headers: &headers,
                origin: Some(origin),
                body,
            };
            let record = Record {
                stamp: &stamp,
                level: Level::Info,
                place: Place::Request,
                title: None,
                attributes: &[],
                request: Some(request),
            };
            record.write(&mut entry.endpoint, settings.format);
        }
        let mut attributes = Vec::with_capacity(mns::ATTRIBUTES.len().saturating_add(REMARKS_MAX));
        attributes.extend(notification.attributes());
        let reason = remarks.text();
        attributes.extend(reason.as_ref().map(|keys| ("Reason", keys.as_bytes())));
        let request_time = remarks.is_late().then(|| self.request_time()).flatten();
        attributes.extend(remarks.is_late().then(|| ("Date", self.date())));
        attributes.extend(
            request_time
                .as_ref()
                .map(|time| ("RequestTime", time.as_bytes())),
        );
        let outcome = Record {
            stamp: &stamp,
            level: remarks.level(),
            place: Place::Succeed,
            title: Some(SUCCEED),
            attributes: &attributes,
            request: None,
        };
        let head = outcome.write(&mut entry.endpoint, settings.format);
        if settings.prints_messages {
            let (stamp, attributes) = (&stamp, attributes.as_slice());
            MessageLine { stamp, attributes }.write(&mut entry.message);
        }
        entry.identity = self
            .endpoint
            .journal
            .identify(notification.identity(), head);
        if let Some(logged) = self.logged(&attributes, &headers, &stamp) {
            entry.accepted = AcceptedRows::one(entry.endpoint.len(), logged);
        }
        let line = AccessLine {
            reason: reason.as_deref(),
            message_id: Some(&notification.message_id),
            ..self.access_line(&headers, &stamp, STATUS_CREATED)
        };
        self.write_access(&line, &mut entry);
        entry
    }

    /// The notification as a reader of the log gets it, if there are followers in this process.
    fn logged(
        &self,
        attributes: &[(&str, &[u8])],
        headers: &HeaderMap,
        stamp: &Stamp,
    ) -> Option<LoggedNotification> {
        if !self.endpoint.journal.has_followers() {
            return None;
        }
        let settings = &self.endpoint.settings;
        let is_logged = settings.request_detail != RequestDetail::Off;
        let request_id = request_id(headers).filter(|_| is_logged);
        let time = RecordTime::of(stamp, settings.format);
        LoggedNotification::copied(attributes, request_id, time)
    }

    /// Creates an entry with about the memory that an accepted request needs, so that it is
    /// allocated once instead of growing.
    fn room_for_an_entry(&self) -> Entry {
        let headers = self
            .request
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len().saturating_add(value.len()));
        let head = headers.fold(HEAD_ROOM, usize::saturating_add);
        Entry {
            // Twice the body: the record of the request has it, and the outcome has it again as
            // Message.
            endpoint: Vec::with_capacity(
                head.saturating_add(self.request.body().len().saturating_mul(2)),
            ),
            access: Vec::with_capacity(ACCESS_ROOM),
            ..Entry::default()
        }
    }

    /// The signed date, as received.
    pub(super) fn date(&self) -> &[u8] {
        let headers = self.request.headers();
        let date = headers
            .get(header::MNS_DATE)
            .or_else(|| headers.get(header::DATE));
        date.map(|date| date.as_bytes()).unwrap_or_default()
    }

    /// The method and target as MNS sent them, with a secret path hidden.
    pub(super) fn target(&self) -> Vec<u8> {
        let method = self.request.method().as_str().as_bytes();
        let target = written(self.request.uri());
        let target = self.endpoint.settings.paths.hide(target.as_bytes());
        [method, b" ", &target].concat()
    }

    /// The time encoded in the request's id, formatted as an HTTP date.
    pub(super) fn request_time(&self) -> Option<String> {
        mns::request_time(request_id(self.request.headers())?).map(httpdate::fmt_http_date)
    }

    /// Logs an unexpected signing key, unless space is scarce and reserved for pushes.
    pub(super) fn log_key_change(&self, change: &KeyChange) {
        if self.endpoint.journal.health().space() == Space::Scarce {
            return;
        }
        let (peer, key_bits) = (self.arrival.peer.to_string(), change.key_bits.to_string());
        let record = Record {
            stamp: &self.stamp(),
            level: Level::Warning,
            place: Place::KeyChanged,
            title: Some("Signing Key Changed!"),
            attributes: &[
                ("CertificateAddress", change.address.as_bytes()),
                ("KeyBits", key_bits.as_bytes()),
                ("OldKey", change.old_key.as_bytes()),
                ("NewKey", change.new_key.as_bytes()),
                ("Peer", peer.as_bytes()),
                ("Hint", KEY_HINT.as_bytes()),
            ],
            request: None,
        };
        let mut entry = Entry::default();
        record.write(&mut entry.endpoint, self.endpoint.settings.format);
        self.endpoint.journal.offer(entry);
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.endpoint.stamps.at(self.endpoint.clock.now())
    }

    pub(super) fn write_access(&self, line: &AccessLine<'_>, entry: &mut Entry) {
        let settings = &self.endpoint.settings;
        let target = written(self.request.uri());
        let target = settings.paths.hide(target.as_bytes());
        let method = shown(self.request.method().as_str().as_bytes(), line.status);
        let line = AccessLine {
            method,
            target: shown(&target, line.status),
            ..line.clone()
        };
        line.write(&mut entry.access, settings.format, &settings.access_fields);
    }

    pub(super) fn access_line<'a>(
        &'a self,
        headers: &'a HeaderMap,
        stamp: &'a Stamp,
        status: u16,
    ) -> AccessLine<'a> {
        let value = |name: HeaderName| {
            headers
                .get(name)
                .map(|value| shown(value.as_bytes(), status))
        };
        AccessLine {
            stamp,
            method: self.request.method().as_str().as_bytes(),
            status,
            target: b"",
            version: version(self.request.version()),
            content_length: value(CONTENT_LENGTH),
            host: value(HOST),
            user_agent: value(USER_AGENT),
            request_id: value(header::REQUEST_ID),
            mns_version: value(header::VERSION),
            peer: Some(self.arrival.peer),
            duration: Some(self.arrival.first_byte.elapsed()),
            reason: None,
            message_id: None,
        }
    }
}

/// Returns a field as the access log shows it: whole if the request was accepted, otherwise cut to
/// [`REFUSED_FIELD_BYTES`].
pub(super) fn shown(field: &[u8], status: u16) -> &[u8] {
    if status == STATUS_CREATED {
        return field;
    }
    let taken = field.iter().scan(0_usize, |sum, byte| {
        *sum = sum.saturating_add(escaped_room(*byte));
        Some(*sum)
    });
    let fitting = taken.take_while(|sum| *sum <= REFUSED_FIELD_BYTES).count();
    field.get(..fitting).unwrap_or(field)
}

/// Whether a field in the record of a refusal is certainly whole. A field that was cut has less
/// room left than one escaped byte takes.
#[must_use]
pub fn is_refused_field_whole(field: &[u8]) -> bool {
    let taken = field
        .iter()
        .fold(0_usize, |sum, byte| sum.saturating_add(escaped_room(*byte)));
    taken.saturating_add(ESCAPED_BYTES) <= REFUSED_FIELD_BYTES
}

/// The room that a byte takes in a record, in bytes. A byte that may need an escape counts as
/// escaped.
fn escaped_room(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' => ESCAPED_BYTES,
        b' '..=b'~' => 1,
        _ => ESCAPED_BYTES,
    }
}

/// The id that MNS gave to the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::REQUEST_ID).map(HeaderValue::as_bytes)
}

/// The target as the request line had it.
pub(super) fn written(uri: &Uri) -> Cow<'_, str> {
    match (uri.authority(), uri.path_and_query()) {
        (None, Some(target)) => Cow::Borrowed(target.as_str()),
        // Only the absolute form of a target (RFC 9112 3.2.2) has an authority.
        (Some(_), _) | (None, None) => Cow::Owned(uri.to_string()),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        // This server speaks only HTTP/1.0 and 1.1.
        _ => "HTTP/?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_was_cut_is_never_taken_for_a_whole_one() {
        let room = REFUSED_FIELD_BYTES.saturating_sub(ESCAPED_BYTES);
        for (byte, each) in [(b'x', 1), (b'"', 4), (b'\\', 4), (b'\xff', 4)] {
            for plain in 0..ESCAPED_BYTES {
                for escaped in 0..=REFUSED_FIELD_BYTES {
                    let field = [&b"xxxx"[..plain], &vec![byte; escaped]].concat();
                    let cut = shown(&field, 403);
                    let taken = plain + escaped * each;
                    assert_eq!(cut == field, taken <= REFUSED_FIELD_BYTES, "{field:?}");
                    assert!(!is_refused_field_whole(cut) || cut == field, "{field:?}");
                    assert_eq!(is_refused_field_whole(&field), taken <= room, "{field:?}");
                }
            }
        }
    }
}
