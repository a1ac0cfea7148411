//! A batch: the entries that are written with one sync, and the pushes that wait for them.

use crate::journal::duplicates::Fingerprint;
use crate::journal::entry::{Entry, JournalError};
use crate::journal::record::write_duplicate;
use crate::journal::storage::Committed;
use crate::waiting::{self, answer_all};

/// A command of the handle to the writer.
pub(super) enum Command {
    Write(Entry, Option<Waiting>),
    Reopen,
    Close,
}

/// The channel through which a push gets its receipt. If the connection has closed meanwhile, the
/// receipt is dropped but the record stays in the log: MNS sends the push again, which is logged as
/// a duplicate, and nothing is lost.
pub(super) type Waiting = waiting::Waiting<Result<Receipt, JournalError>>;

/// Proof that an entry is durable: after it was written, the commit log or both logs were synced.
///
/// If `logs.sync` is not `always`, a receipt proves only that the kernel has the bytes. No code
/// outside of this file can create one, so this example does not compile:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::journal::Receipt { is_duplicate: false };
/// ```
///
/// This example compiles, so the path is right, and only the private field makes the example above
/// fail:
///
/// ```
/// fn of(receipt: &mns_endpoint::journal::Receipt) -> bool { receipt.is_duplicate() }
/// ```
#[derive(Debug)]
pub struct Receipt {
    is_duplicate: bool,
}

impl Receipt {
    /// Whether the log had the notification already. `false` if `accept.duplicates` is `off`.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.is_duplicate
    }
}

/// The entries that are written with one sync.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entry: Entry,
    /// The pushes that wait for the batch, and whether each is a duplicate.
    waiting: Vec<(Waiting, bool)>,
    /// The fingerprints to remember once the batch is committed.
    pub(super) new: Vec<Fingerprint>,
    pub(super) pushed_bytes: usize,
    pub(super) refusals: usize,
    pub(super) refused_bytes: usize,
    pub(super) reopens: usize,
    pub(super) duplicates: u64,
    pub(super) closing: bool,
}

/// How an entry is written, which depends on whether its notification is already on disk or in the
/// same batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Unchanged: the entry is the first for its notification, or it accepts no notification, or
    /// `accept.duplicates` is `off`.
    AsItIs,
    /// With its outcome changed to that of a duplicate.
    Marked,
    /// Only its access line.
    Dropped,
}

impl Batch {
    /// Adds an entry. Counts all bytes that were queued, even those that are not written, because
    /// the commit gives back room for all of them.
    pub(super) fn add(&mut self, entry: &Entry, waiting: Option<Waiting>, outcome: Outcome) {
        let (bytes, is_push) = (entry.held_bytes(), waiting.is_some());
        if is_push {
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
        let start = endpoint.len();
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
        let end = endpoint.len();
        if is_push && start < end {
            let accepted = &mut self.entry.accepted;
            accepted.add(&entry.accepted, start..end, is_duplicate);
        }
        // Every answer gets its access line, also the answer to a dropped duplicate.
        self.entry.access.extend_from_slice(&entry.access);
    }

    /// Whether the batch contains only refusals.
    pub(super) fn is_of_refusals(&self) -> bool {
        self.refusals > 0 && self.waiting.is_empty() && self.reopens == 0 && !self.closing
    }

    /// The number of entries.
    pub(super) fn entries(&self) -> usize {
        self.waiting.len().saturating_add(self.refusals)
    }

    /// The number of entries that a push waits for.
    pub(super) fn pushes(&self) -> usize {
        self.waiting.len()
    }

    /// Sends a receipt to each waiting push. No other code makes receipts; `_committed` proves that
    /// this batch is on disk.
    pub(super) fn acknowledge(mut self, _committed: &Committed) -> Self {
        answer_all(
            self.waiting
                .drain(..)
                .map(|(waiting, is_duplicate)| (waiting, Ok(Receipt { is_duplicate }))),
        );
        self
    }

    /// Answers each waiting push with the error: nothing of the batch is in the files.
    pub(super) fn refuse(mut self, error: JournalError) -> Self {
        answer_all(
            self.waiting
                .drain(..)
                .map(|(waiting, _)| (waiting, Err(error))),
        );
        self
    }

    /// Empties the batch but keeps its buffers, so that the next batch allocates nothing. `closing`
    /// stays set, because no batch follows the one that closes the journal.
    pub(super) fn clear(mut self) -> Self {
        self.entry.endpoint.clear();
        self.entry.access.clear();
        self.entry.message.clear();
        self.entry.accepted.clear();
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
