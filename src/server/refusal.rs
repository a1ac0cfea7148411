//! Writes the text of a refusal: its record in the endpoint log, and its access line.

use std::borrow::Cow;
use std::path::Path;

use http::HeaderMap;

use crate::journal::{AccessLine, Entry, JournalError, Record, RecordRequest, Space, Stamp};
use crate::mns::{Notification, SignedRequest, header};
use crate::quarantine::Provenance;
use crate::report::Report;
use crate::server::Endpoint;
use crate::server::entry::{request_id, shown};
use crate::server::push::Push;
use crate::server::rejection::Rejection;

/// The data from which the record and the access line of a refusal are written.
pub(super) struct RefusalDetails<'v> {
    pub(super) rejection: &'v Rejection,
    pub(super) notification: Option<&'v Notification<'v>>,
    /// Whether MNS signed the request, which decides whose budgets the record and the line use.
    pub(super) provenance: Provenance,
    pub(super) headers: &'v HeaderMap,
    pub(super) stamp: &'v Stamp,
}

impl Push<'_> {
    pub(super) fn shown_headers(&self) -> Cow<'_, HeaderMap> {
        let paths = &self.endpoint.settings.paths;
        paths.hide_in(self.request.headers())
    }

    /// Adds the access line of a refusal, unless the budget for lines is used up. Returns `None` if
    /// the entry is then empty, or if space is scarce.
    pub(super) fn with_access_line(
        &self,
        refusal: &RefusalDetails<'_>,
        mut entry: Entry,
    ) -> Option<Entry> {
        let rejection = refusal.rejection;
        let Endpoint {
            refused: rate,
            journal,
            quarantine,
            ..
        } = self.endpoint;
        if journal.health().space() == Space::Scarce {
            rate.leave_line_out();
            // The disk had no room for a push. Free some now, so that the next push need not wait
            // for the task that does so once a second.
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
        // Check the budget after the line is written, because only then its length with all escapes
        // is known.
        if !rate.admits_line(refusal.provenance, entry.access.len()) {
            entry.access.clear();
        }
        (!entry.endpoint.is_empty() || !entry.access.is_empty()).then_some(entry)
    }

    pub(super) fn write_refusal(
        &self,
        refusal: &RefusalDetails<'_>,
        file: Option<&Path>,
        entry: &mut Entry,
    ) {
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
        let (target, request_id) = (self.target(), request_id(headers));
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
        attributes.extend([
            ("OurTime", our_time.as_bytes()),
            ("Peer", peer.as_bytes()),
            ("Target", shown(&target, rejection.status())),
        ]);
        attributes.extend(request_id.map(|id| ("RequestId", shown(id, rejection.status()))));
        let cut = |value: &'_ [u8]| value.len().min(settings.refused_body_bytes);
        if let Some(notification) = notification {
            // A body that could not be parsed is shown as it is, below.
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
        // A request with headers of MNS may be a push on a wrong path, which is worth a warning.
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
                origin: None,
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
