//! The journal's functions for a follower: a reader of the growing endpoint log in the same
//! process.

use std::io;
use std::sync::Arc;

use crate::clock::SystemClock;
use crate::journal::shared::Shared;
use crate::journal::{HighWaterMark, Hold, Journal, LogFiles, LogTail, Recovered, Settings, Tee};

impl Journal {
    /// Like [`start`](Self::start), but also returns a [`Hold`]. It keeps all files of the endpoint
    /// log until it names the first file that is still needed, or until it is dropped. The writer
    /// deletes old files as soon as it starts, so a hold that is taken after the start may be too
    /// late.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_held(
        files: LogFiles,
        settings: Settings,
        tee: Option<Tee>,
    ) -> io::Result<(Self, Recovered, Hold)> {
        let clock = Arc::new(SystemClock);
        let shared = Arc::new(Shared::new(clock.clone()));
        let hold = shared.holds.hold();
        let (journal, recovered) = Self::start_with(shared, clock, files, settings, tee)?;
        Ok((journal, recovered, hold))
    }

    /// How far the endpoint log is committed.
    #[must_use]
    pub fn high_water_mark(&self) -> HighWaterMark {
        self.shared.high_water.subscribe()
    }

    /// The end of the endpoint log in memory. From now on it is kept for followers in this process.
    #[must_use]
    pub fn tail(&self) -> Arc<LogTail> {
        self.shared.tail.follow();
        self.shared.tail.clone()
    }

    /// Whether anybody asked for the [`tail`](Self::tail), so that each entry should have its
    /// accepted rows.
    #[must_use]
    pub fn has_followers(&self) -> bool {
        self.shared.tail.is_followed()
    }

    /// Keeps the files of the endpoint log for a reader: all of them, until the reader reports its
    /// file with [`Hold::from`].
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.shared.holds.hold()
    }
}
