//! The handle to the account, and the thread that works for it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use redb::{ReadTransaction, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::emulator::account::books::{Books, Commit};
use crate::emulator::account::error::{AccountError, OpenError};

/// Requests that may wait for the thread. Any further one waits until it can be queued.
// Bounded, because each request may contain a message, and clients send faster than a disk syncs.
const WORK_WAITING_MAX: usize = 1024;

type Work = Box<dyn FnOnce(&mut Books) + Send>;

/// The handle to the account.
pub(in crate::emulator) struct Account {
    work: mpsc::Sender<Option<Work>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    clock: Arc<dyn Clock>,
}

/// What a request to create something did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emulator) enum Creation {
    /// It was created.
    New,
    /// It already existed, with the same attributes.
    Unchanged,
}

impl Account {
    /// Opens the account in `dir`, or an empty one in memory.
    pub(in crate::emulator) fn open(
        dir: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let mut books = Books::open(dir)?;
        let (work, mut waiting) = mpsc::channel::<Option<Work>>(WORK_WAITING_MAX);
        // A thread of its own, because calls of redb block until the disk answers.
        let thread = std::thread::Builder::new()
            .name("account".to_owned())
            .spawn(move || {
                // `None` asks the thread to end.
                while let Some(Some(work)) = waiting.blocking_recv() {
                    work(&mut books);
                }
            })?;
        Ok(Self {
            work,
            thread: Mutex::new(Some(thread)),
            clock,
        })
    }

    /// Ends the thread. The database is closed when this returns.
    pub(in crate::emulator) async fn close(&self) {
        // An error means that the thread has already ended.
        drop(self.work.send(None).await);
        // Taken out of the lock, which must not be held across the await below.
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // `join` blocks, so it must not run on a thread of the runtime. A panic has been
            // reported already.
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }

    /// Changes something, in one transaction. Dropping the future does not cancel it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        commit: Commit,
        work: impl FnOnce(&WriteTransaction) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        self.ask(move |books| books.write(commit, work)).await
    }

    /// Reads something, in one transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        self.ask(move |books| books.read(work)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Books) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let (sender, answer) = oneshot::channel();
        // Sending fails if the caller has stopped waiting. The work is done all the same.
        let work: Work = Box::new(move |books| drop(sender.send(work(books))));
        self.work
            .send(Some(work))
            .await
            .map_err(|_closed| AccountError::Closed)?;
        // If the thread ends first, or panics, the sender is dropped without an answer.
        answer.await.unwrap_or(Err(AccountError::Closed))
    }

    /// The time since 1970; 0 before that.
    pub(super) fn unix_time(&self) -> Duration {
        let now = self.clock.now();
        now.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    }
}
