//! The thread that owns the files, and the only maker of receipts.
//!
//! A batch is what arrived while the last one was being synced: one write to each file, one sync of
//! each, then every answer that waited. The endpoint log goes first, so that no access line is ever on
//! disk without its record.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::journal::queue::{Command, Entry, JournalError, Shared, Waiting};
use crate::journal::{Log, Storage};

/// Refusals are synced once there are so many bytes of them, with or without a push among them.
const SYNC_AFTER_BYTES: usize = 1024 * 1024;

/// Proof that an entry is on disk: both files were synced with it in them.
#[derive(Debug)]
pub struct Receipt {
    _made_by_the_writer: (),
}

/// The lengths up to which both files hold whole records.
#[derive(Clone, Copy)]
struct Lengths {
    endpoint: u64,
    access: u64,
}

impl Lengths {
    fn of(storage: &dyn Storage) -> io::Result<Self> {
        Ok(Self { endpoint: storage.len(Log::Endpoint)?, access: storage.len(Log::Access)? })
    }
}

/// What is written with one sync.
#[derive(Default)]
struct Batch {
    entry: Entry,
    waiting: Vec<Waiting>,
    appended_bytes: usize,
    notes: usize,
    noted_bytes: usize,
    closing: bool,
}

/// Owns the files; see [`Writer::run`].
pub(super) struct Writer {
    storage: Box<dyn Storage>,
    /// The files before the batch at hand.
    lengths: Lengths,
    /// Written since the last sync, in bytes.
    unsynced: usize,
    shared: Arc<Shared>,
    tee: Option<Box<dyn io::Write + Send>>,
    batch_bytes: usize,
}

impl Writer {
    /// A writer behind what stands in the files, which is durable already.
    pub(super) fn new(
        storage: Box<dyn Storage>,
        shared: Arc<Shared>,
        tee: Option<Box<dyn io::Write + Send>>,
        batch_bytes: usize,
    ) -> io::Result<Self> {
        let lengths = Lengths::of(storage.as_ref())?;
        Ok(Self { storage, lengths, unsynced: 0, shared, tee, batch_bytes })
    }

    /// Commits batch after batch until it is told to close, or until nobody is left to tell it.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let _fails_with_a_panic = FailWithPanic(self.shared.clone());
        let mut batch = Batch::default();
        while let Some(first) = commands.blocking_recv() {
            batch.add(first);
            while !batch.closing && batch.entry.bytes() < self.batch_bytes {
                match commands.try_recv() {
                    Ok(command) => batch.add(command),
                    Err(_) => break,
                }
            }
            self.commit(&mut batch);
            if batch.closing {
                return;
            }
        }
    }

    fn commit(&mut self, batch: &mut Batch) {
        self.shared.begin_commit();
        let result = self.write(batch);
        self.shared.end_commit();
        self.shared.appends.give_back(batch.waiting.len(), batch.appended_bytes);
        self.shared.notes.give_back(batch.notes, batch.noted_bytes);
        if result.is_err() {
            self.shared.note_dropped(batch.notes);
        }
        for waiting in batch.waiting.drain(..) {
            // An error here is a peer that has left; its record stays.
            drop(waiting.send(result.map(|()| Receipt { _made_by_the_writer: () })));
        }
        if result.is_ok()
            && let Some(tee) = &mut self.tee
        {
            // Lossy by contract: the tee counts what it drops.
            drop(tee.write_all(&batch.entry.access));
        }
        batch.clear();
    }

    fn write(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if self.shared.failed.is_cancelled() {
            return Err(JournalError::Failed);
        }
        // Measured anew each time: someone else may have cut a file.
        match Lengths::of(self.storage.as_ref()) {
            Ok(lengths) => self.lengths = lengths,
            // Nothing of the batch is written, so there is nothing to cut.
            Err(cause) => return Err(self.refuse(&cause)),
        }
        // Refusals do not wait for the disk: the next commit takes them along, or they are many.
        self.unsynced = self.unsynced.saturating_add(batch.entry.bytes());
        let syncs = !batch.waiting.is_empty() || batch.closing || self.unsynced >= SYNC_AFTER_BYTES;
        for (log, bytes) in [(Log::Endpoint, &batch.entry.endpoint), (Log::Access, &batch.entry.access)] {
            if let Err(cause) = self.storage.append(log, bytes) {
                return Err(self.take_back(&cause));
            }
            if syncs && let Err(cause) = self.storage.sync(log) {
                return Err(self.fail(&cause));
            }
        }
        if syncs {
            self.unsynced = 0;
        }
        Ok(())
    }

    fn refuse(&self, cause: &io::Error) -> JournalError {
        if self.shared.note_refused() {
            warn!(%cause, "The disk refuses writes: each is taken back, answered 503, and the next one tried");
        }
        JournalError::Refused
    }

    /// After a failed write: cuts both files back to their last whole record.
    fn take_back(&mut self, cause: &io::Error) -> JournalError {
        match self.cut_to(self.lengths) {
            Ok(()) => self.refuse(cause),
            Err(error) => {
                error!(%cause, %error, "The disk refused a write and what was written cannot be cut back");
                self.shared.failed.cancel();
                JournalError::Failed
            }
        }
    }

    /// After a failed sync nothing is known of what is on disk, and another sync would not tell: the batch is
    /// cut off, since it will be answered 503.
    fn fail(&mut self, cause: &io::Error) -> JournalError {
        error!(%cause, "The disk failed a sync: nothing more is written until the next start");
        if let Err(error) = self.cut_to(self.lengths) {
            error!(%error, "What was being written cannot be cut off: the logs may say 201 where 503 was answered");
        }
        self.shared.failed.cancel();
        JournalError::Failed
    }

    /// A file that someone else made shorter is left as it is: cutting it would fill it with zeros.
    fn cut_to(&mut self, lengths: Lengths) -> io::Result<()> {
        for (log, len) in [(Log::Endpoint, lengths.endpoint), (Log::Access, lengths.access)] {
            if self.storage.len(log)? > len {
                self.storage.truncate(log, len)?;
            }
        }
        Ok(())
    }
}

/// Should this thread ever panic, nobody may go on as if there was a journal.
struct FailWithPanic(Arc<Shared>);

impl Drop for FailWithPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.cancel();
        }
    }
}

impl Batch {
    fn add(&mut self, command: Command) {
        match command {
            Command::Write(entry, waiting) => {
                match waiting {
                    Some(waiting) => {
                        self.appended_bytes = self.appended_bytes.saturating_add(entry.bytes());
                        self.waiting.push(waiting);
                    }
                    None => {
                        self.noted_bytes = self.noted_bytes.saturating_add(entry.bytes());
                        self.notes = self.notes.saturating_add(1);
                    }
                }
                self.entry.endpoint.extend_from_slice(&entry.endpoint);
                self.entry.access.extend_from_slice(&entry.access);
            }
            Command::Close => self.closing = true,
        }
    }

    /// Empties it for the next one; its buffers stay.
    fn clear(&mut self) {
        self.entry.endpoint.clear();
        self.entry.access.clear();
        self.waiting.clear();
        (self.appended_bytes, self.notes, self.noted_bytes) = (0, 0, 0);
    }
}
