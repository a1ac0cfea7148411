//! The disk, as thin as it can be: two files that grow at their end and are synced.
//!
//! A seam: tests put a storage in its place that fails, tears and forgets. The real one is
//! [`FileStorage`](crate::journal::FileStorage).

use std::io;
use std::time::SystemTime;

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::EnumCount)]
pub enum Log {
    /// `endpoint_log.PORT`
    Endpoint,
    /// `access_log.PORT`
    Access,
}

/// Two append-only files.
pub trait Storage: Send {
    /// The length of a file, in bytes.
    ///
    /// # Errors
    /// The disk's.
    fn len(&self, log: Log) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// The disk's, or the end of the file.
    fn read_at(&self, log: Log, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Appends all of `bytes`; after an error any part of them may stand at the end.
    ///
    /// # Errors
    /// The disk's.
    fn append(&mut self, log: Log, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file back to `len` bytes.
    ///
    /// # Errors
    /// The disk's.
    fn truncate(&mut self, log: Log, len: u64) -> io::Result<()>;

    /// Makes a file durable, as it is. After an error nothing is known of what is on disk.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&mut self, log: Log) -> io::Result<()>;

    /// Puts what a crash left behind into a file of its own, durably.
    ///
    /// # Errors
    /// The disk's.
    fn set_aside(&mut self, log: Log, torn: &[u8]) -> io::Result<()>;

    /// Whether the name of a file leads to another file or to none by now: somebody renamed or
    /// deleted it.
    ///
    /// # Errors
    /// The disk's.
    fn is_moved(&self, log: Log) -> io::Result<bool>;

    /// Whether the file has a name at all, be it another one: without one it is gone when it is
    /// closed.
    ///
    /// # Errors
    /// The disk's.
    fn has_name(&self, log: Log) -> io::Result<bool>;

    /// Goes on with the file that the name leads to, made where there is none. After an error the
    /// old one stays in use.
    ///
    /// # Errors
    /// The disk's.
    fn reopen(&mut self, log: Log) -> io::Result<()>;

    /// Renames a file to the newest of the rotated ones and goes on with an empty one. After an
    /// error the old one stays in use, under either name.
    ///
    /// # Errors
    /// The disk's.
    fn rotate(&mut self, log: Log) -> io::Result<()>;

    /// Makes it durable which names there are and what they lead to.
    ///
    /// # Errors
    /// The disk's.
    fn sync_names(&mut self) -> io::Result<()>;

    /// Renames a file so that nothing ever reads it by itself.
    ///
    /// # Errors
    /// The disk's.
    fn suspect(&mut self, log: Log) -> io::Result<()>;

    /// Deletes rotated files of both logs, and daily files of the diagnostic log but the newest, to
    /// which nothing was written since `before`; gives their number.
    ///
    /// # Errors
    /// The disk's; some may be deleted.
    fn prune(&mut self, before: SystemTime) -> io::Result<usize>;

    /// When the newest of the rotated files of both logs was last written; `None` if there is none.
    ///
    /// # Errors
    /// The disk's.
    fn newest_rotated(&self) -> io::Result<Option<SystemTime>> {
        Ok(None)
    }

    /// The numbers of the rotated files of a log, the oldest first.
    ///
    /// # Errors
    /// The disk's.
    fn rotated(&self, log: Log) -> io::Result<Vec<u64>>;

    /// Opens a rotated file, or without a number the one that is written, for reading.
    ///
    /// # Errors
    /// The disk's.
    fn read(&self, log: Log, number: Option<u64>) -> io::Result<Box<dyn Reading>>;

    /// What was saved last.
    ///
    /// # Errors
    /// The disk's, or nothing was.
    fn load_seen(&self) -> io::Result<Vec<u8>>;

    /// Saves what is known of duplicates. After a crash it may be gone or broken, which its
    /// checksum tells.
    ///
    /// # Errors
    /// The disk's.
    fn save_seen(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The space that is left for more.
    ///
    /// # Errors
    /// The disk's.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A file that is read from any place on.
pub trait Reading: io::Read + io::Seek {}

impl<T: io::Read + io::Seek> Reading for T {}

impl Log {
    /// Its place in a list of both.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Endpoint => 0,
            Self::Access => 1,
        }
    }

    /// The file's name, without the port.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint_log",
            Self::Access => "access_log",
        }
    }
}
