//! A disk in memory with faults: files, their names, and what a power cut leaves of both.
//!
//! It knows directories, files and names, but no logs: the real code rotates, reopens and deletes
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::disk::{self, DiskFile, FileId, Open};
use mns_endpoint::journal::{FileOptions, Log, LogFiles, OpenError};
use strum::IntoEnumIterator as _;

/// The directory of the logs. The tests write `endpoint_log.3` for `endpoint_log.80.3`.
const DIR: &str = "/logs";
const PORT: u16 = 80;

/// The content of a file.
#[derive(Debug, Clone)]
pub struct File {
    /// The content that a read returns.
    pub live: Vec<u8>,
    /// The content at the last sync.
    pub durable: Vec<u8>,
    /// Copies that somebody made before truncating it.
    pub copies: Vec<Vec<u8>>,
    /// When it was last written.
    pub modified: SystemTime,
    /// Blocks that the system dropped after a failed sync: the next sync succeeds, but they are not
    /// on the disk.
    forgotten: BTreeSet<usize>,
    /// It is overwritten in place, so a power cut may damage any page that was being written.
    is_overwritten: bool,
}

/// The unit of a log that a power cut can lose.
const BLOCK: usize = 16;
/// The unit of a file that is overwritten in place.
const PAGE: usize = 4096;

impl File {
    /// What is left of the bytes written since the last sync: each block survives independently or
    /// not.
    fn after_power_cut(&self, random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
        if !self.is_overwritten && !self.live.starts_with(&self.durable) && random(2) == 0 {
            // It was truncated, and that was not synced.
            return self.durable.clone();
        }
        let shortest = self.durable.len().min(self.live.len());
        let len = shortest + random(self.live.len() - shortest + 1);
        let mut left = self.live[..len].to_vec();
        let block = if self.is_overwritten { PAGE } else { BLOCK };
        for (number, new) in left.chunks_mut(block).enumerate() {
            let start = number * block;
            let old: Vec<u8> = (start..start + new.len())
                .map(|place| self.durable.get(place).copied().unwrap_or_default())
                .collect();
            if *new == old {
                continue;
            }
            match random(4) {
                0 => new.copy_from_slice(&old),
                1 if self.is_overwritten => new.fill(0xaa),
                2 if self.is_overwritten => {
                    let torn = random(new.len());
                    new[torn..].copy_from_slice(&old[torn..]);
                }
                _ => {}
            }
        }
        left
    }

    /// Records that bytes were written from an offset on.
    fn is_written(&mut self, start: usize, len: usize) {
        for block in start / BLOCK..(start + len).div_ceil(BLOCK) {
            self.forgotten.remove(&block);
        }
    }

    fn sync(&mut self) {
        let old = std::mem::replace(&mut self.durable, self.live.clone());
        for block in &self.forgotten {
            for place in block * BLOCK..((block + 1) * BLOCK).min(self.durable.len()) {
                self.durable[place] = old.get(place).copied().unwrap_or_default();
            }
        }
    }

    /// A sync fails: the system considers what it could not write as written.
    fn forget(&mut self) {
        let old = |place: usize| self.durable.get(place).copied().unwrap_or_default();
        let blocks = self.live.chunks(BLOCK).enumerate();
        let lost: Vec<usize> = blocks
            .filter(|(block, bytes)| {
                (0..)
                    .zip(*bytes)
                    .any(|(place, byte)| old(block * BLOCK + place) != *byte)
            })
            .map(|(block, _)| block)
            .collect();
        self.forgotten.extend(lost);
    }

    /// Whether all of it would survive a power cut.
    pub fn is_durable(&self) -> bool {
        self.live == self.durable
    }

    /// Whether a failed sync made the system drop a part of it.
    pub fn is_forgotten(&self) -> bool {
        !self.forgotten.is_empty()
    }
}

pub type Names = BTreeMap<String, usize>;

/// A directory that somebody moved away.
#[derive(Debug, Default, Clone)]
struct Moved {
    number: u64,
    names: Names,
    unsynced_names: Vec<Names>,
}

/// Directories of files, and which of them the journal has open.
#[derive(Debug, Default, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault that a test switches on"
)]
pub struct Disk {
    /// In the order in which they were created.
    pub files: Vec<File>,
    /// The names in the directory at the path of the logs.
    pub names: Names,
    /// All states of the names since the directory was last synced, the synced one first.
    unsynced_names: Vec<Names>,
    /// The number of the directory, from 1; 0 if it does not exist.
    dir: u64,
    dirs_made: u64,
    /// The name of the directory is not synced into its parent.
    is_dir_unsynced: bool,
    moved: Vec<Moved>,
    /// By log, the file that the last process opened.
    pub open: [usize; 2],
    locks: BTreeMap<usize, usize>,
    handles_made: usize,
    /// The next writes accept only this many bytes and then fail.
    pub room: Option<usize>,
    pub fail_sync: bool,
    /// Syncs of logs fail, syncs of other files succeed.
    pub fail_sync_of_logs: bool,
    /// The error of a failed sync also says this.
    pub sync_error: &'static str,
    /// The next query of a length fails.
    pub fail_len: bool,
    pub fail_truncate: bool,
    /// The next write to a file that is overwritten in place fails in the middle.
    pub fail_write_in_place: bool,
    /// No file can be created or opened for appending.
    pub fail_open: bool,
    /// This log cannot be created or opened.
    pub fail_open_of: Option<Log>,
    pub fail_sync_names: bool,
    /// Syncs of logs.
    pub syncs: usize,
    /// Appends to logs.
    pub appends: usize,
    /// The names of the endpoint logs that were read.
    pub reads: Vec<String>,
    /// A defect: the next append panics.
    pub panics: bool,
    /// While set, a sync blocks.
    pub stalled: bool,
    /// While set, a sync of a log blocks.
    pub stalled_logs: bool,
    pub free: Option<u64>,
    /// After this many calls the machine stops: nothing more is done.
    pub calls_left: Option<usize>,
}

/// A handle to a disk; clones share it.
#[derive(Clone)]
pub struct FaultyDisk {
    disk: Arc<(Mutex<Disk>, Condvar)>,
    /// Whether it is that of the process whose open files `Disk::open` names.
    is_first: bool,
}

/// An open file or directory of it.
struct Handle {
    disk: FaultyDisk,
    number: usize,
    what: What,
    is_log: bool,
    appends: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    File(usize),
    Directory(u64),
    /// The parent of the directory of the logs.
    Above,
}

impl FaultyDisk {
    /// An empty disk, with both logs.
    pub fn new() -> Self {
        Self::on(Disk::default())
    }

    /// A disk with both logs, durable under their names.
    pub fn on(mut disk: Disk) -> Self {
        disk.make_dir();
        for log in Log::iter() {
            let name = long(log.name());
            disk.open[index(log)] = disk.make_if_missing(&name);
        }
        disk.make_durable();
        Self::as_it_is(disk)
    }

    /// A disk in the state that a crash left.
    pub fn as_it_is(disk: Disk) -> Self {
        Self {
            disk: Arc::new((Mutex::new(disk), Condvar::new())),
            is_first: true,
        }
    }

    /// The disk as another process sees it, which opens files beside the first one.
    pub fn of_another_process(&self) -> Self {
        Self {
            is_first: false,
            ..self.clone()
        }
    }

    /// Opens the logs, as a process does.
    pub fn try_open(&self) -> Result<LogFiles, OpenError> {
        let options = FileOptions {
            dir: DIR.into(),
            port: PORT,
            mode: 0o640,
        };
        LogFiles::open_on(Arc::new(self.clone()), options)
    }

    /// The same, but it must succeed.
    pub fn open(&self) -> LogFiles {
        self.try_open().expect("the logs cannot be opened")
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Disk) -> T) -> T {
        let result = change(&mut self.disk.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.disk.1.notify_all();
        result
    }

    /// The endpoint log that is open.
    pub fn text(&self) -> String {
        self.with(|disk| String::from_utf8(disk.endpoint().live.clone()).unwrap())
    }
}

/// The name of a log with its port; any other name unchanged.
fn long(name: &str) -> String {
    for log in Log::iter() {
        match name.strip_prefix(log.name()) {
            Some(end) if end.is_empty() || end.starts_with('.') => {
                return format!("{}.{PORT}{end}", log.name());
            }
            _ => {}
        }
    }
    name.to_owned()
}

/// The log of which a name is the live file.
fn log_of(name: &str) -> Option<Log> {
    Log::iter().find(|log| name == long(log.name()))
}

/// The name of a path below the directory of the logs.
fn name_of(path: &Path) -> &str {
    assert_eq!(path.parent(), Some(Path::new(DIR)), "{path:?}");
    path.file_name().unwrap().to_str().unwrap()
}

impl Disk {
    pub fn endpoint(&mut self) -> &mut File {
        self.file(Log::Endpoint)
    }

    pub fn access(&mut self) -> &mut File {
        self.file(Log::Access)
    }

    pub fn file(&mut self, log: Log) -> &mut File {
        let open = self.open[index(log)];
        &mut self.files[open]
    }

    /// Whether both open files are those that the names lead to.
    pub fn is_at_home(&self) -> bool {
        Log::iter().all(|log| self.names.get(&long(log.name())) == Some(&self.open[index(log)]))
    }

    /// The file that a name leads to.
    pub fn named(&self, name: &str) -> Option<&File> {
        self.names.get(&long(name)).map(|file| &self.files[*file])
    }

    /// The same, mutable.
    pub fn named_mut(&mut self, name: &str) -> &mut File {
        let file = self.names[&long(name)];
        &mut self.files[file]
    }

    /// Somebody else appends to a log and syncs it.
    pub fn append_durably(&mut self, name: &str, bytes: &[u8]) {
        let file = self.named_mut(name);
        file.live.extend_from_slice(bytes);
        file.durable.clone_from(&file.live);
    }

    /// The live file of a log and its rotated ones, which a start reads: the oldest first.
    pub fn readable(&self, log: Log) -> Vec<usize> {
        let mut found = self.rotated(log);
        found.extend(self.names.get(&long(log.name())));
        found
    }

    /// The rotated files of a log, the oldest first.
    pub fn rotated(&self, log: Log) -> Vec<usize> {
        let start = format!("{}.", long(log.name()));
        let numbered = |(name, file): (&String, &usize)| {
            Some((name.strip_prefix(&start)?.parse::<u64>().ok()?, *file))
        };
        let mut numbered: Vec<_> = self.names.iter().filter_map(numbered).collect();
        numbered.sort();
        numbered.into_iter().map(|(_, file)| file).collect()
    }

    /// All names in all directories.
    pub fn all_names(&self) -> Vec<(&String, usize)> {
        let moved = self.moved.iter().flat_map(|moved| &moved.names);
        let all = self.names.iter().chain(moved);
        all.map(|(name, file)| (name, *file)).collect()
    }

    /// The torn ends of both logs that were set aside.
    pub fn aside(&self) -> Vec<u8> {
        let torn = Log::iter().filter_map(|log| self.named(&format!("{}.torn", log.name())));
        torn.flat_map(|file| file.live.clone()).collect()
    }

    /// The snapshot of the duplicates.
    pub fn seen(&self) -> Option<Vec<u8>> {
        let file = self.names.get(".endpoint_log.80.seen")?;
        Some(self.files[*file].live.clone())
    }

    pub fn set_seen(&mut self, seen: Option<Vec<u8>>) {
        self.names.remove(".endpoint_log.80.seen");
        if let Some(seen) = seen {
            self.make(".endpoint_log.80.seen", &seen);
        }
    }

    /// Somebody else renames a file.
    pub fn rename(&mut self, old: &str, new: &str) {
        self.rename_long(&long(old), &long(new));
    }

    fn rename_long(&mut self, old: &str, new: &str) -> bool {
        let Some(file) = self.names.remove(old) else {
            return false;
        };
        self.names.insert(new.to_owned(), file);
        self.unsynced_names.push(self.names.clone());
        true
    }

    /// Somebody else removes a name.
    pub fn delete(&mut self, name: &str) {
        self.names.remove(&long(name));
        self.unsynced_names.push(self.names.clone());
    }

    /// Somebody else creates a file.
    pub fn make(&mut self, name: &str, content: &[u8]) {
        self.make_exactly(&long(name), content);
    }

    /// The same, with the exact name on disk.
    pub fn make_exactly(&mut self, name: &str, content: &[u8]) {
        let file = self.make_if_missing(name);
        let file = &mut self.files[file];
        (file.live, file.durable) = (content.to_vec(), content.to_vec());
        file.forgotten.clear();
        file.modified = SystemClock.now();
    }

    /// Somebody else moves the directory away.
    pub fn move_dir(&mut self) {
        if self.dir > 0 {
            self.moved.push(Moved {
                number: self.dir,
                names: std::mem::take(&mut self.names),
                unsynced_names: std::mem::take(&mut self.unsynced_names),
            });
        }
        (self.dir, self.is_dir_unsynced) = (0, false);
    }

    /// Somebody else creates the directory if it does not exist, without syncing it.
    pub fn make_dir(&mut self) {
        if self.dir == 0 {
            self.dirs_made += 1;
            (self.dir, self.is_dir_unsynced) = (self.dirs_made, true);
            self.unsynced_names = vec![Names::new()];
        }
    }

    pub fn has_dir(&self) -> bool {
        self.dir > 0
    }

    /// Somebody else truncates the file that a name leads to, possibly after copying the rest.
    pub fn cut(&mut self, name: &str, len: usize, copies: bool) {
        let Some(file) = self.names.get(&long(name)) else {
            return;
        };
        let file = &mut self.files[*file];
        let rest = file.live.split_off(len.min(file.live.len()));
        if copies {
            file.copies.push(rest);
        }
        file.durable.clone_from(&file.live);
    }

    /// Makes all names durable, as if they had been created long ago.
    pub fn make_durable(&mut self) {
        self.sync_names(self.dir);
        self.is_dir_unsynced = false;
    }

    fn make_if_missing(&mut self, name: &str) -> usize {
        if let Some(file) = self.names.get(name) {
            return *file;
        }
        self.files.push(File {
            live: Vec::new(),
            durable: Vec::new(),
            copies: Vec::new(),
            modified: SystemClock.now(),
            forgotten: BTreeSet::new(),
            is_overwritten: name.starts_with(".commit_log"),
        });
        self.names.insert(name.to_owned(), self.files.len() - 1);
        self.unsynced_names.push(self.names.clone());
        self.files.len() - 1
    }

    fn sync_names(&mut self, dir: u64) {
        if dir == self.dir {
            self.unsynced_names = vec![self.names.clone()];
        }
        for moved in self.moved.iter_mut().filter(|moved| moved.number == dir) {
            moved.unsynced_names = vec![moved.names.clone()];
        }
    }

    /// Counts a call. Fails once the machine has stopped.
    fn call(&mut self) -> io::Result<()> {
        match &mut self.calls_left {
            Some(0) => Err(io::Error::other("the machine is stopped")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A call that requires the directory.
    fn call_below(&mut self) -> io::Result<()> {
        self.call()?;
        if self.dir == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(())
    }

    /// Whether the machine has stopped.
    pub fn is_dead(&self) -> bool {
        self.calls_left == Some(0)
    }

    /// What the next start of the process finds: all bytes that were written.
    pub fn after_kill(&self) -> Self {
        Self {
            files: self.files.clone(),
            names: self.names.clone(),
            unsynced_names: self.unsynced_names.clone(),
            dir: self.dir,
            dirs_made: self.dirs_made,
            is_dir_unsynced: self.is_dir_unsynced,
            moved: self.moved.clone(),
            ..Self::default()
        }
    }

    /// What a power cut leaves: names and files up to their last syncs, and any part of the rest.
    pub fn after_power_cut(&self, mut seed: u64) -> Self {
        let mut random = |below: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % below.max(1)
        };
        let mut left = self.after_kill();
        let mut one_of = |states: &mut Vec<Names>| {
            let names = states.swap_remove(random(states.len()));
            *states = vec![names.clone()];
            names
        };
        for moved in &mut left.moved {
            moved.names = one_of(&mut moved.unsynced_names);
        }
        if left.dir > 0 {
            left.names = one_of(&mut left.unsynced_names);
        }
        if left.is_dir_unsynced && random(2) == 0 {
            (left.dir, left.names, left.unsynced_names) = (0, Names::new(), Vec::new());
        }
        left.is_dir_unsynced = false;
        for file in &mut left.files {
            let content = file.after_power_cut(&mut random);
            (file.durable, file.live) = (content.clone(), content);
            file.forgotten.clear();
        }
        left
    }
}

fn index(log: Log) -> usize {
    match log {
        Log::Endpoint => 0,
        Log::Access => 1,
    }
}

impl disk::Disk for FaultyDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut appends = false;
        let mut is_log = false;
        let (number, what) = self.with(|disk| {
            disk.handles_made += 1;
            let number = disk.handles_made;
            if how == Open::Directory && path != Path::new(DIR) {
                disk.call()?;
                return Ok((number, What::Above));
            }
            disk.call_below()?;
            if how == Open::Directory {
                return Ok((number, What::Directory(disk.dir)));
            }
            let name = name_of(path);
            let log = log_of(name);
            is_log = log.is_some();
            let file = match how {
                Open::Read | Open::Directory => {
                    let file = disk.names.get(name).copied();
                    if name.starts_with("endpoint_log") {
                        disk.reads.push(name.to_owned());
                    }
                    file.ok_or(io::ErrorKind::NotFound)?
                }
                Open::Append { .. } | Open::AppendToAny { .. } => {
                    appends = true;
                    if disk.fail_open || log.is_some() && disk.fail_open_of == log {
                        return Err(io::Error::other("open failed"));
                    }
                    disk.make_if_missing(name)
                }
                Open::InPlace => {
                    let file = disk.names.get(name).copied();
                    file.ok_or(io::ErrorKind::NotFound)?
                }
                Open::Draft { .. } => {
                    let file = disk.make_if_missing(name);
                    disk.files[file].live.clear();
                    file
                }
            };
            if let Some(log) = log.filter(|_| appends && self.is_first) {
                disk.open[index(log)] = file;
            }
            Ok::<_, io::Error>((number, What::File(file)))
        })?;
        Ok(Box::new(Handle {
            disk: self.clone(),
            number,
            what,
            is_log,
            appends,
        }))
    }

    fn make_dir(&self, _dir: &Path) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            if disk.dir == 0 {
                disk.make_dir();
                disk.is_dir_unsynced = false;
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|disk| {
            disk.call_below()?;
            if disk.rename_long(name_of(from), name_of(to)) {
                Ok(())
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|disk| {
            disk.call_below()?;
            disk.names
                .remove(name_of(path))
                .ok_or(io::ErrorKind::NotFound)?;
            disk.unsynced_names.push(disk.names.clone());
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        assert_eq!(dir, Path::new(DIR));
        self.with(|disk| {
            disk.call_below()?;
            Ok(disk.names.keys().map(OsString::from).collect())
        })
    }

    fn identity(&self, path: &Path) -> io::Result<FileId> {
        self.with(|disk| {
            disk.call_below()?;
            if path == Path::new(DIR) {
                return Ok(What::Directory(disk.dir).id());
            }
            let file = disk.names.get(name_of(path)).copied();
            Ok(What::File(file.ok_or(io::ErrorKind::NotFound)?).id())
        })
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.with(|disk| {
            let file = disk.names.get(name_of(path))?;
            Some(disk.files[*file].modified)
        })
    }
}

impl What {
    fn id(self) -> FileId {
        let (device, inode) = match self {
            Self::File(file) => (1, u64::try_from(file).unwrap()),
            Self::Directory(number) => (2, number),
            Self::Above => (3, 0),
        };
        FileId { device, inode }
    }

    fn file(self) -> usize {
        match self {
            Self::File(file) => file,
            Self::Directory(_) | Self::Above => panic!("a directory is not a file"),
        }
    }
}

impl DiskFile for Handle {
    fn len(&self) -> io::Result<u64> {
        self.disk.with(|disk| {
            disk.call()?;
            if std::mem::take(&mut disk.fail_len) {
                return Err(io::Error::other("len failed"));
            }
            Ok(disk.files[self.what.file()].live.len() as u64)
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap();
        self.disk.with(|disk| {
            let content = &disk.files[self.what.file()].live;
            let rest = content.get(start..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(!self.appends, "Linux would append this");
        self.disk.with(|disk| {
            disk.call()?;
            // The machine may stop in the middle of this.
            let taken = if disk.is_dead() {
                bytes.len() / 2
            } else {
                bytes.len()
            };
            let start = usize::try_from(offset).unwrap();
            let file = &mut disk.files[self.what.file()];
            // Only extending a file needs space.
            let longer = (start + taken).saturating_sub(file.live.len());
            if let Some(room) = &mut disk.room {
                if longer > *room {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                *room -= longer;
            }
            let fails = file.is_overwritten && std::mem::take(&mut disk.fail_write_in_place);
            let taken = if fails { taken / 2 } else { taken };
            file.live.resize(file.live.len().max(start + taken), 0);
            file.live[start..start + taken].copy_from_slice(&bytes[..taken]);
            file.is_written(start, taken);
            if fails {
                return Err(io::Error::other("write failed"));
            }
            Ok(())
        })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(self.appends, "not opened for that");
        self.disk.with(|disk| {
            assert!(!disk.panics, "a defect");
            disk.call()?;
            disk.appends += usize::from(self.is_log);
            let mut taken = disk.room.unwrap_or(bytes.len()).min(bytes.len());
            if disk.is_dead() {
                // The machine stopped in the middle of this.
                taken /= 2;
            }
            if let Some(room) = &mut disk.room {
                *room -= taken;
            }
            let file = &mut disk.files[self.what.file()];
            let start = file.live.len();
            file.live.extend_from_slice(&bytes[..taken]);
            file.is_written(start, taken);
            file.modified = SystemClock.now();
            if taken == bytes.len() {
                Ok(())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        })
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.disk.with(|disk| {
            disk.call()?;
            if disk.fail_truncate {
                return Err(io::Error::other("truncate failed"));
            }
            let file = &mut disk.files[self.what.file()];
            file.live.resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let (disk, changed) = &*self.disk.disk;
        let guard = disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut disk = changed
            .wait_while(guard, |disk| {
                disk.stalled || disk.stalled_logs && self.is_log
            })
            .unwrap_or_else(PoisonError::into_inner);
        disk.call()?;
        let fails = match self.what {
            What::File(_) => disk.fail_sync || disk.fail_sync_of_logs && self.is_log,
            What::Directory(_) | What::Above => disk.fail_sync_names,
        };
        disk.syncs += usize::from(self.is_log);
        if fails {
            if let What::File(file) = self.what {
                disk.files[file].forget();
            }
            return Err(io::Error::other(format!("sync failed{}", disk.sync_error)));
        }
        match self.what {
            What::File(file) => disk.files[file].sync(),
            What::Directory(number) => disk.sync_names(number),
            What::Above => disk.is_dir_unsynced = false,
        }
        Ok(())
    }

    fn begin_write_back(&self, _offset: u64, _len: u64) {}

    fn duplicate(&self) -> io::Result<Box<dyn DiskFile>> {
        let number = self.disk.with(|disk| {
            disk.call()?;
            disk.handles_made += 1;
            Ok::<_, io::Error>(disk.handles_made)
        })?;
        Ok(Box::new(Self {
            disk: self.disk.clone(),
            number,
            ..*self
        }))
    }

    fn identity(&self) -> io::Result<FileId> {
        Ok(self.what.id())
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.disk.with(|disk| {
            disk.call()?;
            let file = self.what.file();
            Ok(disk.all_names().iter().any(|(_, named)| *named == file))
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.with(|disk| Ok(disk.free.unwrap_or(u64::MAX)))
    }

    fn try_lock(&self) -> Result<(), TryLockError> {
        self.disk.with(|disk| {
            disk.call().map_err(TryLockError::Error)?;
            let owner = disk.locks.entry(self.what.file()).or_insert(self.number);
            if *owner == self.number {
                Ok(())
            } else {
                Err(TryLockError::WouldBlock)
            }
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.disk
            .with(|disk| disk.locks.retain(|_, owner| *owner != self.number));
    }
}
