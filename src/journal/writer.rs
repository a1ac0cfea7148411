//! The thread that owns the files, and the only maker of receipts.
//!
//! A batch is what arrived while the last one was being synced: one write to each file, one sync of
//! both, then every answer that waited. What the queue holds is bounded by count and bytes.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::journal::recovery::{self, Recovered};
use crate::journal::{Log, Storage};

/// What the journal takes before it says no.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries that wait for a commit.
    pub entries_max: usize,
    /// Their bytes.
    pub bytes_max: usize,
    /// A batch is closed once it has this many bytes. Larger ones take longer to sync than they save.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries_max: 8192, bytes_max: 64 * 1024 * 1024, batch_bytes: 256 * 1024 }
    }
}

/// Records of the endpoint log and lines of the access log that are written together or not at all.
#[derive(Debug, Default)]
pub struct Entry {
    /// Whole records.
    pub endpoint: Vec<u8>,
    /// Whole lines.
    pub access: Vec<u8>,
}

/// Proof that an entry is on disk: both files were synced with it in them.
#[derive(Debug)]
pub struct Receipt {
    _made_by_the_writer: (),
}

/// Why an entry is not on disk: ours or the disk's doing, never the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The queue is full; nothing was handed over.
    #[error("the journal's queue is full")]
    Full,
    /// The write failed and was taken back.
    #[error("the disk refused the record")]
    Refused,
    /// A sync failed before: nothing is written until the next start.
    #[error("the journal has failed and takes nothing more")]
    Failed,
}

/// The handle to the writer thread.
pub struct Journal {
    queue: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    limits: Limits,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    notes_dropped: AtomicU64,
    refusing: AtomicBool,
    failed: CancellationToken,
}

enum Command {
    Write(Entry, Option<oneshot::Sender<Result<Receipt, JournalError>>>),
    Close,
}

impl Journal {
    /// Recovers what stands in the files and starts the writer. `tee` gets a copy of every access line
    /// that was written; it must not block.
    ///
    /// # Errors
    /// The files cannot be read, cut or synced, or no thread can be started.
    pub fn start(
        mut storage: Box<dyn Storage>,
        limits: Limits,
        tee: Option<Box<dyn io::Write + Send>>,
    ) -> io::Result<(Self, Recovered)> {
        let recovered = recovery::recover(storage.as_mut())?;
        let lengths = Lengths::of(storage.as_ref())?;
        // Half of the queue is for answers that wait; the other half also takes refusals.
        let (queue, commands) = mpsc::channel(limits.entries_max.saturating_mul(2));
        let shared = Arc::new(Shared::default());
        let writer = Writer { storage, lengths, shared: shared.clone(), tee, limits: limits.clone() };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(commands))?;
        Ok((Self { queue, shared, limits, thread: Mutex::new(Some(thread)) }, recovered))
    }

    /// Hands an entry over and waits until it is on disk.
    ///
    /// A future dropped before it returns takes nothing back: the entry is written all the same.
    ///
    /// # Errors
    /// [`JournalError`]. The entry is then not in the files.
    pub async fn append(&self, entry: Entry) -> Result<Receipt, JournalError> {
        let bytes = entry.bytes();
        let queued = self.shared.queued_bytes.load(Ordering::Relaxed);
        if self.queue.capacity() <= self.limits.entries_max || queued.saturating_add(bytes) > self.limits.bytes_max {
            return Err(if self.queue.is_closed() { JournalError::Failed } else { JournalError::Full });
        }
        let (sender, receipt) = oneshot::channel();
        self.send(Command::Write(entry, Some(sender)), bytes)?;
        // The writer answers every command that it takes, unless it panicked.
        receipt.await.unwrap_or(Err(JournalError::Failed))
    }

    /// Hands an entry over that no answer waits for. Where there is no room it is dropped and counted.
    pub fn note(&self, entry: Entry) {
        let bytes = entry.bytes();
        let queued = self.shared.queued_bytes.load(Ordering::Relaxed);
        // Notes may fill the other half of the bytes, as they may of the entries.
        let full = queued.saturating_add(bytes) > self.limits.bytes_max.saturating_mul(2);
        if full || self.send(Command::Write(entry, None), bytes).is_err() {
            let before = self.shared.notes_dropped.fetch_add(1, Ordering::Relaxed);
            if before == 0 {
                warn!("Refusals come faster than they can be logged; those left out are counted");
            }
        }
    }

    /// Whether the last write went well and no sync has failed.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.queue.is_closed() && !self.shared.refusing.load(Ordering::Relaxed) && !self.shared.failed.is_cancelled()
    }

    /// Done when the journal has failed for good.
    pub async fn failed(&self) {
        self.shared.failed.cancelled().await;
    }

    /// Refusals that were not logged for want of room.
    #[must_use]
    pub fn notes_dropped(&self) -> u64 {
        self.shared.notes_dropped.load(Ordering::Relaxed)
    }

    /// Writes and syncs what was handed over, then ends the thread. Later entries fail.
    ///
    /// # Errors
    /// The journal had failed, or its thread panicked.
    pub async fn close(&self) -> Result<(), JournalError> {
        // A closed queue means that the thread has ended already.
        drop(self.queue.send(Command::Close).await);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(JournalError::Failed);
            }
        }
        if self.shared.failed.is_cancelled() { Err(JournalError::Failed) } else { Ok(()) }
    }

    fn send(&self, command: Command, bytes: usize) -> Result<(), JournalError> {
        self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.queue.try_send(command).map_err(|error| {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => JournalError::Full,
                mpsc::error::TrySendError::Closed(_) => JournalError::Failed,
            }
        })
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.endpoint.len().saturating_add(self.access.len())
    }
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
    waiting: Vec<oneshot::Sender<Result<Receipt, JournalError>>>,
    closing: bool,
}

struct Writer {
    storage: Box<dyn Storage>,
    lengths: Lengths,
    shared: Arc<Shared>,
    tee: Option<Box<dyn io::Write + Send>>,
    limits: Limits,
}

impl Writer {
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut batch = Batch::default();
        while let Some(first) = commands.blocking_recv() {
            batch.add(first);
            while !batch.closing && batch.entry.bytes() < self.limits.batch_bytes {
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
        let result = self.write(batch);
        self.shared.queued_bytes.fetch_sub(batch.entry.bytes(), Ordering::Relaxed);
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
        batch.entry.endpoint.clear();
        batch.entry.access.clear();
    }

    fn write(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if self.shared.failed.is_cancelled() {
            return Err(JournalError::Failed);
        }
        if let Err(cause) = self.append(&batch.entry) {
            return Err(self.take_back(&cause));
        }
        self.shared.refusing.store(false, Ordering::Relaxed);
        // Refusals do not wait for the disk: the next commit or the close takes them along.
        if (!batch.waiting.is_empty() || batch.closing)
            && let Err(cause) = self.storage.sync()
        {
            error!(%cause, "The disk failed a sync: nothing more is written until the next start");
            self.shared.failed.cancel();
            return Err(JournalError::Failed);
        }
        Ok(())
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.storage.append(Log::Endpoint, &entry.endpoint)?;
        self.storage.append(Log::Access, &entry.access)?;
        self.lengths = Lengths::of(self.storage.as_ref())?;
        Ok(())
    }

    /// After a failed write: cuts both files back to their last whole record.
    fn take_back(&mut self, cause: &io::Error) -> JournalError {
        self.shared.refusing.store(true, Ordering::Relaxed);
        let Lengths { endpoint, access } = self.lengths;
        let cut = self.storage.truncate(Log::Endpoint, endpoint);
        match cut.and_then(|()| self.storage.truncate(Log::Access, access)) {
            Ok(()) => {
                warn!(%cause, "The disk refused a write: it was taken back, and the next one is tried");
                JournalError::Refused
            }
            Err(error) => {
                error!(%cause, %error, "The disk refused a write and what was written cannot be cut back");
                self.shared.failed.cancel();
                JournalError::Failed
            }
        }
    }
}

impl Batch {
    fn add(&mut self, command: Command) {
        match command {
            Command::Write(entry, waiting) => {
                self.entry.endpoint.extend_from_slice(&entry.endpoint);
                self.entry.access.extend_from_slice(&entry.access);
                self.waiting.extend(waiting);
            }
            Command::Close => self.closing = true,
        }
    }
}
