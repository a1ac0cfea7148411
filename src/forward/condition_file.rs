//! The condition of a forwarder in a small file, for `forward status`: it needs no listener.
//!
//! `.forward.NAME.PORT.condition` is a JSON object on one line. It is replaced as a whole, and the
//! process that wrote it keeps it locked. So a reader knows whether the file is about a process
//! that still runs, also in another container, and without a lock that a start needs. It is not
//! synced: after a power failure it is about no running process anyway.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bounded;
use crate::clock::Clock;
use crate::disk::{Disk, DiskFile, Open, regular};
use crate::forward::condition::{Condition, Phase};
use crate::journal::json_text;

/// The largest file, in bytes: more than all fields take if each character of the detail is
/// escaped.
const BYTES_MAX: u64 = 64 * 1024;
/// How much of the detail is saved, in characters.
const DETAIL_MAX: usize = 800;
/// The version of the format.
const VERSION: u64 = 1;

/// The file with the condition of one destination.
pub struct ConditionFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    draft: PathBuf,
    mode: u32,
    /// What names the destination: its kind, and its stream or address.
    destination: String,
    /// The condition in the file, and the handle that keeps the file locked. `None` before the
    /// first save and after a failed one.
    saved: Option<(Condition, Box<dyn DiskFile>)>,
}

/// What was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCondition {
    /// Whether the process that saved it still runs, so that it is the present condition.
    pub is_present: bool,
    /// What the forwarder does, or did last.
    pub phase: Phase,
    /// The key of the reason for which it does not deliver.
    pub reason: Option<String>,
    /// What the destination or the system said.
    pub detail: Option<String>,
    /// Since when there is this reason.
    pub since: Option<Timestamp>,
    /// Whether the backlog has reached a bound.
    pub is_full: bool,
    /// For how long the stream drops repeats, if that was known then.
    pub duplicate_window: Option<Duration>,
}

/// Why a file says nothing of the destination.
#[derive(Debug, thiserror::Error)]
pub enum NoCondition {
    /// An I/O error.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is torn, of a later version, or something else.
    #[error("{} is not the condition of a destination: serve replaces it when it starts",
        .0.display())]
    Broken(PathBuf),
    /// It belongs to another destination.
    #[error("{} is about {found}: restart serve if its configuration was changed", path.display())]
    OtherDestination {
        /// The file.
        path: PathBuf,
        /// The destination in it.
        found: String,
    },
}

impl ConditionFile {
    /// The file at `path`. `destination` distinguishes it from another one that may get its name.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf, destination: String, mode: u32) -> Self {
        let mut draft = path.clone().into_os_string();
        draft.push(".new");
        Self {
            disk,
            path,
            draft: draft.into(),
            mode,
            destination,
            saved: None,
        }
    }

    /// Whether the file has this condition.
    pub(super) fn has(&self, condition: &Condition) -> bool {
        self.saved
            .as_ref()
            .is_some_and(|(saved, _)| saved == condition)
    }

    /// Saves a condition, and locks the file until the next save or until this is dropped.
    ///
    /// # Errors
    /// The system's. Then there is no file, because the old one would be out of date.
    pub(super) fn save(&mut self, condition: Condition, clock: &dyn Clock) -> io::Result<()> {
        let object = write(&self.destination, &condition, clock);
        let text = json_text(&object) + "\n";
        let written = self.replace(text.as_bytes());
        if written.is_err() {
            self.saved = None;
            // Errors of the removals are ignored: the first error is reported.
            drop(self.disk.remove(&self.draft));
            drop(self.disk.remove(&self.path));
        }
        self.saved = Some((condition, written?));
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<Box<dyn DiskFile>> {
        let how = Open::Draft { mode: self.mode };
        let mut draft = self.disk.open(&self.draft, how)?;
        // Lock the draft before it gets the name, so that a reader never finds the file unlocked.
        draft.try_lock()?;
        draft.write_at(bytes, 0)?;
        self.disk.rename(&self.draft, &self.path)?;
        Ok(draft)
    }

    /// Reads what was saved last; `None` if there is no file.
    ///
    /// # Errors
    /// [`NoCondition`]
    pub fn load(&self) -> Result<Option<SavedCondition>, NoCondition> {
        let path = || self.path.clone();
        let unreadable = |cause| NoCondition::Unreadable {
            path: path(),
            cause,
        };
        let file = match regular::open_to_read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(unreadable)?,
        };
        // A shared lock, so that two readers do not take each other for the writer.
        let is_present = match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(cause)) => return Err(unreadable(cause)),
        };
        let bytes = bounded::read_all(file, BYTES_MAX).map_err(unreadable)?;
        let object: Option<Value> = serde_json::from_slice(&bytes).ok();
        let saved = object.as_ref().and_then(|object| read(object, is_present));
        let (found, saved) = saved.ok_or_else(|| NoCondition::Broken(path()))?;
        if found != self.destination {
            let found = found.to_owned();
            return Err(NoCondition::OtherDestination {
                path: path(),
                found,
            });
        }
        Ok(Some(saved))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write(destination: &str, condition: &Condition, clock: &dyn Clock) -> Value {
    let time = |since: &Instant| {
        let elapsed = clock.instant().saturating_duration_since(*since);
        let time = Timestamp::try_from(clock.now().checked_sub(elapsed)?).ok()?;
        // To the second, as the times of the text logs.
        Timestamp::from_second(time.as_second()).ok()
    };
    let detail = condition.detail.as_ref();
    json!({
        "version": VERSION,
        "destination": destination,
        "state": condition.phase.key(),
        "reason": condition.reason,
        "detail": detail.map(|text| text.chars().take(DETAIL_MAX).collect::<String>()),
        "since": condition.since.as_ref().and_then(time).map(|time| time.to_string()),
        "backlog_full": condition.is_full,
        // Earlier programs of this version neither wrote nor read it.
        "duplicate_window_ms": condition.duplicate_window.and_then(milliseconds),
    })
}

fn milliseconds(span: Duration) -> Option<u64> {
    u64::try_from(span.as_millis()).ok()
}

/// The destination, and what is said of it.
fn read(object: &Value, is_present: bool) -> Option<(&str, SavedCondition)> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let is_known = object.get("version")?.as_u64()? == VERSION;
    let saved = SavedCondition {
        is_present,
        phase: text("state")?.parse().ok()?,
        reason: text("reason").map(ToOwned::to_owned),
        detail: text("detail").map(ToOwned::to_owned),
        since: text("since").and_then(|text| text.parse().ok()),
        is_full: object.get("backlog_full")?.as_bool()?,
        duplicate_window: object
            .get("duplicate_window_ms")
            .and_then(Value::as_u64)
            .map(Duration::from_millis),
    };
    is_known.then_some((text("destination")?, saved))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::disk::RealDisk;

    fn file(dir: &Path, destination: &str) -> ConditionFile {
        let path = dir.join(".forward.orders.80.condition");
        ConditionFile::new(Arc::new(RealDisk), path, destination.to_owned(), 0o640)
    }

    fn condition(detail: &str) -> Condition {
        let since = SystemClock.instant().checked_sub(Duration::from_secs(60));
        Condition {
            phase: Phase::Disconnected,
            reason: Some("forbidden"),
            detail: Some(detail.to_owned()),
            since,
            is_full: true,
            duplicate_window: Some(Duration::from_millis(90_500)),
        }
    }

    #[test]
    fn it_is_present_for_as_long_as_its_writer_runs() {
        let dir = tempfile::tempdir().unwrap();
        let reader = file(dir.path(), "nats MNS");
        assert_eq!(reader.load().unwrap(), None);
        let mut writer = file(dir.path(), "nats MNS");
        writer.save(condition("no\u{1b}\n"), &SystemClock).unwrap();
        let mode = fs::metadata(writer.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o640, 0);
        let text = fs::read_to_string(writer.path()).unwrap();
        assert!(
            !text.trim_end().contains(|it: char| it.is_control()),
            "{text:?}"
        );
        let saved = reader.load().unwrap().unwrap();
        let since = saved.since.unwrap();
        let now = Timestamp::try_from(SystemClock.now()).unwrap();
        let age = now.duration_since(since).as_secs();
        assert!((60..120).contains(&age), "{age}");
        let expected = SavedCondition {
            is_present: true,
            phase: Phase::Disconnected,
            reason: Some("forbidden".to_owned()),
            detail: Some("no\u{1b}\n".to_owned()),
            since: Some(since),
            is_full: true,
            duplicate_window: Some(Duration::from_millis(90_500)),
        };
        assert_eq!(saved, expected);
        // Another reader at the same time is not taken for the writer.
        let other = regular::open_to_read(reader.path()).unwrap();
        other.try_lock_shared().unwrap_err();
        writer.save(condition("x"), &SystemClock).unwrap();
        assert!(reader.load().unwrap().unwrap().is_present);
        drop(writer);
        other.try_lock_shared().unwrap();
        let last = reader.load().unwrap().unwrap();
        assert_eq!(
            (last.is_present, last.detail.as_deref()),
            (false, Some("x"))
        );
    }

    #[test]
    fn earlier_and_later_programs_of_this_version_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = file(dir.path(), "nats MNS");
        writer.save(condition("x"), &SystemClock).unwrap();
        let text = fs::read_to_string(writer.path()).unwrap();
        let saved = writer.load().unwrap().unwrap();
        let window = ",\"duplicate_window_ms\":90500";
        for (is, expected) in [
            // As an earlier program writes it.
            ("", None),
            (",\"duplicate_window_ms\":null", None),
            (",\"duplicate_window_ms\":-1", None),
            (window, saved.duplicate_window),
            (
                ",\"duplicate_window_ms\":90500,\"later\":[1]",
                saved.duplicate_window,
            ),
        ] {
            assert!(text.contains(window), "{text}");
            fs::write(writer.path(), text.replace(window, is)).unwrap();
            let expected = SavedCondition {
                is_present: false,
                duplicate_window: expected,
                ..saved.clone()
            };
            let found = writer.load().unwrap().unwrap();
            let found = SavedCondition {
                is_present: false,
                ..found
            };
            assert_eq!(found, expected, "{is}");
        }
    }

    #[test]
    fn one_that_is_torn_or_foreign_is_ignored_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = file(dir.path(), "nats MNS");
        writer.save(condition("x"), &SystemClock).unwrap();
        let whole = fs::read(writer.path()).unwrap();
        let refused = |bytes: &[u8]| {
            fs::write(writer.path(), bytes).unwrap();
            writer.load().unwrap_err().to_string()
        };
        // The last byte is a line feed, which JSON does not need.
        for end in 0..whole.len() - 1 {
            assert!(
                refused(&whole[..end]).contains("is not the condition"),
                "{end}"
            );
        }
        let text = String::from_utf8(whole).unwrap();
        for (was, is) in [
            ("\"version\":1", "\"version\":2"),
            ("disconnected", "unknown"),
            ("true", "1"),
        ] {
            assert_ne!(text.replace(was, is), text);
            assert!(refused(text.replace(was, is).as_bytes()).contains("is not the condition"));
        }
        assert!(refused(&[b'1'; 70_000]).starts_with("cannot read "));
        let other = text.replace("nats MNS", "nats OTHER");
        assert!(refused(other.as_bytes()).contains("is about nats OTHER"));
        fs::remove_file(writer.path()).unwrap();
        fs::create_dir(writer.path()).unwrap();
        assert!(
            writer
                .load()
                .unwrap_err()
                .to_string()
                .starts_with("cannot read ")
        );
    }

    #[test]
    fn the_longest_detail_fits_and_a_failed_save_leaves_no_old_condition() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = file(dir.path(), "nats MNS");
        writer
            .save(condition(&"\u{202e}".repeat(100_000)), &SystemClock)
            .unwrap();
        let saved = writer.load().unwrap().unwrap();
        assert_eq!(saved.detail.unwrap().chars().count(), DETAIL_MAX);
        assert!(writer.has(writer.saved.as_ref().map(|(it, _)| it).unwrap()));
        // The draft cannot be written where a directory has its name.
        fs::create_dir(&writer.draft).unwrap();
        writer.save(condition("x"), &SystemClock).unwrap_err();
        assert!(!writer.path().exists() && !writer.has(&condition("x")));
        fs::remove_dir(&writer.draft).unwrap();
        writer.save(condition("x"), &SystemClock).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
