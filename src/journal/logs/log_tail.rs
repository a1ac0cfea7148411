//! The end of the endpoint log in memory: the batches that were written last.
//!
//! A follower in this process that keeps up takes its rows from here. Reading them back and parsing
//! them would cost it several times as much CPU time. A follower that has fallen behind reads the
//! file, which has the same rows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::FileId;
use crate::journal::entry::Entry;
use crate::journal::notification::AcceptedRow;

/// How many bytes of the endpoint log are kept. Their notifications take once or twice as much
/// again.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The batches that were written last.
#[derive(Debug, Default)]
pub struct LogTail {
    /// Nothing is kept before somebody follows.
    is_followed: AtomicBool,
    batches: Mutex<Batches>,
}

/// Batches of one file without a gap, oldest first.
#[derive(Debug, Default)]
struct Batches {
    queue: VecDeque<Arc<TailBatch>>,
    bytes: usize,
    /// How often all were forgotten because of what somebody did to the file.
    changes: u64,
}

/// What one batch added to the endpoint log.
#[derive(Debug)]
pub(in crate::journal) struct TailBatch {
    file: FileId,
    start: u64,
    /// What was written.
    pub(in crate::journal) bytes: Vec<u8>,
    /// The rows that accept a notification; their places are those in `bytes`.
    pub(in crate::journal) rows: Vec<AcceptedRow>,
}

impl LogTail {
    /// Keeps batches from now on.
    pub(in crate::journal) fn follow(&self) {
        self.is_followed.store(true, Ordering::Relaxed);
    }

    /// Whether anybody follows, so that each entry should have its accepted rows.
    pub(in crate::journal) fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Relaxed)
    }

    /// Adds a batch that is in a file from the offset `start` on. It may be committed later, so a
    /// follower takes no batch that ends beyond the high-water mark.
    pub(in crate::journal) fn add(&self, file: FileId, start: u64, batch: &Entry) {
        if !self.is_followed() || batch.endpoint.is_empty() {
            return;
        }
        let mut batches = self.lock();
        let rows = batch.accepted.all();
        if !batches.ends_at(file, start) || rows.is_none() {
            batches.clear();
        }
        if let Some(rows) = rows {
            batches.push(TailBatch {
                file,
                start,
                bytes: batch.endpoint.clone(),
                rows: rows.to_vec(),
            });
        }
    }

    /// Forgets all batches: the file that is written, or its content, is another one.
    pub(in crate::journal) fn forget(&self) {
        let mut batches = self.lock();
        batches.clear();
        batches.changes = batches.changes.wrapping_add(1);
    }

    /// How often all batches were forgotten. A position in the file that was checked before the
    /// last time may be followed by other bytes now, although the file is the same.
    pub(in crate::journal) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// The batch that begins at an offset of a file, if it is kept and the number of changes is
    /// still `changes`.
    pub(in crate::journal) fn at(
        &self,
        file: FileId,
        start: u64,
        changes: u64,
    ) -> Option<Arc<TailBatch>> {
        let batches = self.lock();
        if batches.changes != changes {
            return None;
        }
        let place = batches.queue.binary_search_by_key(&start, |it| it.start);
        let found = batches.queue.get(place.ok()?)?;
        (found.file == file).then(|| found.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batches {
    fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    fn ends_at(&self, file: FileId, start: u64) -> bool {
        let last = self.queue.back();
        last.is_some_and(|last| last.file == file && last.end() == start)
    }

    fn push(&mut self, batch: TailBatch) {
        self.bytes = self.bytes.saturating_add(batch.bytes.len());
        self.queue.push_back(Arc::new(batch));
        // A batch that is larger than all that may be kept is not kept either.
        while self.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.queue.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.bytes.len());
        }
    }
}

impl TailBatch {
    /// The offset at which it ends.
    pub(in crate::journal) fn end(&self) -> u64 {
        let len = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        self.start.saturating_add(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::notification::AcceptedRows;

    const FILE: FileId = FileId {
        device: 1,
        inode: 1,
    };

    fn batch(bytes: usize) -> Entry {
        Entry {
            endpoint: vec![b'x'; bytes],
            ..Entry::default()
        }
    }

    /// A tail with a batch of 10 bytes at 100, and one of 20 at 110.
    fn two() -> LogTail {
        let tail = LogTail::default();
        tail.follow();
        tail.add(FILE, 100, &batch(10));
        tail.add(FILE, 110, &batch(20));
        tail
    }

    fn has(tail: &LogTail, starts: &[u64]) {
        let found = (0..1000).filter(|start| tail.at(FILE, *start, tail.changes()).is_some());
        assert_eq!(found.collect::<Vec<_>>(), starts);
    }

    #[test]
    fn a_batch_is_found_where_it_begins_and_in_its_file() {
        let tail = two();
        has(&tail, &[100, 110]);
        let found = tail.at(FILE, 110, 0).unwrap();
        assert_eq!((found.end(), found.bytes.len()), (130, 20));
        let other = FileId { inode: 2, ..FILE };
        assert!(tail.at(other, 100, 0).is_none());
        // Refusals without a record change nothing.
        tail.add(FILE, 130, &batch(0));
        has(&tail, &[100, 110]);
    }

    #[test]
    fn what_is_kept_has_no_gap() {
        let tail = two();
        tail.add(FILE, 131, &batch(10));
        has(&tail, &[131]);
        let tail = two();
        tail.add(FileId { inode: 2, ..FILE }, 130, &batch(10));
        has(&tail, &[]);
        let tail = two();
        let mut partial = batch(10);
        partial.accepted.add(&AcceptedRows::default(), 0..10, false);
        tail.add(FILE, 130, &partial);
        has(&tail, &[]);
        tail.add(FILE, 140, &batch(10));
        has(&tail, &[140]);
        tail.forget();
        has(&tail, &[]);
        // Who does not know of the change finds nothing either.
        tail.add(FILE, 140, &batch(10));
        has(&tail, &[140]);
        assert!(tail.at(FILE, 140, 0).is_none());
    }

    #[test]
    fn without_a_follower_nothing_is_kept_and_never_more_than_the_bound() {
        let tail = LogTail::default();
        tail.add(FILE, 0, &batch(10));
        has(&tail, &[]);
        tail.follow();
        tail.add(FILE, 0, &batch(10));
        tail.add(FILE, 10, &batch(10));
        tail.add(FILE, 20, &batch(KEPT_BYTES_MAX - 10));
        has(&tail, &[10, 20]);
        let end = u64::try_from(KEPT_BYTES_MAX).unwrap() + 10;
        tail.add(FILE, end, &batch(KEPT_BYTES_MAX + 1));
        has(&tail, &[]);
        assert!(tail.at(FILE, end, 0).is_none());
    }
}
