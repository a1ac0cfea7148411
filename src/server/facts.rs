//! What follows from a refusal, beside its reason.

use crate::quarantine::Provenance;
use crate::server::status::RefusalStatus;

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The answer.
    pub(super) status: RefusalStatus,
    /// What is known of the sender, if the request came whole.
    pub(super) provenance: Provenance,
    /// Whether the signature was compared, so that the string to sign helps to see why.
    pub(super) was_signature_checked: bool,
    /// Whether there was no room for it, here or in the journal.
    pub(super) is_for_want_of_room: bool,
}

/// The signature was not compared.
pub(super) const fn unchecked(status: RefusalStatus) -> Facts {
    Facts {
        status,
        provenance: Provenance::Unsigned,
        was_signature_checked: false,
        is_for_want_of_room: false,
    }
}

/// The signature was compared and does not match.
pub(super) const fn unsigned(status: RefusalStatus) -> Facts {
    Facts {
        was_signature_checked: true,
        ..unchecked(status)
    }
}

/// The signature was compared and matches.
pub(super) const fn signed(status: RefusalStatus) -> Facts {
    Facts {
        provenance: Provenance::Signed,
        ..unsigned(status)
    }
}

/// A whole request gets this refusal only after its signature matched. Others get it before their
/// body was read, so the string to sign is left out.
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

    /// Whether it is answered 403 and nothing proves that MNS sent it.
    pub(super) fn is_of_a_stranger(&self) -> bool {
        self.status == RefusalStatus::Forbidden && self.provenance == Provenance::Unsigned
    }
}
