//! What all attempts share: keys, chaos and its counts, TLS and the warp of time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::clock::Clock;
use crate::emulator::chaos::{Chaos, ChaosCounts};
use crate::emulator::keyring::Keyring;
use crate::mns::Notation;

/// What all attempts share.
pub(super) struct Sender {
    pub(super) keyring: Keyring,
    pub(super) clock: Arc<dyn Clock>,
    /// How Content-MD5 is written, if not as MNS does for the format.
    pub(super) content_md5: Option<Notation>,
    pub(super) chaos: Chaos,
    pub(super) chaos_counts: ChaosCounts,
    pub(super) forgeries: Forgeries,
    pub(super) tls: Arc<rustls::ClientConfig>,
    /// Every waiting time is divided by it.
    pub(super) time_warp: u32,
}

/// What became of the requests that a stranger sent.
#[derive(Debug, Default)]
pub(super) struct Forgeries {
    /// Refused, as they should be.
    pub(super) refused: AtomicU64,
    /// Answered with a 2xx: the endpoint believed them.
    pub(super) believed: AtomicU64,
    /// Not answered at all.
    pub(super) unanswered: AtomicU64,
}

impl Sender {
    /// Divides a waiting time of the service by the warp of time.
    pub(super) fn warped(&self, wait: Duration) -> Duration {
        wait.checked_div(self.time_warp).unwrap_or(wait)
    }
}
