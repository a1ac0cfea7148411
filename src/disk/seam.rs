//! The interface to the disk, for the parts that store files.
//!
//! It knows files and names, but no logs. Rotation, numbering and torn ends are implemented above
//! it, so that a test with a faulty disk exercises the real code.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Files and their names.
pub trait Disk: Send + Sync {
    /// Opens a file, or creates it if `how` says so. Never waits for a peer.
    ///
    /// # Errors
    /// The disk's. [`io::ErrorKind::InvalidInput`] if something other than a regular file is there,
    /// unless `how` allows it.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a directory and its missing parents, durably.
    ///
    /// # Errors
    /// The disk's.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, replacing any file with the new name. Durable once the directory is synced.
    ///
    /// # Errors
    /// The disk's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// The disk's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in any order.
    ///
    /// # Errors
    /// The disk's.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// The identity of the file or directory that a name leads to, through symbolic links.
    ///
    /// # Errors
    /// The disk's. [`io::ErrorKind::NotFound`] if the name leads to nothing.
    fn identity(&self, path: &Path) -> io::Result<FileId>;

    /// When a regular file was last written. `None` if it does not exist or is something else.
    fn modified(&self, path: &Path) -> Option<SystemTime>;
}

/// An open file. If [`append`](Self::append) or [`write_at`](Self::write_at) fails, any part of the
/// bytes may be in the file.
#[expect(
    clippy::len_without_is_empty,
    reason = "whether a file is empty is asked nowhere"
)]
pub trait DiskFile: Send {
    /// The length, in bytes.
    ///
    /// # Errors
    /// The disk's.
    fn len(&self) -> io::Result<u64>;

    /// Reads into `buffer` from `offset` on. Returns the number of bytes, 0 at the end.
    ///
    /// # Errors
    /// The disk's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. Not for a file that was opened for appending: on such a
    /// descriptor Linux ignores the offset of a positioned write, and appends.
    ///
    /// # Errors
    /// The disk's.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Appends all of `bytes` to a file that was opened for appending.
    ///
    /// # Errors
    /// The disk's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Truncates the file to `len` bytes, or extends it to that length with zeros.
    ///
    /// # Errors
    /// The disk's.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes a file durable with its length, or the names in a directory. After an error the
    /// content of the disk is unknown.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&mut self) -> io::Result<()>;

    /// Asks the kernel to start writing the `len` bytes at `offset` to the disk, so that a later
    /// sync has less to do. This is a hint: it makes nothing durable, and may do nothing.
    fn begin_write_back(&self, offset: u64, len: u64);

    /// Informs the system that the `len` bytes at `offset`, which are on the disk, are not going to
    /// be read again soon. A hint: it may do nothing.
    fn uncache(&self, _offset: u64, _len: u64) {}

    /// A second handle to the same file, so that another thread can sync it.
    ///
    /// # Errors
    /// The disk's.
    fn duplicate(&self) -> io::Result<Box<dyn DiskFile>>;

    /// The identity of the file.
    ///
    /// # Errors
    /// The disk's.
    fn identity(&self) -> io::Result<FileId>;

    /// Whether the file still has some name. Without one it is deleted when it is closed.
    ///
    /// # Errors
    /// The disk's.
    fn is_linked(&self) -> io::Result<bool>;

    /// The free space on its file system for an unprivileged process, in bytes.
    ///
    /// # Errors
    /// The disk's.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Locks the file against every other process until it is closed.
    ///
    /// # Errors
    /// Another process has the lock, or the disk's.
    fn try_lock(&self) -> Result<(), TryLockError>;
}

/// The identity of a file. No other file has the same while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// The number of the device.
    pub device: u64,
    /// The number of the inode.
    pub inode: u64,
}

/// How to open a file. A `mode` applies to new files, before the umask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Reading.
    Read,
    /// Reading and appending. Created if it is missing.
    Append {
        /// The permissions.
        mode: u32,
    },
    /// The same, whatever kind of file is there, even a FIFO or a device.
    AppendToAny {
        /// The permissions.
        mode: u32,
    },
    /// Reading and writing at any offset of an existing file.
    InPlace,
    /// Writing from the beginning. Created if it is missing, truncated if it exists.
    Draft {
        /// The permissions.
        mode: u32,
    },
    /// A directory, to sync it and to measure its free space.
    Directory,
}

/// Reads a file for code that needs [`io::Read`] and [`io::Seek`].
pub struct FileReader {
    file: Box<dyn DiskFile>,
    place: u64,
}

impl FileReader {
    /// Starts at the beginning of `file`.
    #[must_use]
    pub fn new(file: Box<dyn DiskFile>) -> Self {
        Self { file, place: 0 }
    }
}

impl io::Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.place)?;
        self.place = self
            .place
            .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

impl io::Seek for FileReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let place = match to {
            io::SeekFrom::Start(place) => Some(place),
            io::SeekFrom::Current(by) => self.place.checked_add_signed(by),
            io::SeekFrom::End(by) => self.file.len()?.checked_add_signed(by),
        };
        self.place = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.place)
    }
}

/// Fills `buffer` from `offset` on.
///
/// # Errors
/// The disk's. [`io::ErrorKind::UnexpectedEof`] if the file ends earlier.
pub fn read_exact_at(
    file: &dyn DiskFile,
    mut buffer: &mut [u8],
    mut offset: u64,
) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = match file.read_at(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // A signal interrupted the read before it returned any bytes.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        buffer = buffer
            .split_at_mut_checked(read)
            .map_or(&mut [], |(_, rest)| rest);
        offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    Ok(())
}
