//! The handle to the journal: entries go in, receipts come back.
//!
//! Pushes and refusals share one queue, which keeps their order, but each kind has its own limit: a
//! flood of refusals never turns a genuine push away.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::SystemTime;

use crate::clock::{Clock, SystemClock};
use crate::journal::batch::{Command, Receipt, Waiting};
use crate::journal::commit::{self, CommitLog};
use crate::journal::duplicates::{Fingerprints, RecentNotifications};
use crate::journal::logs::{Logs, Recovered};
use crate::journal::meters::Meters;
use crate::journal::record::Head;
use crate::journal::shared::Shared;
use crate::journal::storage::Storage;
use crate::journal::tee::Tee;
use crate::journal::writer::Writer;
use crate::journal::{
    Duplicates, Entry, Health, Identity, JournalError, Limits, LogFiles, Settings, SyncMode, Waits,
};

/// The handle to the writer thread.
pub struct Journal {
    queue: mpsc::SyncSender<Command>,
    pub(super) shared: Arc<Shared>,
    limits: Limits,
    sync: SyncMode,
    /// `None` if `accept.duplicates` is `off`.
    fingerprints: Option<Fingerprints>,
    /// The writer's thread. Each push unparks it, because it may be parked while it gathers
    /// refusals. All other commands can wait until it has gathered them.
    writer: Thread,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Recovers the content of the files and starts the writer. `tee` gets a copy of the lines that
    /// are written.
    ///
    /// # Errors
    /// The files cannot be read, cut or synced, or no thread can be started.
    pub fn start(
        files: LogFiles,
        settings: Settings,
        tee: Option<Tee>,
    ) -> io::Result<(Self, Recovered)> {
        Self::start_by(Arc::new(SystemClock), files, settings, tee)
    }

    /// Like [`start`](Self::start), with the clock of the caller. The clock decides when periodic
    /// work is due and how long ago a failure was.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_by(
        clock: Arc<dyn Clock>,
        files: LogFiles,
        settings: Settings,
        tee: Option<Tee>,
    ) -> io::Result<(Self, Recovered)> {
        let shared = Arc::new(Shared::new(clock.clone()));
        Self::start_with(shared, clock, files, settings, tee)
    }

    pub(super) fn start_with(
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        mut files: LogFiles,
        settings: Settings,
        tee: Option<Tee>,
    ) -> io::Result<(Self, Recovered)> {
        // Recover first: that syncs both logs, and only durable notifications may count as seen.
        let (recovered, left) = commit::recover(&mut files)?;
        let (limits, sync) = (settings.limits.clone(), settings.sync);
        // Room for as many refusals as pushes, for one command to reopen and for one to close.
        let (queue, commands) =
            mpsc::sync_channel(limits.entries_max.saturating_mul(2).saturating_add(2));
        let seen =
            (settings.duplicates != Duplicates::Off).then(|| RecentNotifications::load(&files));
        let fingerprints = seen.as_ref().map(RecentNotifications::key);
        let (meters, published) = (shared.meters.clone(), shared.published());
        let mut logs = Logs::new(files, settings.rotate_bytes, meters, published)?;
        let commit_log = match settings.commit_log_bytes.filter(|_| sync != SyncMode::Os) {
            Some(bytes) => Some(CommitLog::start(bytes, left, &mut logs, clock.instant())?),
            None => {
                drop(left);
                logs.files_mut().discard_commit_log()?;
                None
            }
        };
        shared.meters.commit_log.note_replay(&recovered.replayed);
        let storage = Storage::new(logs, commit_log, &settings, shared.meters.clone());
        let writer = Writer::new(
            storage,
            seen,
            shared.clone(),
            tee.unwrap_or_else(Tee::none),
            settings,
            clock,
        );
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&commands))?;
        let (writer, thread) = (thread.thread().clone(), Mutex::new(Some(thread)));
        Ok((
            Self {
                queue,
                shared,
                limits,
                sync,
                fingerprints,
                writer,
                thread,
            },
            recovered,
        ))
    }

    /// Checks for room. The server calls this before it reads the body, so that a push that must be
    /// turned away costs only its head.
    ///
    /// # Errors
    /// The error that [`append`](Self::append) would return.
    pub fn check_room(&self) -> Result<(), JournalError> {
        if self.shared.vitals.failed.is_cancelled() {
            return Err(JournalError::Failed);
        }
        let Waits { entries, bytes } = self.shared.pushes.waits();
        let is_full = entries >= self.limits.entries_max || bytes >= self.limits.bytes_max;
        if is_full || self.shared.vitals.is_stalled() {
            Err(JournalError::Full)
        } else {
            Ok(())
        }
    }

    /// Hands an entry over and waits until it is on disk.
    ///
    /// The first poll hands the entry over. Dropping the future after that undoes nothing: the
    /// writer owns the entry, still writes it, and then gives its room back. A future that was
    /// never polled has done nothing.
    ///
    /// # Errors
    /// [`JournalError`]. The entry is then not in the files, unless the writer panicked.
    pub async fn append(&self, entry: Entry) -> Result<Receipt, JournalError> {
        // Check again: the disk may have stalled or failed while the body was read and verified.
        self.check_room()?;
        let (waiting, mut receipt) = Waiting::new();
        self.send(entry, Some(waiting))?;
        // The writer answers every command that it takes, unless it panicked.
        receipt.answer().await.unwrap_or(Err(JournalError::Failed))
    }

    /// Creates the identity of the notification with this owner, topic, subscription and message
    /// id. `head` is the head of the record that accepts it, which the writer rewrites for a
    /// duplicate. Returns `None` if `accept.duplicates` is `off`.
    ///
    /// When the writer decides whether the notification is a duplicate, every entry that was queued
    /// earlier is on disk, refused, or in the same batch.
    #[must_use]
    pub fn identify(&self, identity: [&[u8]; 4], head: Option<Head>) -> Option<Identity> {
        self.fingerprints.map(|fingerprints| Identity {
            fingerprint: fingerprints.of(identity),
            head,
        })
    }

    /// Notifications that the log had already when they arrived.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.meters().duplicates.load(Ordering::Relaxed)
    }

    /// What the writer has done.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// When the files are synced.
    #[must_use]
    pub fn sync_mode(&self) -> SyncMode {
        self.sync
    }

    /// Pushes that are not on disk yet.
    #[must_use]
    pub fn waiting_pushes(&self) -> Waits {
        self.shared.pushes.waits()
    }

    /// Refusals that are not written yet.
    #[must_use]
    pub fn waiting_refusals(&self) -> Waits {
        self.shared.refusals.waits()
    }

    /// Hands over an entry that nobody waits for. If there is no room it is dropped and counted.
    pub fn offer(&self, entry: Entry) {
        if self.send(entry, None).is_err() {
            self.shared.drop_refusals(1);
        }
    }

    /// Asks the writer to check now whether somebody renamed the files, as logrotate does. If so,
    /// the writer continues in the files that have the names now, and creates a file that is
    /// missing. Nothing is truncated. If a file cannot be opened, the old one stays in use.
    pub fn reopen(&self) {
        if self.shared.reopens.take(0, 1, 0) {
            // If the queue has no receiver, the writer has ended and there is nothing to reopen.
            drop(self.queue.try_send(Command::Reopen));
        }
    }

    /// Passes on the signed Date of a verified push. The Date proves that the time of day is this
    /// or later, so the writer measures the age of old files against it. Does not block.
    pub fn confirm_time(&self, date: SystemTime) {
        self.shared.confirm_time(date);
    }

    /// What the journal can do now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.vitals.health()
    }

    /// The free space for the logs, in bytes, as last measured: the writer tries that once a
    /// second. `None` before the first measurement.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.shared.vitals.free_bytes()
    }

    /// Waits until the journal has failed: from then on nothing is written until the next start.
    pub async fn failed(&self) {
        self.shared.vitals.failed.cancelled().await;
    }

    /// Refusals that were not logged because there was no room.
    #[must_use]
    pub fn refusals_dropped(&self) -> u64 {
        self.meters().refusals_dropped.load(Ordering::Relaxed)
    }

    /// Writes and syncs all entries handed over so far, then ends the thread. Later entries fail.
    ///
    /// # Errors
    /// The journal had failed, or its thread panicked.
    pub async fn close(&self) -> Result<(), JournalError> {
        // Sending fails only if a close is already queued or the writer has ended.
        drop(self.queue.try_send(Command::Close));
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(JournalError::Failed);
            }
        }
        if self.shared.vitals.failed.is_cancelled() {
            Err(JournalError::Failed)
        } else {
            Ok(())
        }
    }

    fn send(&self, entry: Entry, waiting: Option<Waiting>) -> Result<(), JournalError> {
        let bytes = entry.held_bytes();
        let (queued, bytes_max) = match waiting {
            Some(_) => (&self.shared.pushes, self.limits.bytes_max),
            None => (&self.shared.refusals, self.limits.refused_bytes_max),
        };
        if !queued.take(bytes, self.limits.entries_max, bytes_max) {
            return Err(JournalError::Full);
        }
        let is_push = waiting.is_some();
        let sent = self.queue.try_send(Command::Write(entry, waiting));
        // Send before the unpark, because the unparked writer checks the queue. Refusals do not
        // unpark, as each would cost a wake-up of the thread that gathers them.
        if is_push {
            self.writer.unpark();
        }
        sent.map_err(|error| {
            queued.give_back(1, bytes);
            match error {
                mpsc::TrySendError::Full(_) => JournalError::Full,
                mpsc::TrySendError::Disconnected(_) => JournalError::Failed,
            }
        })
    }
}
