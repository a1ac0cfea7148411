//! The properties of a refusal besides its reason.

use crate::quarantine::Provenance;
use crate::server::status::RefusalStatus;

/// The properties of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The status of the answer.
    pub(super) status: RefusalStatus,
    /// Whether MNS signed the request. Known only if the whole request was read.
    pub(super) provenance: Provenance,
    /// Whether the signature was compared, so that showing the string to sign helps to find the
    /// cause.
    pub(super) was_signature_checked: bool,
    /// Whether the cause is missing room, in memory, on the disk or at a destination.
    pub(super) is_for_want_of_room: bool,
}

/// Facts of a refusal before the signature was compared.
pub(super) const fn unchecked(status: RefusalStatus) -> Facts {
    Facts {
        status,
        provenance: Provenance::Unsigned,
        was_signature_checked: false,
        is_for_want_of_room: false,
    }
}

/// Facts of a refusal after a signature that does not match.
pub(super) const fn unsigned(status: RefusalStatus) -> Facts {
    Facts {
        was_signature_checked: true,
        ..unchecked(status)
    }
}

/// Facts of a refusal after a signature that matches.
pub(super) const fn signed(status: RefusalStatus) -> Facts {
    Facts {
        provenance: Provenance::Signed,
        ..unsigned(status)
    }
}

/// Facts of a refusal that is possible before or after the signature check. If the whole request
/// was read, its signature matched. If the body was not read, the signature was not checked, so the
/// string to sign is left out.
pub(super) const fn signed_if_whole(status: RefusalStatus) -> Facts {
    Facts {
        was_signature_checked: false,
        ..signed(status)
    }
}

impl Facts {
    pub(super) const fn for_want_of_room(self) -> Self {
        Self {
            is_for_want_of_room: true,
            ..self
        }
    }

    /// Whether the request is answered 403 and nothing proves that MNS sent it.
    pub(super) fn is_of_a_stranger(&self) -> bool {
        self.status == RefusalStatus::Forbidden && self.provenance == Provenance::Unsigned
    }
}
