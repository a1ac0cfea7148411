//! Files that somebody still reads: none of them is deleted for its age.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::FileId;

/// The files that each reader needs.
#[derive(Debug, Default)]
pub(in crate::journal) struct Holds {
    readers: Mutex<BTreeMap<u64, Held>>,
    made: AtomicU64,
}

/// The files of the endpoint log that a reader needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// All files.
    All,
    /// This file and the younger ones.
    From(FileId),
}

/// A reader's hold on the endpoint log: the files that the reader has not finished are kept until
/// the hold is dropped.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<Holds>,
    reader: u64,
}

impl Holds {
    /// Registers a reader that needs all files.
    pub(in crate::journal) fn hold(self: &Arc<Self>) -> Hold {
        let reader = self.made.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(reader, Held::All);
        let holds = self.clone();
        Hold { holds, reader }
    }

    /// Counts the oldest files that no reader needs. `files` begins with the oldest, and `live` is
    /// younger than all of them. If a reader needs a file that is not in the list, the count is 0:
    /// the file may have been renamed while the list was made.
    pub(super) fn free_of(&self, files: &[FileId], live: FileId) -> usize {
        let place = |held: &Held| match held {
            Held::All => 0,
            Held::From(id) if *id == live => files.len(),
            Held::From(id) => files.iter().position(|file| file == id).unwrap_or(0),
        };
        let readers = self.lock();
        readers.values().map(place).min().unwrap_or(files.len())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Records that the reader now needs only this file and younger ones.
    pub fn from(&self, file: FileId) {
        self.holds.lock().insert(self.reader, Held::From(file));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.lock().remove(&self.reader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_free_up_to_the_first_that_anybody_needs() {
        let id = |inode| FileId { device: 1, inode };
        let files = [1, 2, 3].map(id);
        let holds = Arc::new(Holds::default());
        let free = || holds.free_of(&files, id(9));
        assert_eq!(free(), 3, "nobody reads");
        let one = holds.hold();
        assert_eq!(free(), 0, "the reader has not reported a file yet");
        one.from(id(3));
        assert_eq!(free(), 2);
        let other = holds.hold();
        other.from(id(2));
        assert_eq!(free(), 1);
        other.from(id(9));
        assert_eq!(free(), 2);
        one.from(id(7));
        assert_eq!(free(), 0, "the file is not in the list");
        drop(one);
        assert_eq!(free(), 3);
    }
}
