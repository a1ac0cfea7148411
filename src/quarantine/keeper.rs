//! The thread that saves refused requests, and its state shared with the handle.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use strum::IntoEnumIterator as _;
use tracing::warn;

use crate::quarantine::files::{Files, Provenance};
use crate::quarantine::reservation::{Mark, Reserved};

/// The requests to the thread.
#[derive(Debug)]
pub(super) enum Task {
    Keep(Reserved, Vec<u8>),
    GiveBack,
    Close,
}

/// The state that the thread and the handle share.
///
/// All orderings are relaxed: these are counts and flags, and captures go through the queue.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// The file number of each remembered signature, by the hash of the signature.
    pub(super) signatures: Mutex<HashMap<u64, u64>>,
    /// Only increases: a number is not reused before the next start.
    pub(super) next_number: AtomicU64,
    pub(super) waiting_bytes: AtomicUsize,
    pub(super) kept: Counts,
    pub(super) dropped: Counts,
    pub(super) pushed_out: Counts,
    pub(super) given_back: AtomicU64,
    /// The thread was asked to free space and has not done so yet: one request is enough.
    pub(super) is_giving_back: AtomicBool,
    pub(super) files: AtomicUsize,
    pub(super) bytes: AtomicU64,
    has_warned: AtomicBool,
    has_warned_of_deletion: AtomicBool,
}

/// A count for each [`Provenance`].
#[derive(Debug, Default)]
pub(super) struct Counts {
    signed: AtomicU64,
    unsigned: AtomicU64,
}

impl Counts {
    pub(super) fn of(&self, provenance: Provenance) -> &AtomicU64 {
        match provenance {
            Provenance::Signed => &self.signed,
            Provenance::Unsigned => &self.unsigned,
        }
    }
}

impl Keeper {
    pub(super) fn take_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn note_dropped(&self, provenance: Provenance, mark: Option<Mark>) {
        self.dropped.of(provenance).fetch_add(1, Ordering::Relaxed);
        if let Some(Mark(number)) = mark {
            self.signatures
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&number);
        }
    }

    pub(super) fn run(&self, mut files: Files, tasks: &Receiver<Task>) {
        while let Ok(task) = tasks.recv() {
            match task {
                Task::Keep(reserved, capture) => {
                    self.keep(&mut files, &reserved, &capture);
                    // After the write, so that the bound on bytes includes the capture that is
                    // being written.
                    self.waiting_bytes
                        .fetch_sub(capture.len(), Ordering::Relaxed);
                }
                Task::GiveBack => {
                    // Reset first, so that a request from here on is not lost.
                    self.is_giving_back.store(false, Ordering::Relaxed);
                    self.give_back(&mut files);
                }
                // A message, because the handle is shared and cannot drop its sender to end this
                // loop.
                Task::Close => return,
            }
            self.publish(&files);
        }
    }

    fn keep(&self, files: &mut Files, reserved: &Reserved, capture: &[u8]) {
        let Err(error) = files.add(reserved.number, reserved.provenance, capture) else {
            self.kept
                .of(reserved.provenance)
                .fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.note_dropped(reserved.provenance, reserved.mark);
        if matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            // The next write that the disk refuses could be that of a push.
            self.give_back(files);
        }
        warn_once(
            &self.has_warned,
            &error,
            "A refused request cannot be stored in quarantine; further ones are only counted",
        );
    }

    fn give_back(&self, files: &mut Files) {
        match files.give_back() {
            Ok(0) => {}
            Ok(bytes) => warn!(
                bytes,
                "Space is scarce: deleted requests from quarantine that were not proved genuine"
            ),
            Err(error) => warn_once(
                &self.has_warned_of_deletion,
                &error,
                "Space is scarce, and requests in quarantine cannot be deleted",
            ),
        }
    }

    pub(super) fn publish(&self, files: &Files) {
        self.files.store(files.len(), Ordering::Relaxed);
        self.bytes.store(files.bytes(), Ordering::Relaxed);
        for provenance in Provenance::iter() {
            self.pushed_out
                .of(provenance)
                .store(files.pushed_out(provenance), Ordering::Relaxed);
        }
        self.given_back.store(files.given_back(), Ordering::Relaxed);
    }
}

fn warn_once(has_warned: &AtomicBool, error: &io::Error, what: &str) {
    // Only the first failure is logged, because strangers can cause any number of them.
    if !has_warned.swap(true, Ordering::Relaxed) {
        warn!(%error, "{what}");
    }
}
