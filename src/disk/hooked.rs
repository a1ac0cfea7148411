//! The real disk with a hook in some of its calls, for tests.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::disk::{Disk, DiskFile, FileId, Open, RealDisk};

/// A call at which the hook is called.
pub(crate) enum Call<'a> {
    /// A file will be opened.
    Open,
    /// A file was opened.
    Opened(&'a Path, Open),
    /// A file will be renamed.
    Rename,
    /// A directory will be listed.
    List,
}

/// The real disk. Its hook may block a call, do something at it, or let it fail.
pub(crate) struct Hooked<H>(pub(crate) H);

impl<H: Fn(Call<'_>) -> io::Result<()> + Send + Sync> Disk for Hooked<H> {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        (self.0)(Call::Open)?;
        let file = RealDisk.open(path, how)?;
        (self.0)(Call::Opened(path, how))?;
        Ok(file)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.make_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.0)(Call::Rename)?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        (self.0)(Call::List)?;
        RealDisk.list(dir)
    }

    fn identity(&self, path: &Path) -> io::Result<FileId> {
        RealDisk.identity(path)
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        RealDisk.modified(path)
    }
}
