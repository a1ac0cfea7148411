//! How far a destination is done, in a small file that is written whole or not at all.
//!
//! `.forward.NAME.PORT.cursor` is one line: a JSON object and a checksum of its bytes. The object
//! names the destination. A cursor that is torn, changed or of another destination is refused: any
//! guess would skip notifications or send them all again.

use std::hash::Hasher as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use siphasher::sip::SipHasher13;

use crate::bounded;
use crate::disk::{Disk, FileReader, NotReplaced, Open, Replace};
use crate::journal::{Names, Position, RecordTime, Saved, json_text};

/// The largest file, in bytes. Most of it are the names of log files without a number: logrotate
/// with `dateext` leaves one per rotation, of about 50 bytes with its directory. This is enough for
/// nine years of hourly rotations, and bounds what a start reads of a file that is no cursor.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The version of the format.
const VERSION: u64 = 1;

/// How far a destination is done.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The place before which everything is settled, followed by earlier places in case the log is
    /// cut.
    pub saved: Saved,
    /// What was settled before that place.
    pub counts: Counts,
    /// The most recent gap.
    pub gap: Option<Gap>,
}

/// What a cursor has passed since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Notifications: the sequence number of the last one.
    pub sequence: u64,
    /// Those that the destination has.
    pub delivered: u64,
    /// Those in the file of dead letters.
    pub dead_lettered: u64,
    /// Those that were skipped.
    pub skipped: u64,
    /// How often rows were missing.
    pub gaps: u64,
}

/// Rows that were missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// When the last row before them was logged.
    pub after: Option<RecordTime>,
    /// When the first row after them was logged.
    pub before: Option<RecordTime>,
}

/// The file of a cursor, which is replaced as a whole.
pub struct CursorFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    draft: PathBuf,
    mode: u32,
    /// What names the destination: its kind, and its stream or address.
    destination: String,
    written: Vec<u8>,
}

/// Why an existing cursor file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// An I/O error.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is torn or was changed.
    #[error("{} is no cursor: it is torn, or somebody changed it", .0.display())]
    Broken(PathBuf),
    /// It is one of a later version.
    #[error("{} has version {version}, and this program knows {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It belongs to another destination.
    #[error("{} is the cursor of {found}, and the destination is {wanted} now", path.display())]
    OtherDestination {
        /// The file.
        path: PathBuf,
        /// The destination in it.
        found: String,
        /// The one that is configured.
        wanted: String,
    },
}

impl CursorFile {
    /// The file of the destination called `name`. `destination` distinguishes it from another one
    /// that may get this name.
    #[must_use]
    pub fn new(
        disk: Arc<dyn Disk>,
        names: &Names,
        name: &str,
        destination: String,
        mode: u32,
    ) -> Self {
        let path = names.cursor(name);
        let mut draft = path.clone().into_os_string();
        draft.push(".new");
        Self {
            disk,
            path,
            draft: draft.into(),
            mode,
            destination,
            written: Vec::new(),
        }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was saved; `None` if there is no file yet.
    ///
    /// # Errors
    /// [`CursorError`]
    pub fn load(&self) -> Result<Option<Progress>, CursorError> {
        let path = || self.path.clone();
        let file = match self.disk.open(&self.path, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => {
                let max = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
                file.and_then(|file| bounded::read_all(FileReader::new(file), max))
            }
        };
        let bytes = file.map_err(|cause| CursorError::Unreadable {
            path: path(),
            cause,
        })?;
        let broken = || CursorError::Broken(path());
        let object = content(&bytes).ok_or_else(broken)?;
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let version = number("version").ok_or_else(broken)?;
        // Before the other fields, whose names and meaning belong to this version.
        if version != VERSION {
            let path = path();
            return Err(CursorError::Version { path, version });
        }
        let found = object.get("destination").and_then(Value::as_str);
        let found = found.ok_or_else(broken)?;
        // A position fits the log of any destination. Continuing from it would skip what the new
        // destination does not have.
        if found != self.destination {
            return Err(CursorError::OtherDestination {
                path: path(),
                found: found.to_owned(),
                wanted: self.destination.clone(),
            });
        }
        read(&object).map(Some).ok_or_else(broken)
    }

    /// Saves the progress durably. Writes nothing if the file has it already.
    ///
    /// # Errors
    /// The step that failed, or [`io::ErrorKind::FileTooLarge`]. The file is then as it was.
    pub(crate) fn save(&mut self, progress: &Progress) -> Result<(), NotReplaced> {
        let bytes = line(&write(&self.destination, progress));
        // A replacement syncs the draft and its directory.
        if bytes == self.written {
            return Ok(());
        }
        // `load` would refuse it, and the next start could not forward. An older cursor only
        // repeats.
        if bytes.len() > BYTES_MAX {
            let why = format!(
                "it would have {} bytes, and at most {BYTES_MAX} are read: compress or remove \
                 rotated logs whose names have no number",
                bytes.len()
            );
            return Err(NotReplaced {
                doing: "write",
                path: self.path.clone(),
                cause: io::Error::new(io::ErrorKind::FileTooLarge, why),
            });
        }
        let replace = Replace {
            path: &self.path,
            draft: &self.draft,
            mode: self.mode,
        };
        replace.with(self.disk.as_ref(), &bytes)?;
        // Only after success, so that a failed save is repeated.
        self.written = bytes;
        Ok(())
    }
}

/// The object, a blank, the checksum of the object in hex, a line feed.
fn line(object: &Value) -> Vec<u8> {
    let text = json_text(object);
    let checksum = checksum(text.as_bytes());
    format!("{text} {checksum:016x}\n").into_bytes()
}

fn content(bytes: &[u8]) -> Option<Value> {
    // The line feed is the last byte that is written: without it the file is torn. The last blank
    // separates the checksum, since the object may have blanks of its own.
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (object, hex) = text.rsplit_once(' ')?;
    let is_whole = hex == format!("{:016x}", checksum(object.as_bytes()));
    serde_json::from_str(object).ok().filter(|_| is_whole)
}

fn checksum(bytes: &[u8]) -> u64 {
    // It detects damage, not forgery, so it needs no key. `DefaultHasher` may change with a version
    // of Rust, and the checksum outlives the program.
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

fn write(destination: &str, progress: &Progress) -> Value {
    let Progress { saved, counts, gap } = progress;
    let time = |time: Option<RecordTime>| time.map(|time| time.to_string());
    let trail = saved.trail.iter().map(ToString::to_string);
    let name = |path: &PathBuf| path.to_string_lossy().into_owned();
    let names = |paths: &Vec<PathBuf>| paths.iter().map(name).collect::<Vec<_>>();
    json!({
        "version": VERSION,
        "destination": destination,
        "trail": trail.collect::<Vec<_>>(),
        "time": time(saved.time),
        "unnumbered": saved.unnumbered.as_ref().map(names),
        "sequence": counts.sequence,
        "delivered": counts.delivered,
        "dead_lettered": counts.dead_lettered,
        "skipped": counts.skipped,
        "gaps": counts.gaps,
        "gap": gap.map(|gap| json!({ "after": time(gap.after), "before": time(gap.before) })),
    })
}

fn read(object: &Value) -> Option<Progress> {
    let number = |name: &str| object.get(name)?.as_u64();
    let time = |of: &Value, name: &str| RecordTime::of_text(of.get(name)?.as_str()?);
    let place = |value: &Value| value.as_str()?.parse::<Position>().ok();
    let trail = object.get("trail")?.as_array()?.iter().map(place);
    let paths = |names: &Vec<Value>| {
        let names = names.iter().filter_map(Value::as_str);
        names.map(PathBuf::from).collect()
    };
    let gap = object.get("gap").filter(|gap| gap.is_object());
    Some(Progress {
        saved: Saved {
            trail: trail.collect::<Option<_>>()?,
            delivered: None,
            time: time(object, "time"),
            unnumbered: object.get("unnumbered")?.as_array().map(paths),
        },
        counts: Counts {
            sequence: number("sequence")?,
            delivered: number("delivered")?,
            dead_lettered: number("dead_lettered")?,
            skipped: number("skipped")?,
            gaps: number("gaps")?,
        },
        gap: gap.map(|gap| Gap {
            after: time(gap, "after"),
            before: time(gap, "before"),
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::disk::RealDisk;

    fn file(dir: &Path, destination: &str) -> CursorFile {
        let names = Names {
            dir: dir.to_owned(),
            port: 80,
        };
        let disk = Arc::new(RealDisk);
        CursorFile::new(disk, &names, "orders", destination.to_owned(), 0o640)
    }

    fn progress() -> Progress {
        let time = RecordTime::of_text("2026-11-24 18:40:36");
        Progress {
            saved: Saved {
                trail: ["1-2-3", "1-1-2"].map(|text| text.parse().unwrap()).into(),
                delivered: None,
                time,
                unnumbered: Some(vec![PathBuf::from("logs/endpoint_log.80.copy")]),
            },
            counts: Counts {
                sequence: 9,
                delivered: 6,
                dead_lettered: 2,
                skipped: 1,
                gaps: 1,
            },
            gap: Some(Gap {
                after: None,
                before: time,
            }),
        }
    }

    #[test]
    fn what_was_saved_is_read_back_and_saving_it_again_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursor = file(dir.path(), "nats MNS");
        assert!(cursor.load().unwrap().is_none());
        cursor.save(&progress()).unwrap();
        let path = dir.path().join(".forward.orders.80.cursor");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let again = cursor.load().unwrap().unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", progress()));
        fs::remove_file(&path).unwrap();
        cursor.save(&progress()).unwrap();
        assert!(!path.exists());
        cursor.save(&Progress::default()).unwrap();
        let empty = cursor.load().unwrap().unwrap();
        assert_eq!(format!("{empty:?}"), format!("{:?}", Progress::default()));
    }

    /// As logrotate names them with `dateext`, in a directory.
    fn with_logs(count: usize) -> Progress {
        let name = |number| PathBuf::from(format!("/var/log/mns/endpoint_log.8080-{number:010}"));
        let mut progress = progress();
        progress.saved.unnumbered = Some((0..count).map(name).collect());
        progress
    }

    #[test]
    fn whatever_is_saved_is_read_back_and_what_would_not_be_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursor = file(dir.path(), "nats MNS");
        let many = with_logs(5_000);
        cursor.save(&many).unwrap();
        let again = || format!("{:?}", cursor.load().unwrap().unwrap());
        assert_eq!(again(), format!("{many:?}"));
        let mut other = file(dir.path(), "nats MNS");
        let failed = other.save(&with_logs(100_000)).unwrap_err();
        assert_eq!(failed.path, other.path());
        assert_eq!(failed.cause.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(again(), format!("{many:?}"));
        // It is tried again, and succeeds once there are fewer.
        other.save(&with_logs(1)).unwrap();
        assert_eq!(again(), format!("{:?}", with_logs(1)));
    }

    #[test]
    fn one_that_is_torn_or_changed_anywhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursor = file(dir.path(), "nats MNS");
        cursor.save(&progress()).unwrap();
        let whole = fs::read(cursor.path()).unwrap();
        let is_refused = |bytes: &[u8]| {
            fs::write(cursor.path(), bytes).unwrap();
            matches!(cursor.load(), Err(CursorError::Broken(_)))
        };
        for end in 0..whole.len() {
            assert!(is_refused(&whole[..end]), "cut at {end}");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(is_refused(&changed), "changed at {place}");
        }
        assert!(!is_refused(&whole));
    }

    #[test]
    fn one_of_another_destination_or_version_says_so() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), "nats MNS").save(&progress()).unwrap();
        let other = file(dir.path(), "nats ORDERS").load().unwrap_err();
        assert!(
            other.to_string().ends_with(
                ".forward.orders.80.cursor is the cursor of nats MNS, and the destination is \
                 nats ORDERS now"
            ),
            "{other}"
        );
        let cursor = file(dir.path(), "nats MNS");
        let mut object = write("nats MNS", &progress());
        object["version"] = json!(2);
        fs::write(cursor.path(), line(&object)).unwrap();
        let later = cursor.load().unwrap_err();
        assert!(
            matches!(later, CursorError::Version { version: 2, .. }),
            "{later}"
        );
        fs::write(cursor.path(), vec![b'x'; BYTES_MAX + 1]).unwrap();
        assert!(matches!(cursor.load(), Err(CursorError::Unreadable { .. })));
    }

    #[test]
    fn a_replacement_that_fails_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursor = file(dir.path(), "nats MNS");
        cursor.save(&progress()).unwrap();
        // The draft cannot be written where a directory has its name.
        fs::create_dir(dir.path().join(".forward.orders.80.cursor.new")).unwrap();
        let failed = cursor.save(&Progress::default()).unwrap_err();
        assert_eq!(failed.doing, "write");
        assert_eq!(cursor.load().unwrap().unwrap().counts, progress().counts);
        fs::remove_dir(dir.path().join(".forward.orders.80.cursor.new")).unwrap();
        cursor.save(&Progress::default()).unwrap();
        assert_eq!(cursor.load().unwrap().unwrap().counts, Counts::default());
    }
}
