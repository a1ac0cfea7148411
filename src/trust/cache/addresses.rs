//! The addresses in use, in two halves that never evict each other: newcomers, and known addresses,
//! which are MNS's own and those that have verified a push.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::mns::SigningCertUrl;
use crate::trust::cache::slot::Slot;
use crate::trust::certificate::SigningCertificate;

/// The maximum number of addresses in each half. MNS has one for each region and rotation.
pub(super) const ADDRESSES_MAX: usize = 256;

type Slots = HashMap<Arc<SigningCertUrl>, Arc<Slot>>;

/// The slots by address.
#[derive(Default)]
pub(super) struct Addresses {
    slots: ArcSwap<Slots>,
    /// Locked to add or remove a slot, never to read one.
    growing: Mutex<()>,
    uses: AtomicU64,
}

impl Addresses {
    pub(super) fn get(&self, url: &SigningCertUrl) -> Option<Arc<Slot>> {
        self.slots.load().get(url).cloned()
    }

    /// The slot (the state) of an address. A new slot is created only if the address is MNS's own
    /// or if `pay` takes its first fetch from a budget. If there are then too many slots of that
    /// half, the one that has been unused the longest is evicted.
    pub(super) fn get_or_pay(
        &self,
        url: &SigningCertUrl,
        pay: impl FnOnce() -> bool,
    ) -> Option<Arc<Slot>> {
        self.get(url).or_else(|| {
            self.grow(url, |slots| match slots.get(url) {
                // Another request has added the slot meanwhile.
                Some(slot) => Some(slot.clone()),
                None if url.is_well_known() => Some(Arc::new(Slot::well_known())),
                None if pay() => Some(Arc::new(Slot::paid())),
                None => None,
            })
        })
    }

    /// Counts a use that verified a push, if the address was last verified with the same
    /// certificate. Otherwise counts nothing and returns `false`. Takes no lock.
    pub(super) fn note_use(
        &self,
        url: &SigningCertUrl,
        certificate: &Arc<SigningCertificate>,
    ) -> bool {
        let slots = self.slots.load();
        let Some(slot) = slots.get(url) else {
            return false;
        };
        let is_proven = slot
            .proven
            .load()
            .as_ref()
            .is_some_and(|proven| Arc::ptr_eq(proven, certificate));
        if is_proven {
            self.use_now(slot);
        }
        is_proven
    }

    /// Makes an address known, because its certificate has verified a push in this run or is on
    /// disk: an earlier run saved it, or an operator put it there. If there are more than
    /// [`ADDRESSES_MAX`] known addresses then, evicts the one that has been unused the longest.
    /// Returns the certificate that was proven before.
    pub(super) fn mark_proven(
        &self,
        url: &SigningCertUrl,
        certificate: &Arc<SigningCertificate>,
    ) -> Option<Arc<SigningCertificate>> {
        let mut before = None;
        self.grow(url, |slots| {
            let slot = slots.get(url).cloned().unwrap_or_default();
            before = slot.proven.swap(Some(certificate.clone()));
            // After a renewal the cached certificate is newer than the proven one, so it stays.
            if slot.cached.load().is_none() {
                slot.cached.store(Some(certificate.clone()));
            }
            Some(slot)
        });
        before
    }

    /// The number of addresses with a certificate, and of those without.
    pub(super) fn counts(&self) -> (usize, usize) {
        let slots = self.slots.load();
        let cached = slots
            .values()
            .filter(|slot| slot.cached.load().is_some())
            .count();
        (cached, slots.len().saturating_sub(cached))
    }

    fn grow(
        &self,
        url: &SigningCertUrl,
        slot: impl FnOnce(&Slots) -> Option<Arc<Slot>>,
    ) -> Option<Arc<Slot>> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        // Load the map under the lock: otherwise the second of two concurrent additions would undo
        // the first.
        let before = self.slots.load_full();
        // The map is copied only if there is a slot to add. A flood of addresses that nobody pays
        // for must not occupy the lock for the time of a copy.
        let slot = slot(&before)?;
        let mut slots = Slots::clone(&before);
        // Count a use before room is made: an unused slot would be the oldest and evicted at once.
        self.use_now(&slot);
        slots.insert(Arc::new(url.clone()), slot.clone());
        make_room(&mut slots, slot.is_known());
        self.slots.store(Arc::new(slots));
        Some(slot)
    }

    /// Numbers each use instead of timing it: a number gives the order without reading the clock.
    fn use_now(&self, slot: &Slot) {
        // Relaxed: each number is unique, and an eviction that sees an older one is harmless.
        let number = self.uses.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        slot.used_at.store(number, Ordering::Relaxed);
    }
}

/// Evicts the address that has been unused the longest, if its half is over the limit.
fn make_room(slots: &mut Slots, is_known: bool) {
    let half = || slots.iter().filter(|(_, slot)| slot.is_known() == is_known);
    if half().count() > ADDRESSES_MAX {
        // A search through all is cheap enough: it happens only when an address is added.
        let oldest = half().min_by_key(|(_, slot)| slot.used_at.load(Ordering::Relaxed));
        if let Some(oldest) = oldest.map(|(url, _)| url.clone()) {
            slots.remove(&oldest);
        }
    }
}
