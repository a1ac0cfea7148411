//! The findings of `check` about directories: whether they are writable, and their storage.

use std::io;
use std::path::Path;

use bytesize::ByteSize;
use rustix::fs::{Access, access};

use crate::command::check::findings::{Finding, Findings};
use crate::config::Config;
use crate::disk::{Medium, fix_command};
use crate::journal::{COMMIT_LOG_BYTES_MIN, LogFiles, SyncMode, commit_log_bytes};

impl Findings {
    pub(super) fn look_at_logs(&mut self, config: &Config) {
        const KEY: &str = "logs.dir";
        let dir = &config.log_dir;
        if let Err(error) = LogFiles::demand_dir(dir) {
            return self.0.push(Finding::error(KEY, error.to_string()));
        }
        if let Err(error) = writable(dir) {
            let text = format!(
                "{} cannot be written: {error}; {}",
                dir.display(),
                fix_command(dir, &error)
            );
            self.0.push(Finding::error(KEY, text));
        }
        let medium = Medium::of(existing(dir));
        if medium != Medium::Disk {
            let text = format!(
                "{} is not on a disk but on {medium}: what is written there may be lost",
                dir.display()
            );
            self.0.push(Finding::warning(KEY, text));
        }
        let wanted = config.journal.low_water_bytes;
        if let Ok(free) = free_bytes(existing(dir))
            && free < wanted
        {
            let (wanted, free) = (ByteSize(wanted), ByteSize(free));
            let text = format!(
                "{wanted} is more than the {free} that are free for {}: health is 503 until there \
                 is more; make room, or set less",
                dir.display()
            );
            self.0.push(Finding::warning("logs.low_water", text));
        }
        // With "os" there is no commit log, whatever its length is.
        let is_used = config.journal.sync != SyncMode::Os;
        if let Some(bytes) = config.journal.commit_log_bytes.filter(|_| is_used)
            && let Ok(free) = free_bytes(existing(dir))
        {
            self.0.extend(commit_log(dir, bytes, free));
        }
    }
}

/// Whether there is room for a commit log of this length.
fn commit_log(dir: &Path, bytes: u64, free: u64) -> Option<Finding> {
    const KEY: &str = "logs.commit_log";
    let (there, dir) = (ByteSize(free), dir.display());
    match commit_log_bytes(bytes, free) {
        None => {
            let least = ByteSize(COMMIT_LOG_BYTES_MIN);
            let text = format!(
                "none is made: a sixteenth of the {there} that are free for {dir} is less than \
                 {least}. Each commit syncs both logs until there is more, which takes longer; \
                 make room, or set \"off\""
            );
            Some(Finding::warning(KEY, text))
        }
        Some(length) if length < bytes => {
            let (wanted, length) = (ByteSize(bytes), ByteSize(length));
            let text = format!(
                "{wanted} is more than a sixteenth of the {there} that are free for {dir}: a new \
                 one has {length}"
            );
            Some(Finding::warning(KEY, text))
        }
        Some(_) => None,
    }
}

/// Whether files can be created there or, if the directory is missing, the directory itself.
pub(super) fn writable(dir: &Path) -> io::Result<()> {
    let found = existing(dir);
    if !found.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // Asks the system instead of creating a file, because `check` promises to change nothing.
    Ok(access(found, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The directory, or its nearest existing ancestor.
fn existing(dir: &Path) -> &Path {
    let found = dir.ancestors().find(|path| path.exists());
    found
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The free space for this process on the file system of a directory.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    // `f_bavail` excludes the blocks that are reserved for root. Its unit is `f_frsize`.
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_log_for_which_there_is_little_or_no_room_is_found() {
        const MIB: u64 = 1024 * 1024;
        let found = |bytes, free| commit_log(Path::new("logs"), bytes, free);
        for (bytes, free, expected) in [
            (64 * MIB, 1024 * MIB, None),
            (
                64 * MIB,
                1023 * MIB,
                Some("64.0 MiB is more than a sixteenth of the 1023.0 MiB"),
            ),
            (64 * MIB, 128 * MIB, Some("a new one has 8.0 MiB")),
            (
                64 * MIB,
                127 * MIB,
                Some("none is made: a sixteenth of the 127.0 MiB"),
            ),
            (8 * MIB, 127 * MIB, Some("is less than 8.0 MiB")),
            (8 * MIB, 128 * MIB, None),
        ] {
            let text = found(bytes, free).map(|finding| finding.text);
            match (&text, expected) {
                (Some(text), Some(expected)) => assert!(text.contains(expected), "{text}"),
                _ => assert_eq!(text.as_deref(), expected, "{bytes} of {free}"),
            }
        }
    }
}
