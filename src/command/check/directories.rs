//! What `check` finds out about directories: whether they can be written, and what storage they are
//! on.

use std::io;
use std::path::Path;

use bytesize::ByteSize;
use rustix::fs::{Access, access};

use crate::command::check::findings::{Finding, Findings};
use crate::config::Config;
use crate::disk::{Medium, fix_command};
use crate::journal::LogFiles;

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
                "{} is not on a disk but on {medium}: what is written there may not survive",
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
    }
}

/// Whether files can be made there, or the directory itself where it is missing.
pub(super) fn writable(dir: &Path) -> io::Result<()> {
    let found = existing(dir);
    if !found.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(found, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The directory, or the nearest above it that there is.
fn existing(dir: &Path) -> &Path {
    let found = dir.ancestors().find(|path| path.exists());
    found
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// How much room is left for this process on the file system of a directory.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
