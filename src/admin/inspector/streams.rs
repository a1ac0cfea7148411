//! Limits the number of streams.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most streams at the same time. A page has one while it is visible.
const STREAMS_MAX: usize = 16;

/// Limits the number of streams.
#[derive(Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

impl Streams {
    /// The number of open streams.
    pub(super) fn open(&self) -> usize {
        STREAMS_MAX.saturating_sub(self.0.available_permits())
    }

    /// Takes a permit for one more stream. Returns `None` if there are too many.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}
