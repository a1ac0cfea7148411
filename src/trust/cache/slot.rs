//! A slot: what the cache knows of one address, its certificate and its fetches.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::trust::cache::fetch::FetchState;
use crate::trust::certificate::SigningCertificate;

/// The state of one address.
#[derive(Default)]
pub(super) struct Slot {
    /// The certificate that signatures are checked with. Read without a lock, because nearly every
    /// push only reads it.
    pub(super) cached: ArcSwapOption<SigningCertificate>,
    /// The last certificate that verified a push, or the one that was on disk.
    pub(super) proven: ArcSwapOption<SigningCertificate>,
    /// Whether this is MNS's own address. Such an address is known even before it has verified a
    /// push, so strangers neither pay for it nor evict it.
    is_well_known: bool,
    /// The number of the last use. A slot is used when it is created and when it verifies a push;
    /// the uses of all addresses are numbered together.
    pub(super) used_at: AtomicU64,
    /// Locked while a copy is written to disk.
    keeping: Mutex<()>,
    fetches: Mutex<FetchState>,
}

impl Slot {
    /// The slot of an address whose first fetch a peer has paid for.
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

    /// Whether the address is known: MNS's own, or one whose certificate has verified a push or was
    /// on disk. No stranger can have made up such an address.
    pub(super) fn is_known(&self) -> bool {
        self.is_well_known || self.proven.load().is_some()
    }

    /// Calls `write` with the newest proven certificate, one call after the other.
    ///
    /// Writes run in the background and may overtake each other. Each loads the certificate when
    /// its turn comes, so the last write never restores an older one.
    pub(super) fn keep(&self, write: impl FnOnce(&SigningCertificate)) {
        let _turn = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = self.proven.load_full() {
            write(&certificate);
        }
    }

    /// Locks the fetches. The guard must not be held across an await.
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
            // Long enough for the second write to finish first if it did not wait for its turn.
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
