//! The account's database, read and written in complete transactions.

use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase as _, WriteTransaction,
};

use crate::emulator::account::error::{AccountError, OpenError};
use crate::emulator::account::tables;

/// The size of the database's cache, in bytes.
// The default of redb is 1 GiB, too much for a tool on a laptop or in a CI job.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// The file in the account's directory.
const FILE: &str = "emulator.redb";
/// The maximum number of lazy commits between two durable ones.
// The documentation promises that at most this many delivered pushes are repeated after a kill.
const LAZY_COMMITS_MAX: u32 = 64;

/// The state of the account's thread.
pub(super) struct Books {
    database: Database,
    /// Commits since the last durable one.
    lazy_commits: u32,
}

/// Whether a commit must be durable before it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    /// It must: a client gets a success for it.
    Durable,
    /// It need not: after a crash the emulator only repeats the work.
    Lazy,
}

impl Books {
    /// Opens the database in `dir`, or an empty one in memory.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, OpenError> {
        Ok(Self {
            database: open_database(dir)?,
            lazy_commits: 0,
        })
    }

    /// Runs `work` on a snapshot of the database.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        work(&self.database.begin_read()?)
    }

    /// Runs `work` in one transaction, which is committed unless it fails.
    pub(super) fn write<T>(
        &mut self,
        commit: Commit,
        work: impl FnOnce(&WriteTransaction) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        let mut transaction = self.database.begin_write()?;
        // A lazy commit reaches the disk with the next durable one. The limit on consecutive lazy
        // commits also limits how many pushes are repeated after a crash.
        let is_lazy = commit == Commit::Lazy && self.lazy_commits < LAZY_COMMITS_MAX;
        if is_lazy {
            transaction.set_durability(Durability::None)?;
        }
        // On an error the transaction is dropped, which undoes what it has written.
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
    // The same database in memory, so that tables and transactions behave as they do on disk.
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
    // `create` also opens an existing database.
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
    use std::sync::Arc;
    use std::time::Duration;

    use redb::ReadableTableMetadata as _;

    use super::*;

    #[test]
    fn an_empty_account_is_read_while_something_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for dir in [None, Some(dir.path())] {
            let books = Arc::new(Books::open(dir).unwrap());
            let writing = books.database.begin_write().unwrap();
            let (sender, counted) = std::sync::mpsc::channel();
            let reader = books.clone();
            std::thread::spawn(move || {
                let count = reader
                    .read(|transaction| Ok(transaction.open_table(tables::DELIVERIES)?.len()?));
                sender.send(count.unwrap()).unwrap();
            });
            assert_eq!(counted.recv_timeout(Duration::from_secs(10)), Ok(0));
            // Dropped after the count was received, which proves that the reader did not wait for
            // the writer.
            drop(writing);
        }
    }
}
