//! What the cache knows of one address: its certificate, and its fetches.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::trust::cache::fetch::FetchState;
use crate::trust::certificate::SigningCertificate;

/// One address.
#[derive(Default)]
pub(super) struct Slot {
    /// What signatures are checked under. Read without a lock, since nearly every push only reads.
    pub(super) cached: ArcSwapOption<SigningCertificate>,
    /// The last one that verified a push, or was on disk for having done so.
    pub(super) proven: ArcSwapOption<SigningCertificate>,
    /// It is MNS's own address: known before a push was verified under it, so strangers neither pay
    /// for it nor push it out.
    is_well_known: bool,
    /// A number that grows with each use that verified a push, of whatever address.
    pub(super) used_at: AtomicU64,
    /// Locked while a copy of it is written to disk.
    keeping: Mutex<()>,
    fetches: Mutex<FetchState>,
}

impl Slot {
    /// The slot of an address that a peer has paid the first fetch of.
    pub(super) fn paid() -> Self {
        Self {
            fetches: Mutex::new(FetchState::Paid),
            ..Self::default()
        }
    }

    /// The slot of MNS's own address.
    pub(super) fn well_known() -> Self {
        Self {
            is_well_known: true,
            ..Self::default()
        }
    }

    /// Whether no stranger can have made its address up: it is MNS's own, or a push was verified
    /// under it.
    pub(super) fn is_known(&self) -> bool {
        self.is_well_known || self.proven.load().is_some()
    }

    /// Writes the newest proven certificate with `write`, one write after the other.
    ///
    /// Writes run in the background and may overtake each other. Each takes the newest certificate
    /// once it is its turn, so the last one never puts an older certificate in place.
    pub(super) fn keep(&self, write: impl FnOnce(&SigningCertificate)) {
        let _turn = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = self.proven.load_full() {
            write(&certificate);
        }
    }

    /// The fetches, locked for a few lines and never over an await.
    pub(super) fn fetches(&self) -> MutexGuard<'_, FetchState> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::trust::certificate::samples::{OLD, OTHER};

    #[test]
    fn writes_that_overtake_each_other_leave_the_newest_certificate() {
        let [old, new] = [OLD, OTHER].map(|pem| Arc::new(SigningCertificate::parse(pem).unwrap()));
        let slot = Slot::default();
        slot.proven.store(Some(old));
        let written = Mutex::new(Vec::new());
        let write = |certificate: &SigningCertificate| {
            written
                .lock()
                .unwrap()
                .push(certificate.fingerprint().to_owned())
        };
        let ((started, begun), (finish, may_end)) = (mpsc::channel(), mpsc::channel());
        std::thread::scope(|scope| {
            let (slot, write) = (&slot, &write);
            scope.spawn(move || {
                slot.keep(|certificate| {
                    started.send(()).unwrap();
                    may_end.recv().unwrap();
                    write(certificate);
                });
            });
            begun.recv().unwrap();
            slot.proven.store(Some(new.clone()));
            let second = scope.spawn(move || slot.keep(write));
            // Time enough for the second one, if it did not wait for its turn.
            (0..10_000)
                .take_while(|_| !second.is_finished())
                .for_each(|_| std::thread::yield_now());
            finish.send(()).unwrap();
        });
        assert_eq!(
            written.into_inner().unwrap().last(),
            Some(&new.fingerprint().to_owned())
        );
    }
}
