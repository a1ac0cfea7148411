//! A follower takes from memory what was committed last, without reading or parsing a file.

use std::sync::Arc;

use crate::journal::logs::LogTail;
use crate::journal::notification::LoggedNotification;
use crate::journal::read::follow::{Follower, length};
use crate::journal::read::position::Position;

/// The rows that were in memory.
#[derive(Debug)]
pub struct Remembered {
    /// Those that accept a notification, in the order of the log. Others are left out.
    pub rows: Vec<RememberedRow>,
    /// Whether the end of the log was reached.
    pub is_at_end: bool,
}

/// A row that accepts a notification.
#[derive(Debug)]
pub struct RememberedRow {
    /// The notification.
    pub notification: Arc<LoggedNotification>,
    /// Whether the log has had the notification before.
    pub is_duplicate: bool,
    /// The position at which the row begins.
    pub position: Position,
    /// The position after the row.
    pub end: Position,
    /// The length of the row, in bytes.
    pub bytes: usize,
}

impl Follower {
    /// Takes rows from memory if possible: see [`poll_tail`](Self::poll_tail). Only for a follower
    /// whose horizon is what is committed.
    #[must_use]
    pub fn with_tail(mut self, tail: Arc<LogTail>) -> Self {
        self.tail = Some(tail);
        self
    }

    /// Notes how often the memory was forgotten. If that has happened since the last read of the
    /// file, the bytes before the position may be others.
    pub(super) fn note_changes(&mut self) {
        let changes = self.tail.as_ref().map_or(0, |tail| tail.changes());
        if self.changes != changes {
            (self.changes, self.before) = (changes, None);
        }
    }

    /// Takes what is in memory of the rows after the follower's position: a chunk, and the rest of
    /// its last batch. Never blocks, and reads no file.
    ///
    /// Returns `None` if [`poll`](Self::poll) has to continue: the memory does not have the next
    /// rows, the log continues in another file, a gap or possible repeats are to be reported, or
    /// the journal has found that somebody changed the file.
    pub fn poll_tail(&mut self) -> Option<Remembered> {
        let (tail, at) = (self.tail.as_ref()?, self.at.as_mut()?);
        if self.again.is_some() || self.missed_after.is_some() {
            return None;
        }
        let id = at.open.link.id;
        let before = self.before.as_mut()?;
        if tail.changes() != self.changes {
            return None;
        }
        let committed = self.horizon.committed(id);
        let begun = at.offset;
        let mut rows = Vec::new();
        while at.offset.saturating_sub(begun) < length(self.chunk_bytes_min)
            && let Some(batch) = tail.at(id, at.offset, self.changes)
            && batch.end() <= committed
        {
            let place = |len: usize| before.position(&batch.bytes, len);
            let mut known = None;
            for row in &batch.rows {
                // Usually the end of the row before, and a position costs a hash of 5 KiB.
                let position = match known {
                    Some((len, position)) if len == row.place.start => position,
                    Some(_) | None => place(row.place.start),
                };
                let end = place(row.place.end);
                known = Some((row.place.end, end));
                self.last_time = row.notification.time.or(self.last_time);
                rows.push(RememberedRow {
                    notification: row.notification.clone(),
                    is_duplicate: row.is_duplicate,
                    position,
                    end,
                    bytes: row.place.len(),
                });
            }
            before.pass(&batch.bytes);
            at.offset = batch.end();
        }
        let is_at_end = at.offset == committed;
        if at.offset == begun {
            return is_at_end.then_some(Remembered { rows, is_at_end });
        }
        let passed = at.offset.saturating_sub(begun);
        self.trail.advance(passed, before.position(&[], 0));
        Some(Remembered { rows, is_at_end })
    }
}
