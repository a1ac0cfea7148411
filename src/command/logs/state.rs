//! `--state`: saves a consumer's progress in a small file, which is replaced atomically.
//!
//! The file has the position after the last row that is done, some positions before it in case rows
//! are cut off after a crash, and the position up to which further rows may have been delivered.
//! After a kill the next run delivers those rows again, and marks them. The file is saved before a
//! delivery with the rows that are about to be delivered, so nothing is repeated without the mark.
//!
//! Only one process at a time may use it: two consumers would each move the position past rows that
//! only the other one has delivered. The lock is on a second file, because the state file itself is
//! replaced at each save. The lock file is never deleted: a process that deleted it could remove it
//! just after another one has locked it.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::bounded;
use crate::disk::{Disk as _, DiskFile, NotReplaced, Open, RealDisk, Replace, regular};
use crate::journal::{Position, RecordTime, Saved, json_text};

/// The largest state file, in bytes: far more than the positions of a trail need.
const BYTES_MAX: u64 = 64 * 1024;
/// The permissions of a new file, before the umask.
const MODE: u32 = 0o644;
/// The version of the format.
const VERSION: u64 = 1;

/// A state file that this process has locked. Dropping it releases the lock.
pub(super) struct StateFile {
    path: PathBuf,
    draft: PathBuf,
    /// The name of the log that it refers to.
    log: String,
    written: Option<Value>,
    _lock: Box<dyn DiskFile>,
}

impl StateFile {
    /// Locks a state file and reads it. `log` is the name of the log that it must refer to.
    pub(super) fn take(path: &Path, log: &str) -> anyhow::Result<Self> {
        let lock = beside(path, ".lock");
        // Append mode creates the file, and changes nothing if another process has locked it.
        let opened = RealDisk.open(&lock, Open::Append { mode: MODE });
        let opened = opened.with_context(|| format!("cannot open {}", lock.display()))?;
        match opened.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{} is in use: another logs tail or logs replay uses it; stop that one, or name \
                    another file",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", lock.display()));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            draft: beside(path, ".new"),
            log: log.to_owned(),
            written: None,
            _lock: opened,
        })
    }

    /// Saves and syncs the state, unless it is unchanged.
    pub(super) fn save(&mut self, saved: &Saved) -> anyhow::Result<()> {
        let state = write(&self.log, saved);
        if self.written.as_ref() == Some(&state) {
            return Ok(());
        }
        let text = json_text(&state) + "\n";
        let replace = Replace {
            path: &self.path,
            draft: &self.draft,
            mode: MODE,
        };
        // Synced, because after a power failure an older state would repeat rows without their
        // mark.
        let replaced = replace.with(&RealDisk, text.as_bytes());
        replaced.map_err(|NotReplaced { doing, path, cause }| {
            let path = path.display();
            anyhow::Error::from(cause).context(format!("cannot {doing} the state {path}"))
        })?;
        self.written = Some(state);
        Ok(())
    }
}

/// Reads the saved state for a log without locking it. Returns `None` if the file does not exist.
pub(super) fn load(path: &Path, log: &str) -> anyhow::Result<Option<Saved>> {
    let shown = path.display();
    let file = match regular::open_to_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("cannot read the state {shown}"))?,
    };
    let bytes = bounded::read_all(file, BYTES_MAX);
    let bytes = bytes.with_context(|| format!("cannot read the state {shown}"))?;
    let state: Option<Value> = serde_json::from_slice(&bytes).ok();
    let Some((of, saved)) = state.as_ref().and_then(read) else {
        bail!(
            "{shown} is not a state of logs tail or logs replay: name another file, or remove it \
             to start over"
        );
    };
    if of != log {
        bail!("{shown} is the state of {of}, not of {log}: name another file");
    }
    Ok(Some(saved))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn write(log: &str, saved: &Saved) -> Value {
    let trail = saved.trail.iter().map(ToString::to_string);
    let name = |path: &PathBuf| path.to_string_lossy().into_owned();
    let names = |paths: &Vec<PathBuf>| paths.iter().map(name).collect::<Vec<_>>();
    json!({
        "version": VERSION,
        "log": log,
        "trail": trail.collect::<Vec<_>>(),
        "delivered": saved.delivered.map(|place| place.to_string()),
        "time": saved.time.map(|time| time.to_string()),
        "unnumbered": saved.unnumbered.as_ref().map(names),
    })
}

fn read(state: &Value) -> Option<(&str, Saved)> {
    let place = |value: &Value| value.as_str()?.parse::<Position>().ok();
    let is_known = state.get("version")?.as_u64()? == VERSION;
    let trail = state.get("trail")?.as_array()?;
    let paths = |names: &Vec<Value>| {
        let names = names.iter().filter_map(Value::as_str);
        names.map(PathBuf::from).collect()
    };
    let saved = Saved {
        trail: trail.iter().map(place).collect::<Option<_>>()?,
        delivered: state.get("delivered").and_then(place),
        time: state
            .get("time")
            .and_then(Value::as_str)
            .and_then(RecordTime::of_text),
        unnumbered: state.get("unnumbered")?.as_array().map(paths),
    };
    is_known.then_some((state.get("log")?.as_str()?, saved))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LOG: &str = "endpoint_log.80";

    #[test]
    fn a_state_is_read_back_and_other_files_and_those_of_other_logs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut file = StateFile::take(&path, LOG).unwrap();
        assert!(load(&path, LOG).unwrap().is_none());
        let places: Vec<Position> = ["1-2-3", "1-1-2"].map(|text| text.parse().unwrap()).into();
        let saved = Saved {
            trail: places.clone(),
            delivered: places.first().copied(),
            time: RecordTime::of_text("2026-11-24 18:40:36"),
            unnumbered: Some(vec![PathBuf::from("logs/endpoint_log.80.copy")]),
        };
        file.save(&saved).unwrap();
        let again = load(&path, LOG).unwrap().unwrap();
        assert_eq!(again.trail, saved.trail);
        assert_eq!((again.delivered, again.time), (saved.delivered, saved.time));
        assert_eq!(again.unnumbered, saved.unnumbered);
        // Saving the same state again writes nothing, so the deleted file stays deleted.
        fs::remove_file(&path).unwrap();
        file.save(&saved).unwrap();
        assert!(!path.exists());
        file.save(&Saved {
            delivered: None,
            ..saved
        })
        .unwrap();
        let other = load(&path, "endpoint_log.81").unwrap_err();
        assert!(
            other
                .to_string()
                .contains("is the state of endpoint_log.80"),
            "{other}"
        );
        for text in [
            "",
            "{}",
            "[1]",
            // A later version may mean something else by the same keys.
            "{\"version\":2,\"log\":\"x\",\"trail\":[]}",
        ] {
            fs::write(&path, text).unwrap();
            let refused = load(&path, LOG).unwrap_err().to_string();
            assert!(refused.contains("is not a state"), "{refused}");
        }
    }
}
