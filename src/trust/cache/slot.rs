//! What is held of one address: its certificate, and the one fetch that may be under way.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::trust::{FetchError, SigningCertificate};

/// What came of a fetch.
pub(super) type FetchResult = Result<Arc<SigningCertificate>, FetchError>;
/// A fetch that others wait for.
pub(super) type Fetch = watch::Receiver<Option<FetchResult>>;

/// One address.
#[derive(Default)]
pub(super) struct Slot {
    /// What signatures are checked under.
    pub(super) held: ArcSwapOption<SigningCertificate>,
    /// The last one that verified a push, or was on disk for having done so.
    pub(super) proven: ArcSwapOption<SigningCertificate>,
    /// It is MNS's own address: known before a push was verified under it, so strangers neither pay
    /// for it nor push it out.
    is_well_known: bool,
    /// A number that grows with each use that verified a push, of whatever address.
    pub(super) used_at: AtomicU64,
    /// Held while a copy of it is written to disk.
    keeping: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Its fetch, the task of which may be gone.
    pub(super) fetch: Option<Fetch>,
    /// Whether its next fetch was paid for when the slot was made.
    pub(super) is_paid: bool,
    pub(super) renewed_at: Option<Instant>,
    pub(super) failed: Option<(Instant, FetchError)>,
}

impl Slot {
    /// One whose first fetch is paid for.
    pub(super) fn paid() -> Self {
        Self {
            state: Mutex::new(State {
                is_paid: true,
                ..State::default()
            }),
            ..Self::default()
        }
    }

    /// That of MNS's own address.
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

    /// Held for a few lines, never over an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The fetch under way. One whose task is gone without a result is none.
    pub(super) fn fetch(&self) -> Option<&Fetch> {
        self.fetch
            .as_ref()
            .filter(|fetch| fetch.has_changed().is_ok() || fetch.borrow().is_some())
    }
}

/// Waits for a fetch.
pub(super) async fn wait_for(mut fetch: Fetch) -> FetchResult {
    match fetch.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        Ok(None) | Err(_) => Err(FetchError::Abandoned),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

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
