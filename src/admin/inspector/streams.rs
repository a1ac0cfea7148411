//! How many streams there may be.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Streams at the same time. A page has one, while it is seen.
const STREAMS_MAX: usize = 16;

/// The streams that may be opened.
#[derive(Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

impl Streams {
    /// How many are open.
    pub(super) fn open(&self) -> usize {
        STREAMS_MAX.saturating_sub(self.0.available_permits())
    }

    /// Room for one more, given back when dropped.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}
