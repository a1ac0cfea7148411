//! Pushes to a path that is not served: a subscription has another address than the configuration.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

use crate::disk::regular;
use crate::journal::{Log, Names, Records, unescape_bytes};

/// How much of the end of the access log is read, in bytes: several thousand requests.
const BYTES_MAX: u64 = 1024 * 1024;
/// The maximum number of reported paths. Anybody can request any number of them.
const PATHS_MAX: usize = 3;
/// The maximum length of a reported path, in characters.
const SHOWN_MAX: usize = 128;

/// Such a path.
pub(super) struct Unserved {
    pub(super) path: String,
    /// The number of requests to it.
    pub(super) pushes: usize,
    /// The time of the last one, in the log's format.
    pub(super) last: String,
}

/// The paths at the end of the access log that are not in `served`, the most frequent first. Empty
/// if the log cannot be read.
pub(super) fn paths(log_dir: &Path, port: u16, served: &[String]) -> Vec<Unserved> {
    let file = Names {
        dir: log_dir.to_owned(),
        port,
    }
    .live(Log::Access);
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut records = match tail(&file) {
        Some(tail) => Records::new(Log::Access, BufReader::new(tail)),
        None => return Vec::new(),
    };
    while let Ok(Some(line)) = records.next_whole() {
        let Some((path, time)) = std::str::from_utf8(line).ok().and_then(refused_push) else {
            continue;
        };
        if !served.contains(&path) {
            let counted = found.entry(path).or_default();
            *counted = (counted.0.saturating_add(1), time);
        }
    }
    let unserved = found.into_iter().map(|(path, (pushes, last))| Unserved {
        // The text log escapes it, and the caller does so again when it prints it.
        path: String::from_utf8_lossy(&unescape_bytes(path.as_bytes()))
            .chars()
            .take(SHOWN_MAX)
            .collect(),
        pushes,
        last,
    });
    let mut unserved: Vec<Unserved> = unserved.collect();
    unserved.sort_by_key(|path| std::cmp::Reverse(path.pushes));
    unserved.truncate(PATHS_MAX);
    unserved
}

/// Opens the end of a log. It may begin within a line, which then cannot be parsed and is skipped.
fn tail(path: &Path) -> Option<std::io::Take<File>> {
    let mut file = regular::open_to_read(path).ok()?;
    let start = file.metadata().ok()?.len().saturating_sub(BYTES_MAX);
    file.seek(SeekFrom::Start(start)).ok()?;
    Some(file.take(BYTES_MAX))
}

/// The path and the time of an access line about a POST with x-mns-version that was answered 404.
fn refused_push(line: &str) -> Option<(String, String)> {
    let (method, status, target, version, time) = if line.starts_with('{') {
        let line: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
        let status = line.get("status")?.to_string();
        (
            text("method")?,
            status,
            text("target")?,
            text("mns_version")?,
            text("time")?,
        )
    } else {
        let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
        // A quote within a field is escaped in the log, so this text only separates fields.
        let fields: Vec<&str> = rest.trim().trim_matches('"').split("\" \"").collect();
        let [method, status, target, _, _, _, _, _, version, ..] = fields.as_slice() else {
            return None;
        };
        let owned = |text: &str| text.to_owned();
        (
            owned(method),
            owned(status),
            owned(target),
            owned(version),
            owned(time),
        )
    };
    // Scanners do not send x-mns-version, so their requests are left out.
    let is_push = method == "POST" && status == "404" && version != "-";
    let path = target.split('?').next().unwrap_or_default().to_owned();
    is_push.then_some((path, time))
}
