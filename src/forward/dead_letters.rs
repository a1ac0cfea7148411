//! What a destination cannot take: `forward_NAME.PORT.dead`, one JSON object a line.
//!
//! A line is on disk before the cursor passes its notification, so each notification is in the log
//! or in this file. The line has everything that the notification consists of, so that it can be
//! sent again after the log is deleted.
//!
//! A notification has one line, however often it is buried: with `ack = "forward"` MNS sends it
//! again and again.
//!
//! A command may take lines out while `serve` appends others. Both lock the file while they write,
//! and check after locking that the name still leads to this file.

use std::collections::{HashMap, HashSet};
use std::fs::TryLockError;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{
    Disk, DiskFile, FileId, FileReader, Open, Replace, parent, read_exact_at, sync_dir,
};
use crate::forward::Outgoing;
use crate::forward::identity::{digest, identity};
use crate::forward::letter::{DeadLetter, Verdict};

/// How often the file is opened again if it was replaced before it was locked.
const OPENS_MAX: usize = 10;
/// How many notifications are known to be in the file. They take about 2 MiB of memory.
const KNOWN_MAX: usize = 100_000;

/// The file of a destination.
#[derive(Clone)]
pub struct DeadLetters {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    mode: u32,
    bytes_max: u64,
    /// Serializes the threads of this process. The lock of the file is for other processes, and is
    /// not waited for.
    writing: Arc<Mutex<Known>>,
}

/// The notifications that have a line, by the digests of their ids.
#[derive(Default)]
struct Known {
    /// The file, and its length, for which this is so. `None` if it has to be read.
    file: Option<(FileId, u64)>,
    ids: HashSet<u128>,
}

impl Known {
    fn add(&mut self, id: u128) {
        // Those that are forgotten are the oldest. At worst one of them gets a second line.
        if self.ids.len() >= KNOWN_MAX {
            self.ids.clear();
        }
        self.ids.insert(id);
    }
}

fn id(outgoing: &Outgoing) -> u128 {
    digest(identity(outgoing).as_bytes())
}

/// Why a line was not written or not taken out.
#[derive(Debug, thiserror::Error)]
pub enum NotBuried {
    /// There is no room for it.
    #[error("{} would grow beyond dead_letters_max", .0.display())]
    Full(PathBuf),
    /// Another process is writing to it.
    #[error("another process writes to {}", .0.display())]
    InUse(PathBuf),
    /// An I/O error.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Disk {
        /// The step that failed, as in "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl DeadLetters {
    /// The file at `path`, and how large it may become.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf, mode: u32, bytes_max: u64) -> Self {
        Self {
            disk,
            path,
            mode,
            bytes_max,
            writing: Arc::default(),
        }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a notification durably, unless it has a line already.
    ///
    /// # Errors
    /// [`NotBuried`]. Then the file has nothing of it.
    pub fn bury(&self, outgoing: &Outgoing, verdict: &Verdict) -> Result<(), NotBuried> {
        let mut text = DeadLetter::line(outgoing, verdict) + "\n";
        let failed = self.failed("write");
        // Two threads must not append at once: cutting off a failed write would also remove what
        // the other one has written.
        let mut known = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.locked()?;
        let len = file.len().map_err(failed)?;
        let file_id = file.identity().map_err(failed)?;
        // Others only take lines out, so the length shows whether it is as this process left it.
        if known.file != Some((file_id, len)) {
            self.look(&mut known, file.as_mut())?;
            known.file = Some((file_id, len));
        }
        let id = id(outgoing);
        if known.ids.contains(&id) {
            return Ok(());
        }
        // A crash may have torn the last line. The new one must not be lost with it.
        if let Some(last) = len.checked_sub(1) {
            let mut byte = [0];
            read_exact_at(file.as_ref(), &mut byte, last).map_err(failed)?;
            if byte != *b"\n" {
                text.insert(0, '\n');
            }
        }
        let added = u64::try_from(text.len()).unwrap_or(u64::MAX);
        // Under the lock, so that no other append comes between this check and the write.
        if len.saturating_add(added) > self.bytes_max {
            return Err(NotBuried::Full(self.path.clone()));
        }
        // Until the line is durable, so that after an error the file is read again.
        known.file = None;
        let written = file.append(text.as_bytes()).and_then(|()| file.sync());
        if let Err(cause) = written {
            // The next line would be appended to the torn one and be lost with it. If the cut fails
            // too, the next append begins with a line feed.
            drop(file.set_len(len));
            return Err(failed(cause));
        }
        // The file may be new. POSIX makes its name durable only by a sync of the directory.
        if len == 0 {
            sync_dir(self.disk.as_ref(), parent(&self.path)).map_err(failed)?;
        }
        known.file = Some((file_id, len.saturating_add(added)));
        known.add(id);
        Ok(())
    }

    /// Reads which notifications have a line.
    fn look(&self, known: &mut Known, file: &mut dyn DiskFile) -> Result<(), NotBuried> {
        known.file = None;
        known.ids.clear();
        // Line by line, because the file may be large.
        let whole = self.disk.open(&self.path, Open::Read);
        let whole = BufReader::new(FileReader::new(whole.map_err(self.failed("read"))?));
        for line in whole.split(b'\n') {
            let line = line.map_err(self.failed("read"))?;
            if let Some(letter) = DeadLetter::of_line(&line) {
                known.add(id(&letter.outgoing));
            }
        }
        // What an earlier attempt or process has written need not be durable, and is now relied on.
        file.sync().map_err(self.failed("sync"))?;
        sync_dir(self.disk.as_ref(), parent(&self.path)).map_err(self.failed("sync"))
    }

    /// Reads all lines, the oldest first, without their line feeds; none if there is no file. A
    /// torn line is included.
    ///
    /// # Errors
    /// [`NotBuried::Disk`]
    pub fn lines(&self) -> Result<Vec<Vec<u8>>, NotBuried> {
        let file = match self.disk.open(&self.path, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(self.failed("read"))?,
        };
        self.lines_of(file)
    }

    /// Takes these lines out, durably: the file is replaced as a whole, or removed if nothing is
    /// left. A line that occurs twice is taken out as often as it is given. Returns how many were
    /// taken out.
    ///
    /// # Errors
    /// [`NotBuried`]. The file is then as it was, unless only the sync of its directory failed.
    pub fn take_out(&self, gone: &[Vec<u8>]) -> Result<usize, NotBuried> {
        let mut known = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        known.file = None;
        let locked = self.locked()?;
        // Counts instead of a set: of two equal lines only those that are given are removed.
        let mut counts: HashMap<&[u8], usize> = HashMap::new();
        for line in gone {
            let count = counts.entry(line.as_slice()).or_default();
            *count = count.saturating_add(1);
        }
        let mut kept = Vec::new();
        let mut taken = 0_usize;
        // What was appended since the lines were read is kept.
        for line in self.lines()? {
            match counts.get_mut(line.as_slice()) {
                Some(count) if *count > 0 => {
                    *count = count.saturating_sub(1);
                    taken = taken.saturating_add(1);
                }
                Some(_) | None => {
                    kept.extend_from_slice(&line);
                    kept.push(b'\n');
                }
            }
        }
        let disk = self.disk.as_ref();
        if kept.is_empty() {
            let removed = disk.remove(&self.path);
            removed.map_err(self.failed("remove"))?;
            // Otherwise a crash may bring the delivered lines back.
            sync_dir(disk, parent(&self.path)).map_err(self.failed("remove"))?;
        } else if taken > 0 {
            let mut draft = self.path.clone().into_os_string();
            draft.push(".new");
            let replace = Replace {
                path: &self.path,
                draft: Path::new(&draft),
                mode: self.mode,
            };
            let replaced = replace.with(disk, &kept);
            replaced.map_err(|failed| self.failed(failed.doing)(failed.cause))?;
        }
        // Released only now that the name leads to the new file: a process that locks the old one
        // afterwards finds that out and opens again.
        drop(locked);
        Ok(taken)
    }

    /// The file that the name leads to, locked against other processes.
    fn locked(&self) -> Result<Box<dyn DiskFile>, NotBuried> {
        let failed = self.failed("open");
        let in_use = || NotBuried::InUse(self.path.clone());
        for _ in 0..OPENS_MAX {
            let how = Open::Append { mode: self.mode };
            let file = self.disk.open(&self.path, how).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use()),
                Err(TryLockError::Error(cause)) => return Err(self.failed("lock")(cause)),
            }
            // The lock belongs to the open file and not to its name. If the name leads to another
            // file by now, an append here would be lost.
            let own = file.identity().map_err(failed)?;
            match self.disk.identity(&self.path) {
                Ok(there) if there == own => return Ok(file),
                // Another process has replaced it.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(failed(cause)),
            }
        }
        Err(in_use())
    }

    fn lines_of(&self, file: Box<dyn DiskFile>) -> Result<Vec<Vec<u8>>, NotBuried> {
        let mut bytes = Vec::new();
        let read = FileReader::new(file).read_to_end(&mut bytes);
        read.map_err(self.failed("read"))?;
        let lines = bytes.split(|byte| *byte == b'\n');
        // The split also yields an empty piece after the last line feed.
        let lines = lines.filter(|line| !line.is_empty());
        Ok(lines.map(<[u8]>::to_vec).collect())
    }

    fn failed(&self, doing: &'static str) -> impl Fn(io::Error) -> NotBuried + Copy + '_ {
        move |cause| NotBuried::Disk {
            doing,
            path: self.path.clone(),
            cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::disk::{Call, Hooked, RealDisk};
    use crate::forward::Reason;
    use crate::forward::identity::samples::outgoing;

    fn letters(dir: &Path) -> DeadLetters {
        let path = dir.join("forward_orders.80.dead");
        DeadLetters::new(Arc::new(RealDisk), path, 0o600, 1_000_000)
    }

    fn bury(letters: &DeadLetters, id: &str) -> Result<(), NotBuried> {
        let verdict = Verdict {
            reason: Reason::TooLarge,
            attempts: 1,
            detail: String::new(),
            at: "2026-11-24T10:40:36Z".parse().unwrap(),
        };
        letters.bury(&outgoing([b"1", b"t", b"s", id.as_bytes()]), &verdict)
    }

    fn ids(letters: &DeadLetters) -> Vec<String> {
        let id = |line: &Vec<u8>| {
            let letter = DeadLetter::of_line(line)?;
            String::from_utf8(letter.outgoing.notification.key.parts()[3].to_vec()).ok()
        };
        let lines = letters.lines().unwrap();
        let ids = lines.iter().map(|line| id(line).unwrap_or_default());
        ids.collect()
    }

    #[test]
    fn lines_are_taken_out_and_what_came_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let letters = letters(dir.path());
        assert_eq!(letters.lines().unwrap(), Vec::<Vec<u8>>::new());
        for id in ["1", "2"] {
            bury(&letters, id).unwrap();
        }
        // An earlier version wrote some lines twice.
        let second = letters.lines().unwrap().remove(1);
        let twice = [fs::read(letters.path()).unwrap(), second, b"\n".to_vec()].concat();
        fs::write(letters.path(), twice).unwrap();
        bury(&letters, "3").unwrap();
        let lines = letters.lines().unwrap();
        let mut torn = fs::read(letters.path()).unwrap();
        torn.extend(b"{\"time\"");
        fs::write(letters.path(), torn).unwrap();
        bury(&letters, "4").unwrap();
        assert_eq!(letters.take_out(&lines[..2]).unwrap(), 2);
        assert_eq!(ids(&letters), ["2", "3", "", "4"]);
        let mode = fs::metadata(letters.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(letters.take_out(&lines[..1]).unwrap(), 0);
        assert_eq!(letters.take_out(&letters.lines().unwrap()).unwrap(), 4);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        bury(&letters, "5").unwrap();
        assert_eq!(ids(&letters), ["5"]);
    }

    #[test]
    fn a_notification_has_one_line_however_often_it_is_buried_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = letters(dir.path());
        for _ in 0..5 {
            bury(&first, "1").unwrap();
        }
        assert_eq!(ids(&first), ["1"]);
        // As after a restart, and as a command does it in another process.
        let other = letters(dir.path());
        bury(&other, "1").unwrap();
        bury(&other, "2").unwrap();
        bury(&first, "2").unwrap();
        assert_eq!(ids(&first), ["1", "2"]);
        assert_eq!(other.take_out(&other.lines().unwrap()[..1]).unwrap(), 1);
        bury(&first, "2").unwrap();
        bury(&first, "1").unwrap();
        assert_eq!(ids(&first), ["2", "1"]);
        assert_eq!(first.take_out(&first.lines().unwrap()[..1]).unwrap(), 1);
        bury(&first, "2").unwrap();
        assert_eq!(ids(&first), ["1", "2"]);
        // A torn line does not count.
        let whole = fs::read(first.path()).unwrap();
        fs::write(first.path(), &whole[..whole.len() - 5]).unwrap();
        bury(&first, "2").unwrap();
        assert_eq!(ids(&first), ["1", "", "2"]);
    }

    #[test]
    fn a_full_file_still_has_those_that_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = letters(dir.path());
        bury(&letters, "1").unwrap();
        letters.bytes_max = 1;
        assert!(matches!(bury(&letters, "2"), Err(NotBuried::Full(_))));
        bury(&letters, "1").unwrap();
        assert_eq!(ids(&letters), ["1"]);
    }

    #[test]
    fn nobody_appends_while_another_process_takes_lines_out() {
        let dir = tempfile::tempdir().unwrap();
        let letters = letters(dir.path());
        bury(&letters, "1").unwrap();
        // A lock belongs to the open file, so this is as another process would do it.
        let other = fs::File::open(letters.path()).unwrap();
        other.try_lock().unwrap();
        assert!(matches!(bury(&letters, "2"), Err(NotBuried::InUse(_))));
        assert!(matches!(letters.take_out(&[]), Err(NotBuried::InUse(_))));
        drop(other);
        bury(&letters, "2").unwrap();
        assert_eq!(ids(&letters), ["1", "2"]);
    }

    #[test]
    fn several_threads_bury_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let letters = letters(dir.path());
        std::thread::scope(|scope| {
            for id in 0..8 {
                let letters = letters.clone();
                scope.spawn(move || bury(&letters, &id.to_string()).unwrap());
            }
        });
        let mut ids = ids(&letters);
        ids.sort();
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }

    #[test]
    fn a_file_that_is_replaced_before_it_is_locked_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forward_orders.80.dead");
        // Another process replaces the file after it was opened.
        let is_replaced = AtomicBool::new(false);
        let disk = Arc::new(Hooked(move |call: Call<'_>| {
            if let Call::Opened(path, Open::Append { .. }) = call
                && !is_replaced.swap(true, Ordering::Relaxed)
            {
                let draft = path.with_extension("new");
                fs::write(&draft, "of another\n").unwrap();
                fs::rename(draft, path).unwrap();
            }
            Ok(())
        }));
        let letters = DeadLetters::new(disk, path, 0o600, 1_000_000);
        bury(&letters, "1").unwrap();
        assert_eq!(ids(&letters), ["", "1"]);
    }

    /// Each has a lock of its own, as in several processes.
    #[test]
    fn nothing_is_lost_between_those_who_append_and_those_who_take_out() {
        const THREADS: usize = 4;
        const EACH: usize = 40;
        let dir = tempfile::tempdir().unwrap();
        let patient = |write: &dyn Fn() -> Result<usize, NotBuried>| loop {
            match write() {
                Err(NotBuried::InUse(_)) => std::thread::yield_now(),
                written => break written.unwrap(),
            }
        };
        let taken = std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let letters = letters(dir.path());
                scope.spawn(move || {
                    for id in 0..EACH {
                        let id = (thread * EACH + id).to_string();
                        patient(&|| bury(&letters, &id).map(|()| 1));
                    }
                });
            }
            let letters = letters(dir.path());
            let taker = scope.spawn(move || {
                let mut taken = 0;
                while taken < THREADS * EACH / 2 {
                    let lines = letters.lines().unwrap();
                    // Now all, now some.
                    let some = lines.len() - (taken % 2) * lines.len() / 2;
                    taken += patient(&|| letters.take_out(&lines[..some]));
                }
                taken
            });
            taker.join().unwrap()
        });
        assert_eq!(taken + ids(&letters(dir.path())).len(), THREADS * EACH);
    }
}
