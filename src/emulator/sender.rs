//! The state that all attempts share: keys, chaos and its counts, TLS and the time warp.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::emulator::chaos::{Chaos, ChaosCounts, ChaosError};
use crate::emulator::keyring::Keyring;
use crate::emulator::recent::Recent;
use crate::mns::Notation;

/// The state that all attempts share.
pub(super) struct Sender {
    pub(super) keyring: Keyring,
    pub(super) clock: Arc<dyn Clock>,
    /// The notation of Content-MD5. `None`: that of MNS for the format.
    pub(super) content_md5: Option<Notation>,
    /// The faults to inject from the next attempt on.
    pub(super) chaos: Mutex<Chaos>,
    pub(super) chaos_counts: ChaosCounts,
    pub(super) forgeries: Forgeries,
    /// The last attempts.
    pub(super) recent: Recent,
    pub(super) tls: Arc<rustls::ClientConfig>,
    /// Waiting times are divided by this.
    pub(super) time_warp: u32,
}

/// The outcome of the forgeries.
#[derive(Debug, Default)]
pub(super) struct Forgeries {
    /// Refused, as they should be.
    pub(super) refused: AtomicU64,
    /// Answered with a 2xx: the endpoint accepted them.
    pub(super) believed: AtomicU64,
    /// Not answered.
    pub(super) unanswered: AtomicU64,
}

impl Sender {
    /// The current chaos.
    pub(super) fn chaos(&self) -> Chaos {
        // A copy, so that no attempt holds the lock while it waits. A poisoned lock is still good:
        // `set_chaos` replaces the whole value or nothing.
        let chaos = self.chaos.lock().unwrap_or_else(PoisonError::into_inner);
        chaos.clone()
    }

    /// Changes the rates of the faults. The seed stays.
    pub(super) fn set_chaos<'a>(
        &self,
        rates: impl Iterator<Item = (&'a str, f64)>,
    ) -> Result<(), ChaosError> {
        let mut chaos = self.chaos.lock().unwrap_or_else(PoisonError::into_inner);
        *chaos = chaos.with_rates(rates)?;
        Ok(())
    }

    /// Divides a waiting time of the service by the time warp.
    pub(super) fn warped(&self, wait: Duration) -> Duration {
        // `Emulator::start` makes the divisor at least 1, and `/` would panic on 0.
        wait.checked_div(self.time_warp).unwrap_or(wait)
    }
}
