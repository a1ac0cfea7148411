//! What is written with one sync, and the pushes that wait for it.

use crate::journal::duplicates::Fingerprint;
use crate::journal::entry::{Entry, JournalError};
use crate::journal::record::write_duplicate;
use crate::journal::storage::Committed;
use crate::journal::waiting::{self, answer_all};

/// What the handle asks of the writer.
pub(super) enum Command {
    Write(Entry, Option<Waiting>),
    Reopen,
    Close,
}

/// The answer that a push waits for. If nobody waits any more the answer is dropped, and the record
/// stays: a repeat of the push is then a duplicate, never a loss.
pub(super) type Waiting = waiting::Waiting<Result<Receipt, JournalError>>;

/// Proof that an entry is on disk: the commit log, or without one both logs, were synced with it.
///
/// With `logs.sync` other than `always` it means what that mode promises: that the system has been
/// given both. Only a commit makes one:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::journal::Receipt { is_duplicate: false };
/// ```
///
/// This one compiles, so the one above fails for its private field and not for a wrong name:
///
/// ```
/// fn of(receipt: &mns_endpoint::journal::Receipt) -> bool { receipt.is_duplicate() }
/// ```
#[derive(Debug)]
pub struct Receipt {
    is_duplicate: bool,
}

impl Receipt {
    /// Whether the notification was on disk already. `false` if duplicates are not
    /// marked.
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
    waiting: Vec<(Waiting, bool)>,
    /// What becomes known with it.
    pub(super) new: Vec<Fingerprint>,
    pub(super) pushed_bytes: usize,
    pub(super) refusals: usize,
    pub(super) refused_bytes: usize,
    pub(super) reopens: usize,
    pub(super) duplicates: u64,
    pub(super) closing: bool,
}

/// What becomes of an entry whose notification is durable already, or becomes so with this batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is the first, or nobody asked.
    AsItIs,
    /// Its outcome says that it is a duplicate.
    Marked,
    /// It leaves its access line only.
    Dropped,
}

impl Batch {
    /// Adds an entry. All bytes that were handed over count, even those that are not written: that
    /// is how much room is given back.
    pub(super) fn add(&mut self, entry: &Entry, waiting: Option<Waiting>, outcome: Outcome) {
        let bytes = entry.held_bytes();
        if waiting.is_some() {
            self.pushed_bytes = self.pushed_bytes.saturating_add(bytes);
        } else {
            self.refused_bytes = self.refused_bytes.saturating_add(bytes);
            self.refusals = self.refusals.saturating_add(1);
        }
        let is_duplicate = outcome != Outcome::AsItIs;
        self.duplicates = self.duplicates.saturating_add(u64::from(is_duplicate));
        self.waiting
            .extend(waiting.map(|waiting| (waiting, is_duplicate)));
        let endpoint = &mut self.entry.endpoint;
        match (outcome, entry.identity.and_then(|identity| identity.head)) {
            (Outcome::Marked, Some(head)) => {
                head.write_duplicate(&entry.endpoint, endpoint);
                write_duplicate(&entry.message, &mut self.entry.message);
            }
            (Outcome::Dropped, _) => {}
            (Outcome::Marked, None) | (Outcome::AsItIs, _) => {
                endpoint.extend_from_slice(&entry.endpoint);
                self.entry.message.extend_from_slice(&entry.message);
            }
        }
        self.entry.access.extend_from_slice(&entry.access);
    }

    /// Whether refusals are all that there is.
    pub(super) fn is_of_refusals(&self) -> bool {
        self.refusals > 0 && self.waiting.is_empty() && self.reopens == 0 && !self.closing
    }

    /// How many entries it has.
    pub(super) fn entries(&self) -> usize {
        self.waiting.len().saturating_add(self.refusals)
    }

    /// How many of them somebody waits for.
    pub(super) fn pushes(&self) -> usize {
        self.waiting.len()
    }

    /// Sends a receipt to everybody who waits. The only place where one is made: `_committed` is
    /// the proof that this batch is on disk.
    pub(super) fn acknowledge(mut self, _committed: &Committed) -> Self {
        answer_all(
            self.waiting
                .drain(..)
                .map(|(waiting, is_duplicate)| (waiting, Ok(Receipt { is_duplicate }))),
        );
        self
    }

    /// Answers everybody who waits that nothing of it is in the files.
    pub(super) fn refuse(mut self, error: JournalError) -> Self {
        answer_all(
            self.waiting
                .drain(..)
                .map(|(waiting, _)| (waiting, Err(error))),
        );
        self
    }

    /// Empties it for the next one; its buffers stay, so that a commit takes no memory. A batch
    /// that closes the journal is the last.
    pub(super) fn clear(mut self) -> Self {
        self.entry.endpoint.clear();
        self.entry.access.clear();
        self.entry.message.clear();
        self.waiting.clear();
        self.new.clear();
        Self {
            entry: self.entry,
            waiting: self.waiting,
            new: self.new,
            closing: self.closing,
            ..Self::default()
        }
    }
}
