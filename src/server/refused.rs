//! What a refused request leaves: a record, an access line and a file in quarantine, each within
//! its bounds.

use std::borrow::Cow;
use std::path::Path;

use http::HeaderMap;

use crate::journal::{AccessLine, Entry, JournalError, Record, RecordRequest, Space, Stamp};
use crate::mns::{Notification, SignedRequest, header};
use crate::quarantine::{self, Location, Note, Provenance, Reserved};
use crate::report::Report;
use crate::server::Endpoint;
use crate::server::entry::shown;
use crate::server::push::{Push, Pushed, Unread};
use crate::server::rejection::Rejection;
use crate::trust::Verified;

/// Why a request got no 201, and what MNS signed, as far as that can be read.
pub(super) struct Refused<'v> {
    pub(super) rejection: Rejection,
    notification: Option<Notification<'v>>,
}

impl<'v> Refused<'v> {
    /// A refusal of a request that was verified.
    pub(super) fn verified(rejection: Rejection, verified: &Verified<'v>) -> Self {
        let notification = match rejection {
            Rejection::Invalid(_) => Some(verified.notification_as_raw()),
            _ => verified.notification().ok(),
        };
        // A body of which nothing can be read has no attributes.
        Self {
            rejection,
            notification: notification.filter(|known| !known.message_id.is_empty()),
        }
    }
}

impl From<Rejection> for Refused<'_> {
    fn from(rejection: Rejection) -> Self {
        Self {
            rejection,
            notification: None,
        }
    }
}

/// What the record and the access line of a refusal are written from.
struct RefusalDetails<'v> {
    rejection: &'v Rejection,
    notification: Option<&'v Notification<'v>>,
    /// Whose budgets it spends.
    provenance: Provenance,
    headers: &'v HeaderMap,
    stamp: &'v Stamp,
}

impl Pushed<'_> {
    /// The access line of a refusal and its record, each if the budgets of
    /// [`RefusedRate`](crate::server::RefusedRate) admit it; with a record the request is kept as
    /// well. `None` if neither is admitted, or if what space is left is for pushes only.
    pub(super) fn refusal(&self, refused: &Refused<'_>) -> Option<Entry> {
        let Self { push } = self;
        let Endpoint {
            refused: rate,
            journal,
            quarantine,
            ..
        } = push.endpoint;
        let rejection = &refused.rejection;
        let provenance = rejection.facts().provenance;
        let stamp = push.stamp();
        let headers = push.shown_headers();
        let refusal = RefusalDetails {
            rejection,
            notification: refused.notification.as_ref(),
            provenance,
            headers: &headers,
            stamp: &stamp,
        };
        let mut entry = Entry::default();
        let mut is_logged = rate.admits(provenance, journal.health().space() < Space::Enough);
        let location = self.reserve(rejection, is_logged);
        if is_logged {
            let file = location.as_ref().map(|location| quarantine.path(location));
            push.write_refusal(&refusal, file.as_deref(), &mut entry);
            is_logged = rate.admits_bytes(provenance, entry.endpoint.len());
            if !is_logged {
                entry.endpoint.clear();
            }
        }
        let is_kept = match location {
            Some(Location::New(reserved)) => self.keep(rejection, reserved, is_logged),
            Some(Location::Known(_)) | None => true,
        };
        if is_logged && !is_kept {
            // A record names no file that is not there.
            entry.endpoint.clear();
            push.write_refusal(&refusal, None, &mut entry);
        }
        push.with_access_line(&refusal, entry)
    }

    /// Where the request will be kept for `explain` and `logs recover`. One of MNS's is kept once,
    /// and whatever strangers send at the same time; others only if they are logged in full.
    fn reserve(&self, rejection: &Rejection, is_logged: bool) -> Option<Location> {
        let Endpoint {
            quarantine,
            journal,
            ..
        } = self.push.endpoint;
        if !quarantine.is_on() || journal.health().space() < Space::Enough {
            return None;
        }
        match rejection.facts().provenance {
            Provenance::Signed => {
                let signed = SignedRequest::of(&self.push.request).ok()?;
                Some(quarantine.reserve_signed(signed.signature()))
            }
            Provenance::Unsigned => is_logged.then(|| quarantine.reserve_unsigned()),
        }
    }

    /// Hands the request over to the quarantine; `false` if it is not kept.
    fn keep(&self, rejection: &Rejection, reserved: Reserved, is_logged: bool) -> bool {
        let Endpoint {
            quarantine,
            refused,
            clock,
            ..
        } = self.push.endpoint;
        let provenance = rejection.facts().provenance;
        if provenance == Provenance::Unsigned && !is_logged {
            return false;
        }
        let reason = rejection.reason().key().to_owned();
        let note = Note {
            came: clock.now(),
            peer: self.push.arrival.peer,
            reason,
        };
        let capture = quarantine::capture(&self.push.request, &note);
        if refused.admits_kept_bytes(provenance, capture.len()) {
            return quarantine.keep(reserved, capture);
        }
        quarantine.give_up(reserved);
        false
    }
}

impl Unread<'_> {
    /// The same for a request that did not come whole. Nothing is kept of it, and without the body
    /// nothing was verified, whatever the rejection may mean after it.
    pub(super) fn refusal(&self) -> Option<Entry> {
        let Self {
            push, rejection, ..
        } = self;
        let Endpoint {
            refused: rate,
            journal,
            ..
        } = push.endpoint;
        let stamp = push.stamp();
        let headers = push.shown_headers();
        let refusal = RefusalDetails {
            rejection,
            notification: None,
            provenance: Provenance::Unsigned,
            headers: &headers,
            stamp: &stamp,
        };
        let mut entry = Entry::default();
        if rate.admits(
            Provenance::Unsigned,
            journal.health().space() < Space::Enough,
        ) {
            push.write_refusal(&refusal, None, &mut entry);
            if !rate.admits_bytes(Provenance::Unsigned, entry.endpoint.len()) {
                entry.endpoint.clear();
            }
        }
        push.with_access_line(&refusal, entry)
    }
}

impl Push<'_> {
    fn shown_headers(&self) -> Cow<'_, HeaderMap> {
        let paths = &self.endpoint.settings.paths;
        paths.hide_in(self.request.headers())
    }

    /// Adds the access line of a refusal, if its budget admits it.
    fn with_access_line(&self, refusal: &RefusalDetails<'_>, mut entry: Entry) -> Option<Entry> {
        let rejection = refusal.rejection;
        let Endpoint {
            refused: rate,
            journal,
            quarantine,
            ..
        } = self.endpoint;
        if journal.health().space() == Space::Scarce {
            rate.leave_line_out();
            // The disk had no room for a push: the next one should find some, without the wait for
            // the next second.
            if matches!(rejection, Rejection::Journal(JournalError::Refused)) {
                quarantine.give_back();
            }
            return None;
        }
        let status = rejection.status();
        let line = AccessLine {
            reason: Some(rejection.reason().key()),
            message_id: refusal
                .notification
                .map(|notification| shown(&notification.message_id, status)),
            ..self.access_line(refusal.headers, refusal.stamp, status)
        };
        self.write_access(&line, &mut entry);
        if !rate.admits_line(refusal.provenance, entry.access.len()) {
            entry.access.clear();
        }
        (!entry.endpoint.is_empty() || !entry.access.is_empty()).then_some(entry)
    }

    fn write_refusal(&self, refusal: &RefusalDetails<'_>, file: Option<&Path>, entry: &mut Entry) {
        let settings = &self.endpoint.settings;
        let RefusalDetails {
            rejection,
            notification,
            headers,
            stamp,
            ..
        } = refusal;
        let reason = rejection.reason();
        let address = SignedRequest::claimed_certificate_address(&self.request).unwrap_or_default();
        let request_time = self.request_time();
        let our_time = httpdate::fmt_http_date(self.endpoint.clock.now());
        let peer = self.arrival.peer.to_string();
        let string_to_sign = self.string_to_sign(rejection);
        let hint = format!("{}; {}", Report(rejection), reason.hint());
        let mut attributes: Vec<(&str, &[u8])> = vec![
            ("Reason", reason.key().as_bytes()),
            ("CertificateAddress", &address),
            ("Date", self.date()),
        ];
        attributes.extend(
            request_time
                .as_ref()
                .map(|time| ("RequestTime", time.as_bytes())),
        );
        attributes.extend([("OurTime", our_time.as_bytes()), ("Peer", peer.as_bytes())]);
        let cut = |value: &'_ [u8]| value.len().min(settings.refused_body_bytes);
        if let Some(notification) = notification {
            // The body could not be read, and follows below as it is.
            let is_read = !matches!(rejection, Rejection::Invalid(_));
            let known = notification
                .attributes()
                .into_iter()
                .filter(|(name, _)| is_read || *name != "Message");
            attributes.extend(known.map(|(name, value)| match name {
                "Message" => (name, value.get(..cut(value)).unwrap_or(value)),
                _ => (name, value),
            }));
        }
        let string_to_sign = string_to_sign
            .as_deref()
            .map(|text| settings.paths.hide(text));
        attributes.extend(string_to_sign.as_deref().map(|text| ("StringToSign", text)));
        attributes.extend(file.map(|file| ("QuarantineFile", file.as_os_str().as_encoded_bytes())));
        attributes.push(("Hint", hint.as_bytes()));
        let body = self.request.body();
        let shown = body.get(..cut(body)).unwrap_or(body);
        let has_mns_headers = headers
            .keys()
            .any(|name| name.as_str().starts_with(header::MNS_PREFIX));
        let status = rejection.facts().status;
        let record = Record {
            stamp,
            level: status.level(has_mns_headers),
            place: status.place(),
            title: Some(status.title()),
            attributes: &attributes,
            request: Some(RecordRequest {
                headers,
                peer: None,
                body: Some(shown),
            }),
        };
        record.write(&mut entry.endpoint, settings.format);
    }

    fn string_to_sign(&self, rejection: &Rejection) -> Option<Vec<u8>> {
        let signed = SignedRequest::of(&self.request).ok();
        signed
            .filter(|_| rejection.facts().was_signature_checked)
            .map(|signed| signed.string_to_sign())
    }
}
