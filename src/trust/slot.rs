//! What is held of one address: its certificate, and the one fetch that may be under way.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::trust::{FetchError, SigningCertificate};

/// What came of a fetch.
pub(super) type Outcome = Result<Arc<SigningCertificate>, FetchError>;
/// A fetch that others wait for.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

/// One address.
#[derive(Default)]
pub(super) struct Slot {
    /// What signatures are checked under.
    pub(super) held: ArcSwapOption<SigningCertificate>,
    /// The last one that verified a push, or was on disk for having done so.
    pub(super) proven: ArcSwapOption<SigningCertificate>,
    /// It is MNS's own address: known before a push was verified under it, so strangers neither pay for it nor push it out.
    is_well_known: bool,
    /// A number that grows with each use that verified a push, of whatever address.
    pub(super) used_at: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Its fetch, the task of which may be gone.
    pub(super) flight: Option<Flight>,
    /// Whether its next fetch was paid for when the slot was made.
    pub(super) is_paid: bool,
    pub(super) renewed_at: Option<Instant>,
    pub(super) failed: Option<(Instant, FetchError)>,
}

impl Slot {
    /// One whose first fetch is paid for.
    pub(super) fn paid() -> Self {
        Self { state: Mutex::new(State { is_paid: true, ..State::default() }), ..Self::default() }
    }

    /// That of MNS's own address.
    pub(super) fn well_known() -> Self {
        Self { is_well_known: true, ..Self::default() }
    }

    /// Whether no stranger can have made its address up: it is MNS's own, or a push was verified under it.
    pub(super) fn is_known(&self) -> bool {
        self.is_well_known || self.proven.load().is_some()
    }

    /// Held for a few lines, never over an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The fetch under way. One whose task is gone without a result is none.
    pub(super) fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok() || flight.borrow().is_some())
    }
}

/// Waits for a fetch.
pub(super) async fn landing(mut flight: Flight) -> Outcome {
    match flight.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        Ok(None) | Err(_) => Err(FetchError::Abandoned),
    }
}
