//! The two files on a real disk, locked against every other process.
//!
//! Every call that makes the logs durable is in this file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::disk::regular;
use crate::disk::{fix_command, move_away};
use crate::journal::{Log, Names, Reading, Storage};

/// Where the files are and who may read them.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// The directory of both files.
    pub dir: PathBuf,
    /// The port in their names.
    pub port: u16,
    /// The permissions of new files, before the umask.
    pub mode: u32,
}

/// The two files, locked against every other process.
#[derive(Debug)]
pub struct FileStorage {
    names: Names,
    mode: u32,
    endpoint: LiveFile,
    access: LiveFile,
    dir: File,
    lock: File,
}

/// A file that is being written, and which one it is: asked once, since each commit looks whether
/// its name leads elsewhere.
#[derive(Debug)]
struct LiveFile {
    file: File,
    identity: Identity,
}

/// What makes two files the same: the device and the inode, which is no other file's while it is
/// open.
type Identity = (u64, u64);

/// The files cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be made or written.
    #[error("cannot {doing} {}: {cause}; {remedy}", path.display())]
    Unwritable {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What mends it.
        remedy: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Something else is in the place of a file.
    #[error(
        "cannot open {}: it is {kind}, not a regular file. A log is synced, so it has to be one; \
         logs.stdout = \"access\" prints the access lines as well; mend it with: \
         {remedy}", path.display()
    )]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What is there, as in "a FIFO".
        kind: &'static str,
        /// The command that mends it.
        remedy: String,
    },
    /// Something else is in the place of the directory, or of one above it.
    #[error(
        "cannot make the directory {}: {} is {kind}. Both logs are files that are synced: give \
         logs.dir a directory; logs.stdout = \"access\" prints the access lines as \
         well", dir.display(), path.display()
    )]
    NotADirectory {
        /// The directory.
        dir: PathBuf,
        /// What is in its way.
        path: PathBuf,
        /// What that is, as in "a device".
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
    /// Looks whether anything else than a regular file is in the place of one, before
    /// [`FileStorage::open`] opens it.
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
        ] {
            if let Some(kind) = regular::not_regular(&path) {
                return Err(OpenError::NotAFile {
                    remedy: move_away(&path),
                    path,
                    kind,
                });
            }
        }
        Ok(())
    }
}

impl FileStorage {
    /// Says if a directory can never be made, because a device, a FIFO or a socket is in its way.
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

    /// Opens both files for appending, makes what is missing, and syncs the directory.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(options: FileOptions) -> Result<Self, OpenError> {
        let FileOptions { dir, port, mode } = options;
        let names = Names { dir, port };
        let dir = &names.dir;
        Self::demand_dir(dir)?;
        make_dir(dir).map_err(|cause| unwritable("make the directory", dir, dir, cause))?;
        let named = |path: &Path, cause| match regular::obstacle(path) {
            Some(kind) => OpenError::NotAFile {
                path: path.to_owned(),
                kind,
                remedy: move_away(path),
            },
            None => unwritable("open", path, dir, cause),
        };
        let lock = open(&names.lock(), mode).map_err(|cause| named(&names.lock(), cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    dir: dir.clone(),
                    port,
                });
            }
            Err(TryLockError::Error(cause)) => {
                return Err(unwritable("lock a file in", dir, dir, cause));
            }
        }
        // A FIFO too: it cannot be synced, so no journal starts on it.
        let live = |path: PathBuf| {
            let file = regular::open_any(&path, appending().mode(mode));
            file.and_then(LiveFile::new)
                .map_err(|cause| named(&path, cause))
        };
        let (endpoint, access) = (
            live(names.live(Log::Endpoint))?,
            live(names.live(Log::Access))?,
        );
        let dir_file = File::open(dir).map_err(|cause| unwritable("open", dir, dir, cause))?;
        sync_all(&dir_file).map_err(|cause| unwritable("sync", dir, dir, cause))?;
        Ok(Self {
            endpoint,
            access,
            dir: dir_file,
            lock,
            names,
            mode,
        })
    }

    fn replace(&mut self, log: Log, live: LiveFile) {
        match log {
            Log::Endpoint => self.endpoint = live,
            Log::Access => self.access = live,
        }
    }

    fn live(&self, log: Log) -> &LiveFile {
        match log {
            Log::Endpoint => &self.endpoint,
            Log::Access => &self.access,
        }
    }

    fn file(&self, log: Log) -> &File {
        &self.live(log).file
    }

    /// Where the directory was moved away and made anew, the new one is locked, synced and measured
    /// from now on.
    fn follow_dir(&mut self) -> io::Result<()> {
        let dir = File::open(&self.names.dir)?;
        if identity(&dir.metadata()?) != identity(&self.dir.metadata()?) {
            let lock = open(&self.names.lock(), self.mode)?;
            lock.try_lock()?;
            sync_name(&self.names.dir)?;
            (self.dir, self.lock) = (dir, lock);
        }
        Ok(())
    }
}

impl LiveFile {
    fn new(file: File) -> io::Result<Self> {
        let identity = identity(&file.metadata()?);
        Ok(Self { file, identity })
    }
}

fn identity(found: &fs::Metadata) -> Identity {
    (found.dev(), found.ino())
}

impl Storage for FileStorage {
    fn len(&self, log: Log) -> io::Result<u64> {
        Ok(self.file(log).metadata()?.len())
    }

    fn read_at(&self, log: Log, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file(log).read_exact_at(buffer, offset)
    }

    fn append(&mut self, log: Log, bytes: &[u8]) -> io::Result<()> {
        self.file(log).write_all(bytes)
    }

    fn truncate(&mut self, log: Log, len: u64) -> io::Result<()> {
        self.file(log).set_len(len)
    }

    fn sync(&mut self, log: Log) -> io::Result<()> {
        sync_data(self.file(log))
    }

    fn set_aside(&mut self, log: Log, torn: &[u8]) -> io::Result<()> {
        let mut file = open(&self.names.torn(log), self.mode)?;
        file.write_all(torn)?;
        sync_data(&file)?;
        sync_all(&self.dir)
    }

    fn is_moved(&self, log: Log) -> io::Result<bool> {
        match fs::metadata(self.names.live(log)) {
            Ok(there) => Ok(identity(&there) != self.live(log).identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn has_name(&self, log: Log) -> io::Result<bool> {
        Ok(self.file(log).metadata()?.nlink() > 0)
    }

    fn reopen(&mut self, log: Log) -> io::Result<()> {
        self.follow_dir()?;
        let live = LiveFile::new(open(&self.names.live(log), self.mode)?)?;
        self.replace(log, live);
        Ok(())
    }

    fn rotate(&mut self, log: Log) -> io::Result<()> {
        let (live, rotated) = (
            self.names.live(log),
            self.names.rotated(log, self.names.next_number(log)?),
        );
        fs::rename(&live, &rotated)?;
        self.reopen(log).inspect_err(|_| {
            // Should this fail too, the file is found to be moved the next time, which is as good.
            drop(fs::rename(&rotated, &live));
        })
    }

    fn sync_names(&mut self) -> io::Result<()> {
        sync_all(&self.dir)
    }

    fn suspect(&mut self, log: Log) -> io::Result<()> {
        let mut paths = (0..).map(|number| self.names.suspect(log, number));
        let free = paths
            .find(|path| !path.exists())
            .unwrap_or_else(|| self.names.suspect(log, u64::MAX));
        fs::rename(self.names.live(log), free)
    }

    fn prune(&mut self, before: SystemTime) -> io::Result<usize> {
        let mut deleted = 0_usize;
        let mut failure = None;
        let old = self
            .names
            .all_rotated()?
            .into_iter()
            .chain(self.names.diagnostics()?);
        for path in old.filter(|path| modified(path).is_some_and(|modified| modified < before)) {
            match fs::remove_file(&path) {
                Ok(()) => deleted = deleted.saturating_add(1),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // One that cannot be deleted does not keep the others.
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(deleted), Err)
    }

    fn newest_rotated(&self) -> io::Result<Option<SystemTime>> {
        Ok(self
            .names
            .all_rotated()?
            .iter()
            .filter_map(|path| modified(path))
            .max())
    }

    fn rotated(&self, log: Log) -> io::Result<Vec<u64>> {
        self.names.rotated_numbers(log)
    }

    fn read(&self, log: Log, number: Option<u64>) -> io::Result<Box<dyn Reading>> {
        let path = number.map_or_else(
            || self.names.live(log),
            |number| self.names.rotated(log, number),
        );
        Ok(Box::new(regular::open_to_read(&path)?))
    }

    fn load_seen(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        regular::open_to_read(&self.names.seen())?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn save_seen(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (path, draft) = (
            self.names.seen(),
            self.names.seen().with_extension("seen.new"),
        );
        let mut options = OpenOptions::new();
        let mut file = regular::open(
            &draft,
            options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(self.mode),
        )?;
        file.write_all(bytes)?;
        fs::rename(draft, path)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::fstatvfs(&self.dir)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// When a regular file was last written; `None` if it is gone or something else.
fn modified(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)?
        .modified()
        .ok()
}

fn unwritable(doing: &'static str, path: &Path, dir: &Path, cause: io::Error) -> OpenError {
    OpenError::Unwritable {
        doing,
        path: path.to_owned(),
        remedy: fix_command(dir, &cause),
        cause,
    }
}

/// Opens a file for appending, made where there is none.
fn open(path: &Path, mode: u32) -> io::Result<File> {
    regular::open(path, appending().mode(mode))
}

fn appending() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    options
}

/// Makes a directory that a crash does not take away again: what was made is synced into its
/// parent.
fn make_dir(dir: &Path) -> io::Result<()> {
    let missing = dir
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let missing: Vec<&Path> = missing.collect();
    fs::create_dir_all(dir)?;
    missing.into_iter().try_for_each(sync_name)
}

/// Makes the name of a directory durable.
fn sync_name(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_all(&File::open(parent.unwrap_or(Path::new(".")))?)
}

#[expect(clippy::disallowed_methods, reason = "durability lives here")]
fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

#[expect(clippy::disallowed_methods, reason = "durability lives here")]
fn sync_all(file: &File) -> io::Result<()> {
    file.sync_all()
}
