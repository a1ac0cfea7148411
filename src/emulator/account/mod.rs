//! The account that the emulator plays: its topics, subscriptions and undelivered messages.
//!
//! One thread owns the database and does one piece of work after another, so each is a whole:
//! nobody sees half of it, and what was answered is on disk where the account has a directory.
//! Without one the same database lives in memory.

mod messages;
mod names;
mod subscriptions;
mod tables;
mod topics;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase as _, WriteTransaction,
};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::emulator::refusal::Refusal;

pub(super) use messages::{Delivery, Due, NewMessage, Outcome};
pub(super) use names::{PAGE_ENTRIES_MAX, Page, Pages};
pub(super) use subscriptions::Key;

/// Pieces of work that may wait for the thread.
const WORK_WAITING_MAX: usize = 1024;
/// How much of the database is kept in memory, in bytes.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// The database in the account's directory.
const FILE: &str = "emulator.redb";
/// Commits that nobody waits for are made durable at least this often.
const LAZY_COMMITS_MAX: u32 = 64;

type Work = Box<dyn FnOnce(&mut Books) + Send>;

/// The handle to the account.
pub(super) struct Account {
    work: mpsc::Sender<Option<Work>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    clock: Arc<dyn Clock>,
}

/// The account cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or the file in it cannot be used.
    #[error("cannot use {path}: {cause}; choose another --data, or mend what stands there")]
    Unusable {
        /// The file.
        path: String,
        /// What the database said.
        cause: String,
    },
    /// Another process has it.
    #[error("{0} is in use by another emulator: give this one another --data")]
    InUse(String),
    /// No thread can be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// Why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    /// The service would refuse it too.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] redb::Error),
    /// The account was closed.
    #[error("the emulator is stopping")]
    Closed,
}

/// Each step of the database has an error of its own; all of them end the piece of work.
macro_rules! are_the_databases {
    ($($error:ty),*) => {
        $(impl From<$error> for AccountError {
            fn from(error: $error) -> Self {
                Self::Database(error.into())
            }
        })*
    };
}

are_the_databases!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

/// What the thread owns.
struct Books {
    database: Database,
    /// Commits since the last durable one.
    lazy_commits: u32,
}

/// Whether a commit has to be durable before it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commit {
    /// It does: somebody is told.
    Durable,
    /// What is lost by a crash is only done again.
    Lazy,
}

impl Account {
    /// Opens the account in `dir`, or an empty one in memory.
    pub(super) fn open(dir: Option<&Path>, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let mut books = Books {
            database: open_database(dir)?,
            lazy_commits: 0,
        };
        let (work, mut waiting) = mpsc::channel::<Option<Work>>(WORK_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("account".to_owned())
            .spawn(move || {
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

    /// Ends the thread; the database is closed when this returns.
    pub(super) async fn close(&self) {
        // An error is a thread that has ended already.
        drop(self.work.send(None).await);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }

    /// Changes something, in one transaction. A dropped future takes nothing back.
    async fn write<T: Send + 'static>(
        &self,
        commit: Commit,
        work: impl FnOnce(&WriteTransaction) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        self.ask(move |books| books.write(commit, work)).await
    }

    /// Looks something up.
    async fn read<T: Send + 'static>(
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
        let work: Work = Box::new(move |books| drop(sender.send(work(books))));
        self.work
            .send(Some(work))
            .await
            .map_err(|_closed| AccountError::Closed)?;
        answer.await.unwrap_or(Err(AccountError::Closed))
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

impl Books {
    fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        work(&self.database.begin_read()?)
    }

    fn write<T>(
        &mut self,
        commit: Commit,
        work: impl FnOnce(&WriteTransaction) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        let mut transaction = self.database.begin_write()?;
        let is_lazy = commit == Commit::Lazy && self.lazy_commits < LAZY_COMMITS_MAX;
        if is_lazy {
            transaction.set_durability(Durability::None)?;
        }
        let done = work(&transaction)?;
        transaction.commit()?;
        self.lazy_commits = if is_lazy {
            self.lazy_commits.saturating_add(1)
        } else {
            0
        };
        Ok(done)
    }
}

fn open_database(dir: Option<&Path>) -> Result<Database, OpenError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let Some(dir) = dir else {
        let unusable = |cause: redb::Error| OpenError::Unusable {
            path: "memory".to_owned(),
            cause: cause.to_string(),
        };
        let made = builder
            .create_with_backend(InMemoryBackend::new())
            .map_err(|error| unusable(error.into()))?;
        return tables::make(&made).map(|()| made).map_err(unusable);
    };
    let path = dir.join(FILE);
    let unusable = |cause: String| OpenError::Unusable {
        path: path.display().to_string(),
        cause,
    };
    std::fs::create_dir_all(dir).map_err(|error| unusable(error.to_string()))?;
    let database = builder.create(&path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.display().to_string()),
        other => unusable(other.to_string()),
    })?;
    tables::make(&database)
        .map(|()| database)
        .map_err(|error| unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redb::ReadableTableMetadata as _;

    use super::*;

    #[test]
    fn an_empty_account_is_read_while_something_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for dir in [None, Some(dir.path())] {
            let books = Arc::new(Books {
                database: open_database(dir).unwrap(),
                lazy_commits: 0,
            });
            let writing = books.database.begin_write().unwrap();
            let (sender, told) = std::sync::mpsc::channel();
            let reader = books.clone();
            std::thread::spawn(move || {
                let count = reader
                    .read(|transaction| Ok(transaction.open_table(tables::DELIVERIES)?.len()?));
                sender.send(count.unwrap()).unwrap();
            });
            assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(0));
            drop(writing);
        }
    }
}
