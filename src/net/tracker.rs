//! A connection's handle to its activity and to the slots. It reports changes of the connection's
//! place.

use std::net::IpAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::net::activity::Activity;
use crate::net::slots::{Slot, Slots};

/// Shared by the stream of a connection and by its requests, which may outlive its slot.
#[derive(Debug, Clone)]
pub(super) struct Tracker {
    /// What the connection is doing.
    pub(super) activity: Arc<Activity>,
    slots: Arc<Slots>,
}

impl Tracker {
    pub(super) fn of(slot: &Slot) -> Self {
        Self {
            activity: slot.activity.clone(),
            slots: slot.slots.clone(),
        }
    }

    /// A handle that belongs to no connection.
    pub(super) fn detached() -> Self {
        Self {
            activity: Arc::new(Activity::new(0, CancellationToken::new())),
            // No connection is in these slots, so a report about one changes nothing.
            slots: Slots::new(1, 0, Arc::default()),
        }
    }

    /// Files the connection where it belongs while it waits for its peer. Takes no lock if its
    /// place has not changed, or has only moved further back.
    pub(super) fn wait(&self) {
        if !self.activity.is_filed_well() {
            self.slots.file(self.activity.number);
        }
    }

    /// MNS signed the head of the current request, and its body is still incomplete.
    pub(super) fn note_proved_head(&self) {
        self.activity.note_proved_head();
        self.wait();
    }

    /// The current request is a push of `peer` that is now on disk and was not there before.
    pub(super) fn note_accepted(&self, peer: IpAddr) {
        if self.activity.note_accepted() {
            self.slots.file(self.activity.number);
        }
        if self.activity.records_peer() {
            self.slots.note_verified_peer(peer);
        }
    }

    /// A trusted proxy named `peer` as the sender of the current request.
    pub(super) fn note_peer(&self, peer: IpAddr) {
        self.slots.note_peer(self.activity.number, peer);
    }
}
