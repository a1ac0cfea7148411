//! Opening both logs for one process, with a lock against any other.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{
    Disk, Latched, Open, RealDisk, Unwritable, move_away, parent, regular, sync_dir,
};
use crate::journal::Log;
use crate::journal::logs::file::LiveFile;
use crate::journal::logs::files::{Directory, LogFiles};
use crate::journal::logs::names::Names;
use crate::journal::logs::per_log::PerLog;

/// The paths of the files, and their permissions.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// The directory of both files.
    pub dir: PathBuf,
    /// The port in their names.
    pub port: u16,
    /// The permissions of new files, before the umask.
    pub mode: u32,
}

/// Why the files cannot be used. Each message says how to fix that.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be made or written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    /// Something that is not a regular file is at the path of a file.
    #[error(
        "cannot open {}: it is {kind}, not a regular file. Only a regular file can be synced (for \
         access lines on stdout, set logs.stdout = \"access\"); mend it with: {fix}", path.display()
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is at the path, as in "a FIFO".
        kind: &'static str,
        /// The command that fixes the problem.
        fix: String,
    },
    /// Something that is not a directory is at the path of the directory, or of one above it.
    #[error(
        "cannot make the directory {}: {} is {kind}. Both logs are files that are synced: give \
         logs.dir a directory (for access lines on stdout, set logs.stdout = \"access\")",
        dir.display(), path.display()
    )]
    NotADirectory {
        /// The directory.
        dir: PathBuf,
        /// The path that is not a directory.
        path: PathBuf,
        /// What is at that path, as in "a device".
        kind: &'static str,
    },
    /// Another process has the lock.
    #[error("the logs of port {port} in {} are in use by another process: give this one another \
        logs.dir or port", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The port.
        port: u16,
    },
}

impl FileOptions {
    /// Checks that whatever exists at the path of a file is a regular file, before
    /// [`LogFiles::open`] opens it.
    ///
    /// # Errors
    /// [`OpenError::NotAFile`]
    pub fn demand_files(&self) -> Result<(), OpenError> {
        let names = Names {
            dir: self.dir.clone(),
            port: self.port,
        };
        for path in [
            names.lock(),
            names.live(Log::Endpoint),
            names.live(Log::Access),
            names.commit_log(),
        ] {
            if let Some(kind) = regular::not_regular(&path) {
                return Err(not_a_file(&path, kind));
            }
        }
        Ok(())
    }
}

impl LogFiles {
    /// Whether a process has the logs of a port open for writing.
    ///
    /// Takes a shared lock for an instant, without waiting, so a process that has the lock is not
    /// disturbed. A process that starts in that instant would find the logs in use, so ask only if
    /// the answer matters.
    ///
    /// # Errors
    /// The lock file exists and cannot be opened or locked.
    pub fn is_in_use(names: &Names) -> io::Result<bool> {
        let lock = match regular::open_to_read(&names.lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            lock => lock?,
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Fails if the directory can never be created, because a device, a FIFO or a socket is in the
    /// way.
    ///
    /// # Errors
    /// [`OpenError::NotADirectory`]
    pub fn demand_dir(dir: &Path) -> Result<(), OpenError> {
        match regular::in_the_way(dir) {
            Some((path, kind)) => Err(OpenError::NotADirectory {
                dir: dir.to_owned(),
                path: path.to_owned(),
                kind,
            }),
            None => Ok(()),
        }
    }

    /// Opens both files on the disk of this machine.
    ///
    /// # Errors
    /// Those of [`open_on`](Self::open_on).
    pub fn open(options: FileOptions) -> Result<Self, OpenError> {
        Self::demand_dir(&options.dir)?;
        Self::open_on(Arc::new(RealDisk), options)
    }

    /// Opens both files for appending, creates what is missing, and syncs the directory.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open_on(disk: Arc<dyn Disk>, options: FileOptions) -> Result<Self, OpenError> {
        let FileOptions { dir, port, mode } = options;
        let disk = Latched::new(disk);
        let names = Names { dir, port };
        let dir = names.dir.as_path();
        let unwritable = |doing, path: &Path, cause| Unwritable::new(doing, path, dir, cause);
        disk.make_dir(dir)
            .map_err(|cause| unwritable("make the directory", dir, cause))?;
        // Sync the parent, because another process may have created the directory without doing so.
        // Some parents cannot be opened, and most were synced long ago, so a failure does not
        // prevent the start.
        drop(sync_dir(disk.unlatched(), parent(dir)));
        let not_opened = |path: &Path, cause: io::Error| match regular::obstacle(path) {
            Some(kind) => not_a_file(path, kind),
            None => unwritable("open", path, cause).into(),
        };
        let lock = disk
            .open(&names.lock(), Open::Append { mode })
            .map_err(|cause| not_opened(&names.lock(), cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let dir = dir.to_owned();
                return Err(OpenError::Locked { dir, port });
            }
            Err(TryLockError::Error(cause)) => {
                return Err(unwritable("lock a file in", dir, cause).into());
            }
        }
        // Open the logs only now that the lock is taken: before, another process could have been
        // using them.
        let live = PerLog::try_from_fn(|log| {
            let path = names.live(log);
            // `demand_files` has rejected everything but regular files. If somebody has put a FIFO
            // there since, `AppendToAny` opens it, and the first sync of the start fails.
            disk.open(&path, Open::AppendToAny { mode })
                .and_then(LiveFile::new)
                .map_err(|cause| not_opened(&path, cause))
        })?;
        // The content of a new file is durable only if its name is durable.
        let mut dir_file = Directory::open(disk.unlatched(), dir)
            .map_err(|cause| unwritable("open", dir, cause))?;
        dir_file
            .sync()
            .map_err(|cause| unwritable("sync", dir, cause))?;
        Ok(Self {
            disk,
            names,
            mode,
            live,
            dir: dir_file,
            lock,
        })
    }
}

fn not_a_file(path: &Path, kind: &'static str) -> OpenError {
    OpenError::NotAFile {
        path: path.to_owned(),
        kind,
        fix: move_away(path),
    }
}
