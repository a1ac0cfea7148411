//! Why the account cannot be opened, or did not carry out a request.

use crate::emulator::refusal::Refusal;

/// The account cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or the file in it cannot be used.
    #[error("cannot use {path}: {cause}; choose another --data, or repair the file")]
    Unusable {
        /// The file.
        path: String,
        /// The error of the database.
        cause: String,
    },
    /// Another process uses it.
    #[error("{0} is in use by another emulator: give this one another --data")]
    InUse(String),
    /// The thread of the account cannot be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// Why the account did not carry out a request.
#[derive(Debug, thiserror::Error)]
pub(in crate::emulator) enum AccountError {
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

/// redb has an error type for each step. All of them end the request in the same way.
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
