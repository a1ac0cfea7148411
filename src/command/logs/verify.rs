//! `logs verify`: whether every record is whole and in order, and what crashes cut off.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use strum::IntoEnumIterator as _;

use crate::command::Configuration;
use crate::command::stdout::printer;
use crate::journal::{self, Log, Names, Verdict, escaped};
use crate::regular;

/// Check that every record of the logs is whole and in order, and tell what crashes cut off.
///
/// Reads both logs of the port of server.listen in logs.dir, rotated files first; changes nothing and may run beside serve.
/// Ends with 1 if something is wrong. There are no checksums. What breaks the form of a record is found: NUL and other
/// control characters, what is not UTF-8, a missing end, a request without its outcome or an outcome without its request.
/// A changed letter is not found.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs verify
  mns-endpoint logs verify --log-dir /var/log/mns-endpoint --listen 0.0.0.0:8080")]
pub(super) struct Verify {
    #[command(flatten)]
    configuration: Configuration,
}

impl Verify {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load(&[])?;
        let Some(port) = config.listen.first().map(std::net::SocketAddr::port) else {
            bail!("server.listen names no port")
        };
        let names = Names { dir: config.log_dir, port };
        let mut out = printer();
        let mut is_sound = true;
        for log in Log::iter() {
            is_sound &= verify_log(&names, log, &mut out)?;
        }
        Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn verify_log(names: &Names, log: Log, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut read = HashSet::new();
    let mut is_sound = verify_rotated(names, log, &mut read, out)?;
    let live = names.live(log);
    if let Some(kind) = regular::obstacle(&live) {
        is_sound = false;
        tell_obstacle(&live, kind, out)?;
    } else {
        let file = regular::open_to_read(&live).with_context(|| cannot_read(&live))?;
        read.insert(identity(&file)?);
        is_sound &= verify_file(&live, log, &file, true, out)?;
    }
    // What was live may have got a number since the numbers were listed.
    is_sound &= verify_rotated(names, log, &mut read, out)?;
    let torn = fs::metadata(names.torn(log)).map_or(0, |found| found.len());
    if torn > 0 {
        let path = escaped(names.torn(log).as_os_str().as_encoded_bytes());
        let doubt = "not acknowledged unless the disk or somebody else damaged the end of a log";
        writeln!(out, "{path}: {torn} bytes that crashes cut off, {doubt}")?;
    }
    for path in (0..).map(|number| names.suspect(log, number)).take_while(|path| path.exists()) {
        let path = escaped(path.as_os_str().as_encoded_bytes());
        writeln!(out, "{path}: put aside after a failed sync; its end was not acknowledged")?;
    }
    Ok(is_sound)
}

/// Checks the rotated files that have not been read yet.
fn verify_rotated(
    names: &Names,
    log: Log,
    read: &mut HashSet<(u64, u64)>,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let mut is_sound = true;
    for number in names.rotated_numbers(log).with_context(|| cannot_read(&names.dir))? {
        let path = names.rotated(log, number);
        if let Some(kind) = regular::obstacle(&path) {
            is_sound = false;
            tell_obstacle(&path, kind, out)?;
            continue;
        }
        let file = match regular::open_to_read(&path) {
            // Deleted for its age since, or packed.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.with_context(|| cannot_read(&path))?,
        };
        if read.insert(identity(&file)?) {
            is_sound &= verify_file(&path, log, &file, false, out)?;
        }
    }
    Ok(is_sound)
}

fn verify_file(path: &Path, log: Log, file: &File, is_live: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut verdict = journal::verify(log, BufReader::new(file)).with_context(|| cannot_read(path))?;
    // One that somebody else renamed is written until that is noticed.
    let is_written = is_live || file.metadata()?.len() > verdict.len;
    if !is_written {
        verdict.finish();
    }
    tell(path, &verdict, is_written, out)?;
    Ok(verdict.problems_count == 0)
}

fn tell_obstacle(path: &Path, kind: &str, out: &mut impl Write) -> std::io::Result<()> {
    let path = escaped(path.as_os_str().as_encoded_bytes());
    writeln!(out, "{path}: it is {kind}, not a regular file, and was not read: move it away")
}

/// Which file it is, whatever its name becomes.
fn identity(file: &File) -> std::io::Result<(u64, u64)> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn tell(path: &Path, verdict: &Verdict, is_written: bool, out: &mut impl Write) -> std::io::Result<()> {
    let Verdict { records, accepted, duplicates, recovered, .. } = verdict;
    let path = escaped(path.as_os_str().as_encoded_bytes());
    let sound = if verdict.problems_count == 0 { "all whole" } else { "NOT all whole" };
    let recovered = if *recovered > 0 { format!("{recovered} recovered, ") } else { String::new() };
    writeln!(out, "{path}: {records} records, {accepted} accepted, {duplicates} duplicates, {recovered}{sound}")?;
    for (offset, problem) in &verdict.problems {
        let problem = escaped(problem.as_bytes());
        writeln!(out, "{path}: the record at byte {offset} is broken: {problem}")?;
    }
    if verdict.problems_count > 0 {
        writeln!(out, "{path}: {} broken records in all", verdict.problems_count)?;
    }
    if verdict.without_outcome > 0 {
        writeln!(out, "{path}: {} requests without their outcome, not acknowledged", verdict.without_outcome)?;
    }
    if verdict.set_back > 0 {
        writeln!(out, "{path}: the time goes back {} times", verdict.set_back)?;
    }
    match (verdict.torn_bytes, is_written) {
        (0, _) | (_, false) => Ok(()),
        (bytes, true) => writeln!(
            out,
            "{path}: {bytes} bytes of a record that is being written, or that a crash left: the next start cuts it off"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what is told, and does something to the files after each line.
    struct Beside<F> {
        told: String,
        act: F,
    }

    impl<F: FnMut(&str)> Write for Beside<F> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.told.push_str(std::str::from_utf8(bytes).unwrap());
            if self.told.ends_with('\n') {
                (self.act)(self.told.lines().last().unwrap());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The numbers of the files that were read, in order, 0 for the live one, while `act` is done after each line.
    fn read_beside(names: &Names, act: impl FnMut(&str)) -> Vec<u64> {
        let mut out = Beside { told: String::new(), act };
        assert!(verify_log(names, Log::Access, &mut out).unwrap());
        let live = names.live(Log::Access).display().to_string();
        let end = |line: &str| line.strip_prefix(&live).unwrap().split_once(": ").unwrap().0.replace('.', "");
        out.told.lines().map(end).map(|number| number.parse().unwrap_or(0)).collect()
    }

    fn rotate(names: &Names) {
        let number = names.next_number(Log::Access).unwrap();
        fs::rename(names.live(Log::Access), names.rotated(Log::Access, number)).unwrap();
        fs::write(names.live(Log::Access), "").unwrap();
    }

    #[test]
    fn files_that_go_and_come_while_the_others_are_read_are_no_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names { dir: dir.path().to_owned(), port: 80 };
        fs::write(names.live(Log::Access), "").unwrap();
        (0..3).for_each(|_| rotate(&names));
        let told = |line: &str, end: &str| line.contains(&format!("access_log.80{end}: "));
        // Deleted for its age before it could be read.
        let read = read_beside(&names, |line| {
            if told(line, ".1") {
                fs::remove_file(names.rotated(Log::Access, 2)).unwrap();
            }
        });
        assert_eq!(read, [1, 3, 0]);
        // What was live got a number before it was read under its old name.
        let read = read_beside(&names, |line| {
            if told(line, ".3") {
                rotate(&names);
                rotate(&names);
            }
        });
        assert_eq!(read, [1, 3, 0, 4, 5]);
        // It got one afterwards: it is the same file.
        let read = read_beside(&names, |line| {
            if told(line, "") {
                rotate(&names);
            }
        });
        assert_eq!(read, [1, 3, 4, 5, 0]);
    }
}
