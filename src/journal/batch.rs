//! What is written with one sync, and who waits for it.

use crate::journal::queue::{Command, Entry, Waiting};
use crate::journal::seen::Fingerprint;

/// What is written with one sync.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entry: Entry,
    /// Those that wait for it, and whether theirs is a duplicate.
    pub(super) waiting: Vec<(Waiting, bool)>,
    /// What becomes known with it.
    pub(super) new: Vec<Fingerprint>,
    pub(super) appended_bytes: usize,
    pub(super) notes: usize,
    pub(super) noted_bytes: usize,
    pub(super) reopens: usize,
    pub(super) duplicates: u64,
    pub(super) closing: bool,
}

impl Batch {
    /// Counts the bytes that were handed over.
    pub(super) fn count(&mut self, bytes: usize, is_waited_for: bool) {
        if is_waited_for {
            self.appended_bytes = self.appended_bytes.saturating_add(bytes);
        } else {
            self.noted_bytes = self.noted_bytes.saturating_add(bytes);
            self.notes = self.notes.saturating_add(1);
        }
    }

    /// Whether notes are all that there is.
    pub(super) fn is_of_notes(&self) -> bool {
        self.notes > 0 && self.waiting.is_empty() && self.reopens == 0 && !self.closing
    }

    /// How many entries it has.
    pub(super) fn entries(&self) -> usize {
        self.waiting.len().saturating_add(self.notes)
    }

    /// Adds what a command asks for.
    pub(super) fn take(&mut self, command: Command, is_duplicate: bool) {
        match command {
            Command::Write(entry, waiting) => {
                self.waiting
                    .extend(waiting.map(|waiting| (waiting, is_duplicate)));
                self.entry.endpoint.extend_from_slice(&entry.endpoint);
                self.entry.access.extend_from_slice(&entry.access);
            }
            Command::Reopen => self.reopens = self.reopens.saturating_add(1),
            Command::Close => self.closing = true,
        }
    }

    /// Empties it for the next one; its buffers stay.
    pub(super) fn clear(&mut self) {
        self.entry.endpoint.clear();
        self.entry.access.clear();
        self.waiting.clear();
        self.new.clear();
        (
            self.appended_bytes,
            self.notes,
            self.noted_bytes,
            self.reopens,
        ) = (0, 0, 0, 0);
        self.duplicates = 0;
    }
}
