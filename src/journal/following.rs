//! What a follower in the same process gets of the journal.

use crate::journal::{HighWaterMark, Hold, Journal};

impl Journal {
    /// How far the endpoint log is committed.
    #[must_use]
    pub fn high_water_mark(&self) -> HighWaterMark {
        self.shared.high_water.subscribe()
    }

    /// Keeps the endpoint log for a reader, all of it until the reader says how far it is.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.shared.holds.hold()
    }
}
