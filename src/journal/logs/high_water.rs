//! The high-water mark: how far the endpoint log is committed. The writer publishes it for
//! followers.

use tokio::sync::watch;

use crate::disk::FileId;

/// The end of what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    /// The file that is written; `None` before the journal has opened one.
    file: Option<FileId>,
    len: u64,
}

/// The writer's side.
#[derive(Debug)]
pub(in crate::journal) struct HighWater(watch::Sender<End>);

impl HighWater {
    pub(in crate::journal) fn new() -> Self {
        let end = End { file: None, len: 0 };
        Self(watch::Sender::new(end))
    }

    /// Publishes how many bytes of a file are committed. Without a follower the call costs two
    /// stores under a lock that nobody else takes.
    pub(super) fn publish(&self, file: FileId, len: u64) {
        let file = Some(file);
        self.0.send_replace(End { file, len });
    }

    pub(in crate::journal) fn subscribe(&self) -> HighWaterMark {
        HighWaterMark(self.0.subscribe())
    }
}

/// How far the endpoint log is committed, for a follower in the process that writes it.
#[derive(Debug, Clone)]
pub struct HighWaterMark(watch::Receiver<End>);

impl HighWaterMark {
    /// How many bytes of a file are committed. A file that is no longer written is committed to its
    /// end: returns `u64::MAX`.
    #[must_use]
    pub fn of(&self, file: FileId) -> u64 {
        let end = *self.0.borrow();
        match end.file {
            Some(live) if live != file => u64::MAX,
            Some(_) => end.len,
            None => 0,
        }
    }

    /// Waits for the next commit since the last return of this function. Once the journal is gone,
    /// never returns again.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // `changed` returns at once on a closed channel, which would make the loop of the
            // caller spin.
            std::future::pending().await
        }
    }
}
