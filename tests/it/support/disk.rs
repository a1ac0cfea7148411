//! A disk in memory with faults: files, their names, and what a power cut leaves of both.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use mns_endpoint::journal::{Log, Reading, Storage};
use strum::IntoEnumIterator as _;

/// The content of a file.
#[derive(Debug, Default, Clone)]
pub struct File {
    /// What a read gives.
    pub live: Vec<u8>,
    /// What was there at the last sync.
    pub durable: Vec<u8>,
    /// What somebody copied away each time before he cut it.
    pub copies: Vec<Vec<u8>>,
}

/// A directory of files, and which of them the journal has open.
#[derive(Debug, Default, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault that a test switches on"
)]
pub struct Disk {
    /// In the order in which they were made.
    pub files: Vec<File>,
    pub names: BTreeMap<String, usize>,
    /// All states of the names since the directory was last synced, that one first.
    unsynced_names: Vec<BTreeMap<String, usize>>,
    open: [usize; 2],
    /// The next writes take only so many bytes and then fail.
    pub room: Option<usize>,
    pub fail_sync: bool,
    /// The next look at a length fails.
    pub fail_len: bool,
    pub fail_truncate: bool,
    /// No file can be made or opened.
    pub fail_open: bool,
    /// This one cannot be made or opened.
    pub fail_open_of: Option<Log>,
    pub fail_sync_names: bool,
    pub syncs: usize,
    pub appends: usize,
    /// Which files were read from, by number.
    pub reads: Vec<Option<u64>>,
    /// A defect: the next append panics.
    pub panics: bool,
    /// While set, a sync waits.
    pub stalled: bool,
    pub free: Option<u64>,
    /// When the newest rotated file was written.
    pub newest: Option<SystemTime>,
    /// Of what age files were to be deleted, each time.
    pub pruned: Vec<SystemTime>,
    /// After so many calls the machine stands still: nothing more is done.
    pub calls_left: Option<usize>,
    pub aside: Vec<u8>,
    /// What is known of duplicates, as it was saved.
    pub seen: Option<Vec<u8>>,
}

/// A handle to a disk; clones share it.
#[derive(Default, Clone)]
pub struct FaultyStorage {
    disk: Arc<(Mutex<Disk>, Condvar)>,
}

impl FaultyStorage {
    /// An empty disk, opened.
    pub fn new() -> Self {
        Self::on(Disk::default())
    }

    /// Opens the files of a disk, as a start does.
    pub fn on(mut disk: Disk) -> Self {
        for log in Log::iter() {
            disk.open(log);
        }
        disk.sync_names();
        Self {
            disk: Arc::new((Mutex::new(disk), Condvar::new())),
        }
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

    /// The file that a name leads to.
    pub fn named(&self, name: &str) -> Option<&File> {
        self.names.get(name).map(|file| &self.files[*file])
    }

    /// Gives a file another name, as somebody else does.
    pub fn rename(&mut self, old: &str, new: &str) {
        if let Some(file) = self.names.remove(old) {
            self.names.insert(new.to_owned(), file);
            self.unsynced_names.push(self.names.clone());
        }
    }

    fn next_number(&self, log: Log) -> usize {
        let start = format!("{}.", log.name());
        let numbers = self
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&start)?.parse::<usize>().ok());
        numbers.max().unwrap_or(0) + 1
    }

    /// Takes a name away, as somebody else does.
    pub fn delete(&mut self, name: &str) {
        self.names.remove(name);
        self.unsynced_names.push(self.names.clone());
    }

    /// Makes a file, as somebody else does.
    pub fn make(&mut self, name: &str, content: &[u8]) {
        self.files.push(File {
            live: content.to_vec(),
            durable: content.to_vec(),
            copies: Vec::new(),
        });
        self.names.insert(name.to_owned(), self.files.len() - 1);
        self.unsynced_names.push(self.names.clone());
    }

    /// Cuts the file that a name leads to, as somebody else does, who copied the rest away first or
    /// not.
    pub fn cut(&mut self, name: &str, len: usize, copies: bool) {
        let Some(file) = self.names.get(name) else {
            return;
        };
        let file = &mut self.files[*file];
        let rest = file.live.split_off(len.min(file.live.len()));
        if copies {
            file.copies.push(rest);
        }
        file.durable.clone_from(&file.live);
    }

    fn open(&mut self, log: Log) {
        let name = log.name();
        if !self.names.contains_key(name) {
            self.files.push(File::default());
            self.names.insert(name.to_owned(), self.files.len() - 1);
            self.unsynced_names.push(self.names.clone());
        }
        self.open[index(log)] = self.names[name];
    }

    fn sync_names(&mut self) {
        self.unsynced_names = vec![self.names.clone()];
    }

    /// Counts a call; an error once the machine stands still.
    fn call(&mut self) -> io::Result<()> {
        match &mut self.calls_left {
            Some(0) => Err(io::Error::other("the machine stands still")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether the machine stands still.
    pub fn is_dead(&self) -> bool {
        self.calls_left == Some(0)
    }

    /// What the next start of the process finds: all bytes that were written.
    pub fn after_kill(&self) -> Self {
        Self {
            files: self.files.clone(),
            names: self.names.clone(),
            unsynced_names: self.unsynced_names.clone(),
            seen: self.seen.clone(),
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
        let names = self.unsynced_names[random(self.unsynced_names.len())].clone();
        let mut left = Self {
            names,
            ..Self::default()
        };
        for file in &self.files {
            let mut content = file.durable.clone();
            if let Some(rest) = file.live.strip_prefix(file.durable.as_slice()) {
                // What was written in between is there in blocks, or not.
                for block in rest[..random(rest.len() + 1)].chunks(16) {
                    let is_lost = random(3) == 0;
                    content.extend(block.iter().map(|byte| if is_lost { 0 } else { *byte }));
                }
            } else if random(2) == 0 {
                content.clone_from(&file.live);
            }
            left.files.push(File {
                durable: content.clone(),
                live: content,
                copies: file.copies.clone(),
            });
        }
        left.sync_names();
        // Never synced: it may be gone, or broken.
        left.seen = self.seen.clone().filter(|_| random(3) > 0);
        if let Some(seen) = left.seen.as_mut().filter(|_| random(3) == 0) {
            seen.truncate(random(seen.len()));
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

impl Storage for FaultyStorage {
    fn len(&self, log: Log) -> io::Result<u64> {
        self.with(|disk| {
            disk.call()?;
            if std::mem::take(&mut disk.fail_len) {
                return Err(io::Error::other("len failed"));
            }
            Ok(disk.file(log).live.len() as u64)
        })
    }

    fn read_at(&self, log: Log, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.with(|disk| buffer.copy_from_slice(&disk.file(log).live[start..start + buffer.len()]));
        Ok(())
    }

    fn append(&mut self, log: Log, bytes: &[u8]) -> io::Result<()> {
        self.with(|disk| {
            assert!(!disk.panics, "a defect");
            disk.call()?;
            disk.appends += 1;
            let mut taken = disk.room.unwrap_or(bytes.len()).min(bytes.len());
            if disk.is_dead() {
                // It stopped in the middle of this.
                taken /= 2;
            }
            if let Some(room) = &mut disk.room {
                *room -= taken;
            }
            disk.file(log).live.extend_from_slice(&bytes[..taken]);
            if taken == bytes.len() {
                Ok(())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        })
    }

    fn truncate(&mut self, log: Log, len: u64) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            if disk.fail_truncate {
                return Err(io::Error::other("truncate failed"));
            }
            disk.file(log).live.resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        })
    }

    fn sync(&mut self, log: Log) -> io::Result<()> {
        let (disk, changed) = &*self.disk;
        let mut disk = changed
            .wait_while(disk.lock().unwrap(), |disk| disk.stalled)
            .unwrap();
        disk.call()?;
        disk.syncs += 1;
        if disk.fail_sync {
            return Err(io::Error::other("sync failed"));
        }
        let file = disk.file(log);
        file.durable = file.live.clone();
        Ok(())
    }

    fn set_aside(&mut self, _log: Log, torn: &[u8]) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            if disk.room.is_some() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.aside.extend_from_slice(torn);
            Ok(())
        })
    }

    fn is_moved(&self, log: Log) -> io::Result<bool> {
        self.with(|disk| {
            disk.call()?;
            Ok(disk.names.get(log.name()) != Some(&disk.open[index(log)]))
        })
    }

    fn has_name(&self, log: Log) -> io::Result<bool> {
        self.with(|disk| {
            disk.call()?;
            Ok(disk
                .names
                .values()
                .any(|file| *file == disk.open[index(log)]))
        })
    }

    fn reopen(&mut self, log: Log) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            if disk.fail_open || disk.fail_open_of == Some(log) {
                return Err(io::Error::other("open failed"));
            }
            disk.open(log);
            Ok(())
        })
    }

    fn rotate(&mut self, log: Log) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            let number = disk.next_number(log);
            disk.rename(log.name(), &format!("{}.{number}", log.name()));
            if disk.fail_open || disk.fail_open_of == Some(log) {
                return Err(io::Error::other("open failed"));
            }
            disk.open(log);
            Ok(())
        })
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            if disk.fail_sync_names {
                return Err(io::Error::other("sync of the directory failed"));
            }
            disk.sync_names();
            Ok(())
        })
    }

    fn suspect(&mut self, log: Log) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            let number = disk.files.len();
            disk.rename(log.name(), &format!("{}.suspect{number}", log.name()));
            Ok(())
        })
    }

    fn prune(&mut self, before: SystemTime) -> io::Result<usize> {
        self.with(|disk| disk.pruned.push(before));
        Ok(0)
    }

    fn newest_rotated(&self) -> io::Result<Option<SystemTime>> {
        self.with(|disk| Ok(disk.newest))
    }

    fn rotated(&self, log: Log) -> io::Result<Vec<u64>> {
        let start = format!("{}.", log.name());
        self.with(|disk| {
            let numbers = disk
                .names
                .keys()
                .filter_map(|name| name.strip_prefix(&start)?.parse().ok());
            let mut numbers: Vec<u64> = numbers.collect();
            numbers.sort();
            Ok(numbers)
        })
    }

    fn read(&self, log: Log, number: Option<u64>) -> io::Result<Box<dyn Reading>> {
        let name = number.map_or(log.name().to_owned(), |number| {
            format!("{}.{number}", log.name())
        });
        self.with(|disk| {
            let text = disk
                .named(&name)
                .ok_or(io::ErrorKind::NotFound)?
                .live
                .clone();
            disk.reads.push(number);
            Ok(Box::new(io::Cursor::new(text)) as Box<dyn Reading>)
        })
    }

    fn load_seen(&self) -> io::Result<Vec<u8>> {
        self.with(|disk| disk.seen.clone().ok_or(io::ErrorKind::NotFound.into()))
    }

    fn save_seen(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|disk| {
            disk.call()?;
            disk.seen = Some(bytes.to_vec());
            Ok(())
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.with(|disk| Ok(disk.free.unwrap_or(u64::MAX)))
    }
}
