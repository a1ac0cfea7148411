//! What is written with one sync, and who waits for it.

use tokio::sync::oneshot;

use crate::journal::duplicates::Fingerprint;
use crate::journal::entry::{Entry, JournalError};

pub(super) enum Command {
    Write(Entry, Option<Waiting>),
    Reopen,
    Close,
}

pub(super) type Waiting = oneshot::Sender<Result<Receipt, JournalError>>;

/// Proof that an entry is on disk: both files were synced with it in them.
///
/// With `logs.sync` other than `always` it means what that mode promises: that the system has been
/// given both.
#[derive(Debug)]
pub struct Receipt {
    pub(super) is_duplicate: bool,
    pub(super) _made_by_the_writer: (),
}

impl Receipt {
    /// Whether the notification was on disk already. `false` if duplicates are not told from
    /// others.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.is_duplicate
    }
}

/// What is written with one sync.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entry: Entry,
    /// Those that wait for it, and whether theirs is a duplicate.
    pub(super) waiting: Vec<(Waiting, bool)>,
    /// What becomes known with it.
    pub(super) new: Vec<Fingerprint>,
    pub(super) pushed_bytes: usize,
    pub(super) refusals: usize,
    pub(super) refused_bytes: usize,
    pub(super) reopens: usize,
    pub(super) duplicates: u64,
    pub(super) closing: bool,
}

impl Batch {
    /// Counts the bytes that were handed over.
    pub(super) fn count(&mut self, bytes: usize, is_waited_for: bool) {
        if is_waited_for {
            self.pushed_bytes = self.pushed_bytes.saturating_add(bytes);
        } else {
            self.refused_bytes = self.refused_bytes.saturating_add(bytes);
            self.refusals = self.refusals.saturating_add(1);
        }
    }

    /// Whether refusals are all that there is.
    pub(super) fn is_of_refusals(&self) -> bool {
        self.refusals > 0 && self.waiting.is_empty() && self.reopens == 0 && !self.closing
    }

    /// How many entries it has.
    pub(super) fn entries(&self) -> usize {
        self.waiting.len().saturating_add(self.refusals)
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
            self.pushed_bytes,
            self.refusals,
            self.refused_bytes,
            self.reopens,
        ) = (0, 0, 0, 0);
        self.duplicates = 0;
    }
}
