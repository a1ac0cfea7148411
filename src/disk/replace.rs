//! Replaces a small file atomically.
//!
//! The new file is written under another name, synced and renamed. Readers, even after a crash, see
//! either the old file or the new one.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::disk::{Disk, Open, RealDisk, parent, sync_dir};

/// The path and the permissions of a small file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replace<'a> {
    /// The file.
    pub path: &'a Path,
    /// The path under which it is written first, in the same directory. Concurrent writers need
    /// different ones.
    pub draft: &'a Path,
    /// Its permissions, before the umask.
    pub mode: u32,
}

/// A step that failed.
#[derive(Debug)]
pub(crate) struct NotReplaced {
    /// The step, as in "write".
    pub doing: &'static str,
    /// The path.
    pub path: PathBuf,
    /// The error of the system.
    pub cause: io::Error,
}

impl Replace<'_> {
    /// Replaces the file with one that has these bytes, durably.
    pub(crate) fn with(self, disk: &dyn Disk, bytes: &[u8]) -> Result<(), NotReplaced> {
        self.write_draft(disk, bytes, true)?;
        self.put_in_place(disk)?;
        // A rename is durable only once the directory is synced.
        let dir = parent(self.path);
        sync_dir(disk, dir).map_err(failed("sync", dir))
    }

    /// The same without a sync, for a file that is only an optimisation. After a crash it may be
    /// missing or damaged, which its reader must detect.
    pub(crate) fn unsynced_with(self, disk: &dyn Disk, bytes: &[u8]) -> Result<(), NotReplaced> {
        self.write_draft(disk, bytes, false)?;
        self.put_in_place(disk)
    }

    /// Creates the file, durably. [`io::ErrorKind::AlreadyExists`] if there is one by now.
    pub(crate) fn make_new(self, bytes: &[u8]) -> Result<(), NotReplaced> {
        self.write_draft(&RealDisk, bytes, true)?;
        // Unlike a rename this fails if the file exists. The draft is removed in either case.
        let put = TempPath::try_from_path(self.draft).and_then(|draft| {
            let put = draft.persist_noclobber(self.path);
            put.map_err(io::Error::from)
        });
        put.map_err(failed("put in place", self.path))?;
        let dir = parent(self.path);
        sync_dir(&RealDisk, dir).map_err(failed("sync", dir))
    }

    fn write_draft(
        &self,
        disk: &dyn Disk,
        bytes: &[u8],
        is_durable: bool,
    ) -> Result<(), NotReplaced> {
        let written = disk
            .open(self.draft, Open::Draft { mode: self.mode })
            .and_then(|mut draft| {
                draft.write_at(bytes, 0)?;
                if is_durable { draft.sync() } else { Ok(()) }
            });
        written
            // What is reported is the first error, whether or not the draft can be removed.
            .inspect_err(|_| drop(disk.remove(self.draft)))
            .map_err(failed("write", self.draft))
    }

    fn put_in_place(&self, disk: &dyn Disk) -> Result<(), NotReplaced> {
        disk.rename(self.draft, self.path)
            .inspect_err(|_| drop(disk.remove(self.draft)))
            .map_err(failed("put in place", self.path))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NotReplaced {
    move |cause| NotReplaced {
        doing,
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_completely_or_stays_and_no_draft_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (path, draft) = (dir.path().join("file"), dir.path().join("file.new"));
        let replace = Replace {
            path: &path,
            draft: &draft,
            mode: 0o600,
        };
        replace.make_new(b"one").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let taken = replace.make_new(b"other").unwrap_err();
        assert_eq!(taken.cause.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        // Longer than the new content, so that its end would remain in a draft that is not
        // truncated.
        fs::write(&draft, "of a crash, and longer").unwrap();
        replace.with(&RealDisk, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        replace.unsynced_with(&RealDisk, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        // A directory cannot be replaced by a file.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let failed = replace.with(&RealDisk, b"four").unwrap_err();
        assert_eq!((failed.doing, failed.path), ("put in place", path.clone()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
