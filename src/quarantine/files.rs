//! The directory of the quarantine: a file for each request, named by a number; the oldest is
//! deleted first.
//!
//! Requests that MNS signed have one half of the space, the others have the other half. Each may
//! use what the other leaves free. So nobody without signatures of MNS can evict a genuine request
//! from its half.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Sizes are rounded up to this, because a file occupies whole blocks of a disk.
const BLOCK_BYTES: u64 = 4096;
/// The maximum number of files deleted at once to free space, the oldest first: the thread must not
/// be busy for long. They have at least 16 MiB.
const GIVEN_BACK_MAX: usize = 4096;
/// Only the owner of the process may read it.
const DIR_MODE: u32 = 0o700;

/// What is known of the sender of a refused request, as in the name of its file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
pub enum Provenance {
    /// MNS sent it: the signature matches.
    #[strum(serialize = "genuine")]
    Signed,
    /// Anybody could have sent it.
    #[strum(serialize = "unproved")]
    Unsigned,
}

/// The files of the quarantine, and the space they use.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    mode: u32,
    bytes_max: u64,
    signed: Half,
    unsigned: Half,
    next_number: u64,
    given_back: u64,
}

/// The files of one [`Provenance`], the oldest first: their numbers and sizes.
#[derive(Debug, Default)]
struct Half {
    files: VecDeque<(u64, u64)>,
    bytes: u64,
    pushed_out: u64,
}

/// The captures in a directory, the oldest first. Empty if the directory does not exist.
///
/// # Errors
/// The directory cannot be read.
pub fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(numbers(dir)?
        .into_iter()
        .map(|(number, provenance)| path(dir, number, provenance))
        .collect())
}

impl Files {
    /// Opens a directory with the files that it already has.
    pub(super) fn open(dir: PathBuf, mode: u32, bytes_max: u64) -> io::Result<Self> {
        let (signed, unsigned) = (Half::default(), Half::default());
        let mut files = Self {
            dir,
            mode,
            bytes_max,
            signed,
            unsigned,
            next_number: 1,
            given_back: 0,
        };
        for (number, provenance) in numbers(&files.dir)? {
            let len = fs::symlink_metadata(path(&files.dir, number, provenance))?.len();
            files.kept(provenance).add(number, room_of(len));
            files.next_number = number.saturating_add(1);
        }
        Ok(files)
    }

    /// The first number that no file has had.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Saves one more capture under a new number, evicting the oldest ones if there is no room.
    pub(super) fn add(
        &mut self,
        number: u64,
        provenance: Provenance,
        capture: &[u8],
    ) -> io::Result<()> {
        let room = room_of(u64::try_from(capture.len()).unwrap_or(u64::MAX));
        // Checked before anything is evicted: a capture that cannot fit must not cost others.
        if room > self.half() {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                "it is larger than half of logs.quarantine_bytes",
            ));
        }
        self.make_room(provenance, room)?;
        // Here and not in `open`: without refused requests there is no directory, and somebody may
        // delete it while serve runs.
        make_dir(&self.dir)?;
        // Captures are queued out of order, because a number is reserved before its request is
        // encoded.
        self.next_number = self.next_number.max(number.saturating_add(1));
        let path = path(&self.dir, number, provenance);
        // O_EXCL: a file that somebody else put there is not overwritten, and a link is not
        // followed. Not synced: a capture is no promise, and a torn one is recognised by its
        // missing note.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(self.mode)
            .open(&path)?;
        // What was written counts until it is removed.
        self.kept(provenance).add(number, room);
        file.write_all(capture).inspect_err(|_| {
            if fs::remove_file(&path).is_ok() {
                self.kept(provenance).remove_newest();
            }
        })
    }

    /// The number of files.
    pub(super) fn len(&self) -> usize {
        self.signed
            .files
            .len()
            .saturating_add(self.unsigned.files.len())
    }

    /// The space that they use, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.signed.bytes.saturating_add(self.unsigned.bytes)
    }

    /// How many files of one half were evicted by newer ones.
    pub(super) fn pushed_out(&self, provenance: Provenance) -> u64 {
        match provenance {
            Provenance::Signed => self.signed.pushed_out,
            Provenance::Unsigned => self.unsigned.pushed_out,
        }
    }

    /// How many files were deleted because space was scarce.
    pub(super) fn given_back(&self) -> u64 {
        self.given_back
    }

    /// Deletes the oldest unsigned captures, at most [`GIVEN_BACK_MAX`] of them: space is scarce,
    /// and pushes need it. Returns the number of bytes freed.
    pub(super) fn give_back(&mut self) -> io::Result<u64> {
        let mut freed: u64 = 0;
        for _ in 0..GIVEN_BACK_MAX {
            let Some(bytes) = self.remove_oldest(Provenance::Unsigned)? else {
                break;
            };
            self.given_back = self.given_back.saturating_add(u64::from(bytes > 0));
            freed = freed.saturating_add(bytes);
        }
        Ok(freed)
    }

    fn make_room(&mut self, provenance: Provenance, room: u64) -> io::Result<()> {
        while self.bytes().saturating_add(room) > self.bytes_max {
            // If this half is not full, the other one uses some of its space and has to give that
            // up.
            let is_own_half_full = self.kept(provenance).bytes.saturating_add(room) > self.half();
            let victim = if is_own_half_full {
                provenance
            } else {
                provenance.other()
            };
            // Not reached while one capture fits into a half, but it bounds the loop.
            let Some(freed) = self.remove_oldest(victim)? else {
                break;
            };
            let half = self.kept(victim);
            half.pushed_out = half.pushed_out.saturating_add(u64::from(freed > 0));
        }
        Ok(())
    }

    /// Deletes the oldest file of one half. Returns the number of bytes freed, which is 0 if
    /// somebody else has deleted the file already, or `None` if there is no file.
    fn remove_oldest(&mut self, provenance: Provenance) -> io::Result<Option<u64>> {
        let Some((number, bytes)) = self.kept(provenance).files.front().copied() else {
            return Ok(None);
        };
        let freed = match fs::remove_file(path(&self.dir, number, provenance)) {
            Ok(()) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        self.kept(provenance).remove_oldest();
        Ok(Some(freed))
    }

    fn half(&self) -> u64 {
        self.bytes_max.div_euclid(2)
    }

    fn kept(&mut self, provenance: Provenance) -> &mut Half {
        match provenance {
            Provenance::Signed => &mut self.signed,
            Provenance::Unsigned => &mut self.unsigned,
        }
    }
}

impl Half {
    fn add(&mut self, number: u64, room: u64) {
        self.files.push_back((number, room));
        self.bytes = self.bytes.saturating_add(room);
    }

    fn remove_oldest(&mut self) {
        let gone = self.files.pop_front();
        self.bytes = self.bytes.saturating_sub(gone.map_or(0, |(_, room)| room));
    }

    fn remove_newest(&mut self) {
        let gone = self.files.pop_back();
        self.bytes = self.bytes.saturating_sub(gone.map_or(0, |(_, room)| room));
    }
}

impl Provenance {
    fn other(self) -> Self {
        match self {
            Self::Signed => Self::Unsigned,
            Self::Unsigned => Self::Signed,
        }
    }
}

/// The name contains nothing that a peer sent.
pub(super) fn path(dir: &Path, number: u64, provenance: Provenance) -> PathBuf {
    let provenance: &'static str = provenance.into();
    // Ten digits, so that a listing is sorted by age.
    dir.join(format!("{number:010}.{provenance}.http"))
}

/// The captures of a directory, in the order of their numbers. Other files are ignored.
fn numbers(dir: &Path) -> io::Result<Vec<(u64, Provenance)>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let parts = name
            .to_str()
            .and_then(|name| name.strip_suffix(".http")?.split_once('.'));
        if let Some((number, provenance)) = parts
            && let (Ok(number), Ok(provenance)) = (number.parse(), provenance.parse())
            // Other spellings of the number, as in `7.genuine.http`, would later be opened at
            // another path.
            && path(dir, number, provenance).file_name() == Some(&name)
        {
            found.push((number, provenance));
        }
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    // Not recursive: the logs are open by now, so their directory exists.
    match DirBuilder::new().mode(DIR_MODE).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn room_of(bytes: u64) -> u64 {
    bytes
        .div_ceil(BLOCK_BYTES)
        .max(1)
        .saturating_mul(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] = &[b'x'; 4096];

    fn files(dir: &Path, blocks: u64) -> Files {
        Files::open(
            dir.join("q"),
            0o640,
            room_of(blocks.saturating_mul(BLOCK_BYTES)),
        )
        .unwrap()
    }

    impl Files {
        fn add_next(&mut self, provenance: Provenance, capture: &[u8]) -> io::Result<()> {
            self.add(self.next_number(), provenance, capture)
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let paths = list(&dir.join("q")).unwrap();
        paths
            .iter()
            .map(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace("000000000", "")
            })
            .collect()
    }

    fn pushed_out(files: &Files) -> [u64; 2] {
        [Provenance::Signed, Provenance::Unsigned].map(|provenance| files.pushed_out(provenance))
    }

    #[test]
    fn the_oldest_goes_first_and_a_small_file_counts_a_block() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = files(dir.path(), 3);
        for _ in 0..5 {
            kept.add_next(Provenance::Unsigned, b"small").unwrap();
        }
        assert_eq!(
            names(dir.path()),
            ["3.unproved.http", "4.unproved.http", "5.unproved.http"]
        );
        assert_eq!(
            (kept.len(), kept.bytes(), pushed_out(&kept)),
            (3, 3 * BLOCK_BYTES, [0, 2])
        );
        assert_eq!(
            kept.add_next(Provenance::Unsigned, &BLOCK.repeat(4))
                .unwrap_err()
                .kind(),
            ErrorKind::FileTooLarge
        );
        assert_eq!(kept.len(), 3, "nothing makes room for what does not fit");
        // A restart with less space.
        let mut kept = files(dir.path(), 2);
        kept.add_next(Provenance::Unsigned, BLOCK).unwrap();
        assert_eq!(names(dir.path()), ["5.unproved.http", "6.unproved.http"]);
    }

    #[test]
    fn a_flood_of_unsigned_requests_leaves_the_signed_ones_their_half() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = files(dir.path(), 4);
        for _ in 0..3 {
            kept.add_next(Provenance::Signed, BLOCK).unwrap();
        }
        for _ in 0..100 {
            kept.add_next(Provenance::Unsigned, BLOCK).unwrap();
        }
        let left = names(dir.path());
        assert_eq!(left[..2], ["2.genuine.http", "3.genuine.http"]);
        assert_eq!(left.len(), 4);
        kept.add_next(Provenance::Unsigned, &BLOCK.repeat(3))
            .unwrap_err();
        assert_eq!(names(dir.path())[..2], left[..2]);
    }

    #[test]
    fn a_bounded_number_of_the_oldest_unsigned_are_deleted_at_once_and_the_signed_stay() {
        let dir = tempfile::tempdir().unwrap();
        let count = u64::try_from(GIVEN_BACK_MAX).unwrap() + 2;
        let mut kept = files(dir.path(), count * 4);
        kept.add_next(Provenance::Signed, BLOCK).unwrap();
        (0..count).for_each(|_| kept.add_next(Provenance::Unsigned, b"small").unwrap());
        kept.add_next(Provenance::Signed, BLOCK).unwrap();
        // Somebody else may delete a file at any time. Its space was counted until now, but nothing
        // is freed.
        fs::remove_file(&list(&dir.path().join("q")).unwrap()[1]).unwrap();
        assert_eq!(kept.give_back().unwrap(), (count - 3) * BLOCK_BYTES);
        let left: Vec<String> = names(dir.path());
        assert_eq!(
            (left.len(), kept.len(), kept.bytes()),
            (4, 4, 4 * BLOCK_BYTES)
        );
        assert!(
            left[0].ends_with("1.genuine.http") && left[1].ends_with("4098.unproved.http"),
            "{left:?}"
        );
        assert_eq!(
            (kept.give_back().unwrap(), kept.give_back().unwrap()),
            (2 * BLOCK_BYTES, 0)
        );
        assert!(
            names(dir.path())
                .iter()
                .all(|name| name.contains("genuine"))
        );
        assert_eq!((kept.given_back(), pushed_out(&kept)), (count - 1, [0, 0]));
    }

    #[test]
    fn a_file_that_somebody_else_deleted_makes_room_but_was_not_pushed_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = files(dir.path(), 2);
        kept.add_next(Provenance::Unsigned, BLOCK).unwrap();
        kept.add_next(Provenance::Unsigned, BLOCK).unwrap();
        fs::remove_file(&list(&dir.path().join("q")).unwrap()[0]).unwrap();
        kept.add_next(Provenance::Unsigned, BLOCK).unwrap();
        assert_eq!((kept.len(), pushed_out(&kept)), (2, [0, 0]));
        kept.add_next(Provenance::Unsigned, BLOCK).unwrap();
        assert_eq!((kept.len(), pushed_out(&kept)), (2, [0, 1]));
        assert_eq!(names(dir.path()), ["3.unproved.http", "4.unproved.http"]);
    }

    #[test]
    fn strange_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("q")).unwrap();
        for name in [
            "1.genuine.http",
            "0000000001.other.http",
            "0000000002.genuine.http.gz",
            "readme",
        ] {
            fs::write(dir.path().join("q").join(name), "").unwrap();
        }
        let mut kept = files(dir.path(), 2);
        assert_eq!(kept.len(), 0);
        kept.add_next(Provenance::Signed, BLOCK).unwrap();
        kept.add_next(Provenance::Signed, BLOCK).unwrap();
        kept.add_next(Provenance::Signed, BLOCK).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("q")).unwrap().count(), 6);
    }
}
