//! Builds what a refused request leaves: a record, an access line, and a file in the quarantine,
//! the directory of refused requests. Each is limited by its budget.

use crate::journal::{Entry, Space};
use crate::mns::{Notification, SignedRequest};
use crate::quarantine::{self, Location, Note, Provenance, Reserved};
use crate::server::Endpoint;
use crate::server::push::{Pushed, Unread};
use crate::server::refusal::RefusalDetails;
use crate::server::rejection::Rejection;
use crate::trust::{NotAdmitted, Verified};

/// Why a request is refused, and the signed notification as far as it could be parsed.
pub(super) struct Refused<'v> {
    pub(super) rejection: Rejection,
    pub(super) notification: Option<Notification<'v>>,
}

impl<'v> Refused<'v> {
    /// The refusal of a verified request.
    pub(super) fn verified(rejection: Rejection, verified: &Verified<'v>) -> Self {
        let notification = match rejection {
            Rejection::Invalid(_) => Some(verified.notification_as_raw()),
            _ => verified.notification().ok(),
        };
        // A body that could not be parsed has no attributes.
        Self {
            rejection,
            notification: notification.filter(|known| !known.message_id.is_empty()),
        }
    }
}

impl<'v> Refused<'v> {
    /// The signed notification, as far as it could be parsed.
    pub(super) fn notification(&self) -> Option<&Notification<'v>> {
        self.notification.as_ref()
    }

    /// The notification, if MNS will push its subscription less often from now on. `None` if its
    /// owner is not accepted: the counts know a subscription by its name and its topic's name, and
    /// one of ours may have the same names.
    pub(super) fn backs_off(&self) -> Option<&Notification<'v>> {
        let is_of_another = matches!(
            self.rejection,
            Rejection::NotAdmitted(NotAdmitted::Owner(_))
        );
        self.notification.as_ref().filter(|_| !is_of_another)
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

impl Pushed<'_> {
    /// Builds the record and the access line of a refusal, each if
    /// [`RefusedRate`](crate::server::RefusedRate) admits it, and quarantines the request if it is
    /// signed or its record is logged. Returns `None` if neither record nor line is admitted, or if
    /// space is scarce and reserved for pushes.
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
        // Reserve the file before the record is written, because the record names it.
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
            // Write the record again without the file: it must not name a file that does not exist.
            entry.endpoint.clear();
            push.write_refusal(&refusal, None, &mut entry);
        }
        push.with_access_line(&refusal, entry)
    }

    /// Reserves a file for the request, for `explain` and `logs recover` to read. A signed request
    /// is stored once, even if it is not logged in full. Other requests are stored only if they are
    /// logged in full.
    fn reserve(&self, rejection: &Rejection, is_logged: bool) -> Option<Location> {
        let Endpoint {
            quarantine,
            journal,
            ..
        } = self.push.endpoint;
        // A notification that is on disk needs no second copy, and `logs recover` has nothing to
        // append.
        if !quarantine.is_on() || rejection.is_on_disk() || journal.health().space() < Space::Enough
        {
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

    /// Hands the request over to the quarantine. Returns `false` if it is not stored.
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
        // Give the file up: otherwise a retry of the request would be taken for one that is stored.
        quarantine.give_up(reserved);
        false
    }
}

impl Unread<'_> {
    /// Builds the record and the access line of a refused request that was not read whole. The
    /// request is not quarantined, and nothing in it is verified: the signature covers the body.
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
