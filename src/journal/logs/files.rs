//! Both files and their directory, locked: they are reopened, rotated, set aside, deleted by age.
//!
//! [`Logs`](crate::journal::logs::Logs) decides when.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use strum::IntoEnumIterator as _;

use crate::disk::{
    Blank, Disk, DiskFile, FileId, FileReader, Latched, NotReplaced, Open, Replace, parent,
    sync_dir,
};
use crate::journal::Log;
use crate::journal::logs::age::is_old;
use crate::journal::logs::file::LiveFile;
use crate::journal::logs::holds::Holds;
use crate::journal::logs::names::{Names, Numbering};
use crate::journal::logs::per_log::PerLog;

/// Both files, locked against every other process.
pub struct LogFiles {
    pub(super) disk: Latched,
    pub(super) names: Names,
    pub(super) mode: u32,
    pub(super) live: PerLog<LiveFile>,
    pub(super) dir: Directory,
    /// Nothing uses this file: it only keeps the lock.
    pub(super) lock: Box<dyn DiskFile>,
}

/// The result of deleting old files.
pub(super) struct Pruned {
    pub(super) deleted: usize,
    /// Old files that were kept because a reader needs them.
    pub(super) held: usize,
    pub(super) failure: Option<io::Error>,
}

/// The directory of the files. It stays open, so that a sync needs no further file descriptor and
/// follows the directory if somebody moves it. Its syncs bypass the latch of [`Latched`], which
/// rejects every sync after a failed one. `Logs::give_up` closes the latch, may rename a log after
/// that, and then must still sync the directory.
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
    /// deleted the file.
    pub(super) fn is_moved(&self, log: Log) -> io::Result<bool> {
        match self.disk.identity(&self.names.live(log)) {
            Ok(there) => Ok(there != self.live[log].id()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Switches to the file that the name leads to. Creates a file if the name leads to none. After
    /// an error the old file stays in use.
    pub(super) fn reopen(&mut self, log: Log) -> io::Result<()> {
        self.follow_dir()?;
        let path = self.names.live(log);
        self.live[log] = LiveFile::new(self.disk.open(&path, Open::Append { mode: self.mode })?)?;
        Ok(())
    }

    /// If the directory was moved away and another one has its name, locks the other one and uses
    /// it from now on.
    fn follow_dir(&mut self) -> io::Result<()> {
        let dir = Directory::open(self.disk.unlatched(), &self.names.dir)?;
        if dir.id != self.dir.id {
            let mode = self.mode;
            let lock = self.disk.open(&self.names.lock(), Open::Append { mode })?;
            lock.try_lock()?;
            // Sync the parent, because whoever created the directory may not have done so. A failed
            // sync must not close the latch here, because the old file then stays in use.
            sync_dir(self.disk.unlatched(), parent(&self.names.dir))?;
            (self.dir, self.lock) = (dir, lock);
        }
        Ok(())
    }

    /// Renames a log to the next rotated name and continues with an empty file. After an error the
    /// old file stays in use, under its old or its new name.
    pub(super) fn rotate(&mut self, log: Log) -> io::Result<()> {
        let number = self.names.next_number(&self.disk, log)?;
        let (live, rotated) = (self.names.live(log), self.names.rotated(log, number));
        self.disk.rename(&live, &rotated)?;
        let reopened = self.reopen(log);
        if reopened.is_err() {
            // If this renaming fails too, the next check finds the file moved and reopens the log.
            drop(self.disk.rename(&rotated, &live));
        }
        reopened
    }

    /// Renames a log, so that nothing reads it automatically.
    pub(super) fn suspect(&self, log: Log) -> io::Result<()> {
        let mut paths = (0..).map(|number| self.names.suspect(log, number));
        let free = paths
            .find(|path| self.disk.identity(path).is_err())
            .unwrap_or_else(|| self.names.suspect(log, u64::MAX));
        self.disk.rename(&self.names.live(log), &free)
    }

    /// Saves a torn end in a separate file, durably.
    ///
    /// A torn end was never acknowledged. So a failed sync here does not affect the logs and must
    /// not close the latch: a start must succeed even if there is no room for what a crash left.
    pub(super) fn set_aside(&self, log: Log, torn: &[u8]) -> io::Result<()> {
        let disk = self.disk.unlatched();
        let mode = self.mode;
        let mut file = disk.open(&self.names.torn(log), Open::Append { mode })?;
        file.append(torn)?;
        file.sync()?;
        sync_dir(disk, &self.names.dir)
    }

    /// Deletes the files to which nothing was written since `before`: rotated files of both logs
    /// and daily files of the diagnostic log. Keeps the newest diagnostic file. Of the endpoint
    /// log, keeps the files that a reader needs.
    pub(super) fn prune(
        &self,
        before: SystemTime,
        holds: &Holds,
        numbering: Numbering,
    ) -> io::Result<Pruned> {
        let is_old = |path: &&PathBuf| is_old(&self.disk, path, before);
        let (mut free, needed) = self.endpoint_logs_by_need(holds, numbering)?;
        let access = self.names.rotated_numbers(&self.disk, Log::Access)?;
        let access = access.into_iter();
        free.extend(access.map(|number| self.names.rotated(Log::Access, number)));
        free.extend(self.names.diagnostics(&self.disk)?);
        let mut pruned = Pruned {
            deleted: 0,
            held: needed.iter().filter(is_old).count(),
            failure: None,
        };
        for path in free.iter().filter(is_old) {
            match self.disk.remove(path) {
                Ok(()) => pruned.deleted = pruned.deleted.saturating_add(1),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A file that cannot be deleted does not prevent the deletion of the others.
                Err(error) => pruned.failure = Some(error),
            }
        }
        Ok(pruned)
    }

    /// Splits the rotated endpoint logs: first those that no reader needs, then the others.
    fn endpoint_logs_by_need(
        &self,
        holds: &Holds,
        numbering: Numbering,
    ) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let mut numbers = self.names.rotated_numbers(&self.disk, Log::Endpoint)?;
        if numbering == Numbering::Descending {
            numbers.reverse();
        }
        let paths = numbers.into_iter();
        let paths = paths.map(|number| self.names.rotated(Log::Endpoint, number));
        // Nobody can need a file that has been deleted meanwhile.
        let files = paths.filter_map(|path| Some((self.disk.identity(&path).ok()?, path)));
        let (ids, mut free): (Vec<FileId>, Vec<PathBuf>) = files.unzip();
        let needed = holds.free_of(&ids, self.live[Log::Endpoint].id());
        let needed = free.split_off(needed.min(free.len()));
        Ok((free, needed))
    }

    /// When the newest rotated file of both logs was last written. `None` if there is no such file
    /// or its time cannot be read.
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

    /// Saves a snapshot of the duplicates. It has up to 16 MB, and a start can do without it, so it
    /// is not synced. Its checksum shows whether a crash damaged it.
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

    /// Removes the commit log durably: the logs already have all of its batches, and no later start
    /// may replay them. Also removes an unfinished commit log that a stop left.
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
    use std::sync::Arc;
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
        let holds = Arc::new(Holds::default());
        let prune = |age| {
            let before = now - Duration::from_secs(age);
            let pruned = files.prune(before, &holds, Numbering::Ascending).unwrap();
            assert!(pruned.failure.is_none());
            (pruned.deleted, pruned.held)
        };
        assert_eq!(prune(101), (0, 0));
        // The reader with this hold has not reported its file yet.
        let hold = holds.hold();
        assert_eq!(prune(50), (1, 1));
        assert!(dir.path().join("endpoint_log.1.1").exists());
        drop(hold);
        assert_eq!(prune(50), (1, 0));
        let left = old[2..]
            .iter()
            .chain(&["endpoint_log.1.3", "endpoint_log.1", "access_log.1"]);
        for name in left {
            assert!(dir.path().join(name).exists(), "{name}");
        }
    }
}
