//! Both files and their directory, locked: they are reopened, rotated, set aside, deleted by age.
//!
//! [`Logs`](crate::journal::logs::Logs) decides when.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use strum::IntoEnumIterator as _;

use crate::disk::{
    Blank, Disk, DiskFile, FileId, FileReader, Latched, NotReplaced, Open, Replace, parent,
    sync_dir,
};
use crate::journal::Log;
use crate::journal::logs::file::LiveFile;
use crate::journal::logs::names::Names;
use crate::journal::logs::per_log::PerLog;

/// Both files, locked against every other process.
pub struct LogFiles {
    pub(super) disk: Latched,
    pub(super) names: Names,
    pub(super) mode: u32,
    pub(super) live: PerLog<LiveFile>,
    pub(super) dir: Directory,
    /// Only keeps the lock.
    pub(super) lock: Box<dyn DiskFile>,
}

/// The directory of the files. It stays open, so that a sync needs no further file descriptor and
/// follows the directory if somebody moves it. Its syncs bypass the latch: a caller whose sync
/// fails gives up, which closes the latch, and then syncs the directory once more.
pub(super) struct Directory {
    file: Box<dyn DiskFile>,
    id: FileId,
}

impl Directory {
    pub(super) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        let file = disk.open(dir, Open::Directory)?;
        let id = file.identity()?;
        Ok(Self { file, id })
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

impl LogFiles {
    /// Whether the name of a log now leads to another file or to none, because somebody renamed or
    /// deleted it.
    pub(super) fn is_moved(&self, log: Log) -> io::Result<bool> {
        match self.disk.identity(&self.names.live(log)) {
            Ok(there) => Ok(there != self.live[log].id()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Switches to the file that the name leads to, and creates it if it does not exist. After an
    /// error the old file stays in use.
    pub(super) fn reopen(&mut self, log: Log) -> io::Result<()> {
        self.follow_dir()?;
        let path = self.names.live(log);
        self.live[log] = LiveFile::new(self.disk.open(&path, Open::Append { mode: self.mode })?)?;
        Ok(())
    }

    /// If the directory was moved away and another one has its name, locks that one and uses it
    /// from now on.
    fn follow_dir(&mut self) -> io::Result<()> {
        let dir = Directory::open(self.disk.unlatched(), &self.names.dir)?;
        if dir.id != self.dir.id {
            let mode = self.mode;
            let lock = self.disk.open(&self.names.lock(), Open::Append { mode })?;
            lock.try_lock()?;
            // The directory's creator may not have synced its name. This bypasses the latch: after
            // a failure the old file stays in use, and nothing that was acknowledged is in doubt.
            sync_dir(self.disk.unlatched(), parent(&self.names.dir))?;
            (self.dir, self.lock) = (dir, lock);
        }
        Ok(())
    }

    /// Renames a log to the next rotated name and continues with an empty file. After an error the
    /// old file stays in use, under either name.
    pub(super) fn rotate(&mut self, log: Log) -> io::Result<()> {
        let number = self.names.next_number(&self.disk, log)?;
        let (live, rotated) = (self.names.live(log), self.names.rotated(log, number));
        self.disk.rename(&live, &rotated)?;
        let reopened = self.reopen(log);
        if reopened.is_err() {
            // If this fails too, the next check finds that the file was moved and reopens the log.
            drop(self.disk.rename(&rotated, &live));
        }
        reopened
    }

    /// Renames a log to a name that nothing reads automatically.
    pub(super) fn suspect(&self, log: Log) -> io::Result<()> {
        let mut paths = (0..).map(|number| self.names.suspect(log, number));
        let free = paths
            .find(|path| self.disk.identity(path).is_err())
            .unwrap_or_else(|| self.names.suspect(log, u64::MAX));
        self.disk.rename(&self.names.live(log), &free)
    }

    /// Saves a torn end in a separate file, durably.
    ///
    /// A torn end was never acknowledged. So a failed sync here says nothing about the logs and
    /// must not close the latch: a start succeeds without room for what a crash left.
    pub(super) fn set_aside(&self, log: Log, torn: &[u8]) -> io::Result<()> {
        let disk = self.disk.unlatched();
        let mode = self.mode;
        let mut file = disk.open(&self.names.torn(log), Open::Append { mode })?;
        file.append(torn)?;
        file.sync()?;
        sync_dir(disk, &self.names.dir)
    }

    /// Deletes rotated files of both logs, and daily diagnostic logs but the newest, if nothing was
    /// written to them since `before`. Returns their number. Each is also counted in `deletions` at
    /// once, because an error replaces the number.
    pub(super) fn prune(&self, before: SystemTime, deletions: &AtomicU64) -> io::Result<usize> {
        let mut deleted = 0_usize;
        let mut failure = None;
        let rotated = self.names.all_rotated(&self.disk)?.into_iter();
        let old = rotated.chain(self.names.diagnostics(&self.disk)?);
        for path in old {
            let modified = self.disk.modified(&path);
            let is_old = modified.is_some_and(|modified| modified < before);
            if !is_old {
                continue;
            }
            match self.disk.remove(&path) {
                Ok(()) => {
                    deleted = deleted.saturating_add(1);
                    deletions.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // One failure does not prevent the other deletions.
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(deleted), Err)
    }

    /// When the newest rotated file of both logs was last written, if there is one and that is
    /// known.
    pub(super) fn newest_rotated(&self) -> Option<SystemTime> {
        let rotated = self.names.all_rotated(&self.disk).ok()?;
        let modified = rotated.iter().filter_map(|path| self.disk.modified(path));
        modified.max()
    }

    /// The numbers of the rotated files of a log, the oldest first.
    pub(in crate::journal) fn rotated(&self, log: Log) -> io::Result<Vec<u64>> {
        self.names.rotated_numbers(&self.disk, log)
    }

    /// Opens a rotated file for reading or, without a number, the live file.
    pub(in crate::journal) fn read(&self, log: Log, number: Option<u64>) -> io::Result<FileReader> {
        let path = number.map_or_else(
            || self.names.live(log),
            |number| self.names.rotated(log, number),
        );
        Ok(FileReader::new(self.disk.open(&path, Open::Read)?))
    }

    /// Reads up to `bytes_max` bytes before an offset in a live log.
    pub(in crate::journal) fn before(
        &self,
        log: Log,
        place: u64,
        bytes_max: u64,
    ) -> io::Result<Vec<u8>> {
        let len = place.min(bytes_max);
        let mut before = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.live[log].read_exact_at(&mut before, place.saturating_sub(len))?;
        Ok(before)
    }

    /// Reads the last snapshot of the duplicates.
    pub(in crate::journal) fn load_snapshot(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.disk.open(&self.names.snapshot(), Open::Read)?;
        FileReader::new(file).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Saves a snapshot of the duplicates. It has 16 MB, and a start can do without it, so it is
    /// not synced. Its checksum shows whether a crash damaged it.
    pub(in crate::journal) fn save_snapshot(&self, bytes: &[u8]) -> io::Result<()> {
        let path = self.names.snapshot();
        let draft = path.with_extension("seen.new");
        let (path, draft, mode) = (path.as_path(), draft.as_path(), self.mode);
        Replace { path, draft, mode }
            .unsynced_with(&self.disk, bytes)
            .map_err(|NotReplaced { cause, .. }| cause)
    }

    /// Appends to a log during a start, before its length is tracked.
    pub(in crate::journal) fn append(&mut self, log: Log, bytes: &[u8]) -> io::Result<()> {
        self.live[log].append(bytes)
    }

    /// Opens a live log for writes at any offset, to restore what a power cut lost within it.
    pub(in crate::journal) fn open_in_place(&self, log: Log) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&self.names.live(log), Open::InPlace)
    }

    /// Opens the commit log.
    pub(in crate::journal) fn open_commit_log(&self) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&self.names.commit_log(), Open::InPlace)
    }

    /// The identity of the file that the name of the commit log leads to.
    pub(in crate::journal) fn commit_log_identity(&self) -> io::Result<FileId> {
        self.disk.identity(&self.names.commit_log())
    }

    /// Whether the name of the directory still leads to the directory of the logs.
    pub(in crate::journal) fn is_dir_in_place(&self) -> bool {
        let there = self.disk.identity(&self.names.dir);
        there.is_ok_and(|there| there == self.dir.id)
    }

    /// Removes the commit log.
    pub(in crate::journal) fn remove_commit_log(&self) -> io::Result<()> {
        self.disk.remove(&self.names.commit_log())
    }

    /// Removes the commit log, durably: the logs have its frames, and no later start may find them.
    /// Also removes a draft that a stop left.
    pub(in crate::journal) fn discard_commit_log(&mut self) -> io::Result<()> {
        drop(self.disk.remove(&self.names.commit_log_draft()));
        match self.remove_commit_log() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.dir.sync()),
        }
    }

    /// A commit log for another thread to create.
    pub(in crate::journal) fn new_commit_log(&self, bytes: u64) -> Blank {
        Blank {
            disk: self.disk.clone(),
            path: self.names.commit_log(),
            draft: self.names.commit_log_draft(),
            mode: self.mode,
            bytes,
        }
    }

    /// Makes both logs durable.
    pub(in crate::journal) fn sync(&mut self) -> io::Result<()> {
        Log::iter().try_for_each(|log| self.live[log].sync())
    }

    /// The free space for the files, in bytes.
    pub(in crate::journal) fn free_bytes(&self) -> io::Result<u64> {
        self.dir.file.free_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::journal::FileOptions;

    #[test]
    fn rotated_files_are_deleted_by_age_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::open(FileOptions {
            dir: dir.path().to_owned(),
            port: 1,
            mode: 0o640,
        })
        .unwrap();
        let now = SystemClock.now();
        let old = [
            "endpoint_log.1.1",
            "access_log.1.1",
            "endpoint_log.1.torn",
            "endpoint_log.1.2.gz",
            "endpoint_log.10.1",
        ];
        for name in old {
            std::fs::write(dir.path().join(name), "x").unwrap();
            let file = std::fs::File::options()
                .append(true)
                .open(dir.path().join(name))
                .unwrap();
            file.set_modified(now - Duration::from_secs(100)).unwrap();
        }
        std::fs::write(dir.path().join("endpoint_log.1.3"), "x").unwrap();
        let deletions = AtomicU64::new(0);
        let prune = |age| {
            files
                .prune(now - Duration::from_secs(age), &deletions)
                .unwrap()
        };
        assert_eq!((prune(101), prune(50)), (0, 2));
        assert_eq!(deletions.into_inner(), 2);
        let left = old[2..]
            .iter()
            .chain(&["endpoint_log.1.3", "endpoint_log.1", "access_log.1"]);
        for name in left {
            assert!(dir.path().join(name).exists(), "{name}");
        }
    }
}
