//! A disk that accepts no more writes after the first failed sync.
//!
//! After a failed sync the kernel may have dropped the data, and it reports success for the next
//! sync. So one failure, of a file or a directory, closes the latch for every file of this disk:
//! nothing more is written or synced. Truncating and renaming still work, because what was not
//! acknowledged must be removed from the logs.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::disk::{Disk, DiskFile, FileId, Open};

/// A disk behind a latch.
pub struct Latched<D: ?Sized = dyn Disk> {
    latch: Latch,
    disk: Arc<D>,
}

/// Closed once, never reopened.
#[derive(Debug, Clone, Default)]
struct Latch(Arc<AtomicBool>);

struct LatchedFile {
    latch: Latch,
    file: Box<dyn DiskFile>,
}

impl<D: Disk + ?Sized> Latched<D> {
    /// A disk on which no sync has failed yet.
    #[must_use]
    pub fn new(disk: Arc<D>) -> Self {
        let latch = Latch::default();
        Self { latch, disk }
    }

    /// The disk without the latch, for files without acknowledged records: a failed sync of one
    /// says nothing about the logs.
    pub(crate) fn unlatched(&self) -> &D {
        &self.disk
    }

    /// Closes the latch for another reason: the content of the disk is unknown.
    pub(crate) fn close(&self) {
        self.latch.close();
    }

    /// Fails if the latch is closed.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.latch.check()
    }
}

impl Latch {
    fn close(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    // Relaxed, because the flag guards no other memory. A thread that sees it late writes to a file
    // whose own syncs have not failed.
    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(io::Error::other("a sync failed before"))
        } else {
            Ok(())
        }
    }
}

impl<D: ?Sized> Clone for Latched<D> {
    fn clone(&self) -> Self {
        let (latch, disk) = (self.latch.clone(), self.disk.clone());
        Self { latch, disk }
    }
}

impl<D: Disk + ?Sized> Disk for Latched<D> {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(path, how)?;
        let latch = self.latch.clone();
        Ok(Box::new(LatchedFile { latch, file }))
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.make_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(dir)
    }

    fn identity(&self, path: &Path) -> io::Result<FileId> {
        self.disk.identity(path)
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.disk.modified(path)
    }
}

impl DiskFile for LatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.latch.check()?;
        self.file.write_at(bytes, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.latch.check()?;
        self.file.append(bytes)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        // Extending the file would be a write of zeros.
        if self.latch.check().is_err() && len > self.file.len()? {
            return self.latch.check();
        }
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.latch.check()?;
        self.file.sync().inspect_err(|_| self.latch.close())
    }

    fn begin_write_back(&self, offset: u64, len: u64) {
        self.file.begin_write_back(offset, len);
    }

    fn uncache(&self, offset: u64, len: u64) {
        self.file.uncache(offset, len);
    }

    fn duplicate(&self) -> io::Result<Box<dyn DiskFile>> {
        let (latch, file) = (self.latch.clone(), self.file.duplicate()?);
        Ok(Box::new(Self { latch, file }))
    }

    fn identity(&self) -> io::Result<FileId> {
        self.file.identity()
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.file.is_linked()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.file.free_bytes()
    }

    fn try_lock(&self) -> Result<(), TryLockError> {
        self.file.try_lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn after_a_failed_sync_files_can_only_be_truncated_and_renamed() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        const APPEND: Open = Open::Append { mode: 0o600 };
        let dir = tempfile::tempdir().unwrap();
        let [log, draft, fifo] = ["log", "draft", "fifo"].map(|name| dir.path().join(name));
        let disk = Latched::new(Arc::new(RealDisk));
        let mut log_file = disk.open(&log, APPEND).unwrap();
        let mut draft_file = disk.open(&draft, Open::Draft { mode: 0o600 }).unwrap();
        let mut directory = disk.open(dir.path(), Open::Directory).unwrap();
        log_file.append(b"acknowledged, not").unwrap();
        log_file.sync().unwrap();
        directory.sync().unwrap();
        // The kernel fails to sync a FIFO, and reports it.
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        let mut broken = disk.open(&fifo, Open::AppendToAny { mode: 0o600 }).unwrap();
        assert!(broken.sync().is_err());
        for file in [&mut log_file, &mut draft_file] {
            assert!(file.append(b"x").is_err(), "append");
            assert!(file.write_at(b"x", 0).is_err(), "write_at");
            assert!(file.sync().is_err(), "sync");
        }
        assert!(directory.sync().is_err(), "sync of the directory");
        assert!(log_file.set_len(100).is_err(), "longer");
        let mut later = disk.open(&log, APPEND).unwrap();
        assert!(later.append(b"x").is_err(), "opened since");
        // The length of `acknowledged`.
        log_file.set_len(12).unwrap();
        disk.rename(&log, &dir.path().join("log.suspect")).unwrap();
        let left = std::fs::read(dir.path().join("log.suspect")).unwrap();
        assert_eq!(left, b"acknowledged");
    }
}
