//! `logs verify`: checks that every record is complete and undamaged, and reports records that a
//! crash has cut off.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::command::Configuration;
use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::logs::compare::{Comparison, History, compare};
use crate::command::logs::report::Report;
use crate::command::stdout::printer;
use crate::disk::{RealDisk, regular};
use crate::journal::{self, Duplicates, Log, LogFiles, Names, Uncovered};

/// Check that every record is complete and undamaged.
///
/// Reads both logs of the port of server.listen in logs.dir, rotated files first; changes nothing
/// and may run beside serve. Exits with 1 if something is wrong. Finds what breaks the format of a
/// record: NUL and other control characters, invalid UTF-8, a missing end, a request without its
/// outcome or an outcome without its request. Does not find a changed letter, because the logs have
/// no checksums. Compares the logs: each 201 in the access log must have its outcome in the
/// endpoint log. Reports incomplete records that a crash left at the end of a log. Lists files that
/// are not read, such as compressed ones, with the reason.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs verify
  mns-endpoint logs verify --output json
  mns-endpoint logs verify --log-dir /var/log/mns-endpoint --listen 0.0.0.0:8080")]
pub(super) struct Verify {
    #[command(flatten)]
    configuration: Configuration,
    /// The format of the findings: text (lines), or json (one JSON object for all files).
    // The shared texts of the values promise an object per line.
    #[arg(long, value_enum, default_value_t = Output::Text, hide_possible_values = true)]
    output: Output,
}

impl Verify {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load(&[])?;
        let Some(port) = config.listen.first().map(std::net::SocketAddr::port) else {
            bail!("server.listen names no port")
        };
        let names = Names {
            dir: config.log_dir,
            port,
        };
        let mut out = printer();
        let mut report = Report::new(self.output, &mut out);
        let mut endpoint = verify_log(&names, Log::Endpoint, &mut report)?;
        let access = verify_log(&names, Log::Access, &mut report)?;
        // A push answered in between is in the access log, so read the end of the endpoint log
        // again.
        endpoint.look_again(&names.live(Log::Endpoint));
        let uncovered = uncovered(&names);
        report.commit_log(&names.commit_log(), uncovered)?;
        let comparison = match config.journal.duplicates {
            Duplicates::Drop => Comparison::without(
                "with accept.duplicates = \"drop\" a line with 201 may have no outcome",
            ),
            Duplicates::Mark | Duplicates::Off => compare(&endpoint.history, &access.history),
        };
        Ok(if report.end(&comparison)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// What the commit log has that the logs may lack. Nothing if a `serve` is running, which has not
/// written it yet, or if the commit log cannot be read.
fn uncovered(names: &Names) -> Uncovered {
    let uncovered = || journal::uncovered(&RealDisk, names).unwrap_or_default();
    // Check the lock only if the answer matters: a serve that starts in that instant would find the
    // logs in use. Then read again: a serve that has stopped meanwhile has completed the logs.
    let is_in_use = || LogFiles::is_in_use(names).unwrap_or(false);
    if uncovered() == Uncovered::default() || is_in_use() {
        Uncovered::default()
    } else {
        uncovered()
    }
}

/// The files of one log that have been read.
#[derive(Default)]
struct FilesRead {
    files: HashSet<(u64, u64)>,
    /// The numbers of rotated files that were left out.
    left_out: HashSet<u64>,
    history: History,
    /// The lowest number of a rotated file that was read.
    first_number: Option<u64>,
    /// The length up to which the live file was read.
    live_len: u64,
}

impl FilesRead {
    fn look_again(&mut self, live: &Path) {
        self.history.is_growing |=
            fs::metadata(live).map_or(0, |found| found.len()) != self.live_len;
    }
}

fn verify_log<W: Write>(
    names: &Names,
    log: Log,
    report: &mut Report<'_, W>,
) -> anyhow::Result<FilesRead> {
    let mut reading = FilesRead::default();
    verify_rotated(names, log, &mut reading, report)?;
    let live = names.live(log);
    if let Some(kind) = regular::obstacle(&live) {
        report.left_out(&live, &not_regular(kind), true)?;
    } else {
        let file = regular::open_to_read(&live).with_context(|| cannot_read(&live))?;
        reading.files.insert(identity(&file)?);
        reading.live_len = verify_file(&live, log, None, &file, &mut reading.history, report)?;
    }
    // The live file may have been rotated since the numbers were listed.
    verify_rotated(names, log, &mut reading, report)?;
    reading.look_again(&live);
    if names
        .has_packed_after(&RealDisk, log, reading.first_number)
        .with_context(|| cannot_read(&names.dir))?
    {
        reading.history.note_gap();
    }
    for (path, why) in names
        .others(&RealDisk, log)
        .with_context(|| cannot_read(&names.dir))?
    {
        report.left_out(&path, why, false)?;
    }
    let torn = fs::metadata(names.torn(log)).map_or(0, |found| found.len());
    if torn > 0 {
        let doubt = "not acknowledged unless the disk or somebody else damaged the end of a log";
        report.aside(
            &names.torn(log),
            torn,
            &format!("{} that crashes cut off, {doubt}", counted(torn, "byte")),
        )?;
    }
    for path in (0..)
        .map(|number| names.suspect(log, number))
        .take_while(|path| path.exists())
    {
        let bytes = fs::metadata(&path).map_or(0, |found| found.len());
        report.aside(
            &path,
            bytes,
            "put aside after a failed sync; its end was not acknowledged",
        )?;
    }
    Ok(reading)
}

/// Checks the rotated files that have not been read yet.
fn verify_rotated<W: Write>(
    names: &Names,
    log: Log,
    reading: &mut FilesRead,
    report: &mut Report<'_, W>,
) -> anyhow::Result<()> {
    for number in names
        .rotated_numbers(&RealDisk, log)
        .with_context(|| cannot_read(&names.dir))?
    {
        let path = names.rotated(log, number);
        let opened = match regular::obstacle(&path) {
            Some(kind) => Err(not_regular(kind)),
            None => match regular::open_to_read(&path) {
                // Deleted for its age or compressed since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(|error| format!("cannot read it: {error}")),
            },
        };
        let file = match opened {
            Ok(file) => file,
            Err(why) => {
                reading.history.note_gap();
                if reading.left_out.insert(number) {
                    report.left_out(&path, &why, true)?;
                }
                continue;
            }
        };
        if reading.files.insert(identity(&file)?) {
            reading.first_number = reading.first_number.or(Some(number));
            verify_file(
                &path,
                log,
                Some(number),
                &file,
                &mut reading.history,
                report,
            )?;
        }
    }
    Ok(())
}

/// Checks one file. `number` is that of a rotated file. Returns how many bytes were read.
fn verify_file<W: Write>(
    path: &Path,
    log: Log,
    number: Option<u64>,
    file: &File,
    history: &mut History,
    report: &mut Report<'_, W>,
) -> anyhow::Result<u64> {
    let mut verdict =
        journal::verify(log, BufReader::new(file)).with_context(|| cannot_read(path))?;
    // A file that another program renamed is still written to until `serve` notices.
    let is_growing = file.metadata()?.len() > verdict.len;
    let is_written = number.is_none() || is_growing;
    if !is_written {
        verdict.finish();
    }
    history.is_growing |= is_growing;
    history.add(number, &verdict);
    report.file(path, log, &verdict, is_written)?;
    Ok(verdict.len)
}

fn not_regular(kind: &str) -> String {
    format!("it is {kind}, not a regular file, and was not read: move it away")
}

/// The identity of a file, which does not change with its name.
fn identity(file: &File) -> std::io::Result<(u64, u64)> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that changes the files after each printed line.
    struct Beside<F> {
        printed: String,
        act: F,
    }

    impl<F: FnMut(&str)> Write for Beside<F> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.printed.push_str(std::str::from_utf8(bytes).unwrap());
            if self.printed.ends_with('\n') {
                (self.act)(self.printed.lines().last().unwrap());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The numbers of the files in the order in which they were read, 0 for the live one, while
    /// `act` runs after each line.
    fn read_beside(names: &Names, act: impl FnMut(&str)) -> Vec<u64> {
        let mut out = Beside {
            printed: String::new(),
            act,
        };
        verify_log(names, Log::Access, &mut Report::new(Output::Text, &mut out)).unwrap();
        let live = names.live(Log::Access).display().to_string();
        let end = |line: &str| {
            line.strip_prefix(&live)
                .unwrap()
                .split_once(": ")
                .unwrap()
                .0
                .replace('.', "")
        };
        out.printed
            .lines()
            .map(end)
            .map(|number| number.parse().unwrap_or(0))
            .collect()
    }

    fn rotate(names: &Names) {
        let number = names.next_number(&RealDisk, Log::Access).unwrap();
        fs::rename(names.live(Log::Access), names.rotated(Log::Access, number)).unwrap();
        fs::write(names.live(Log::Access), "").unwrap();
    }

    #[test]
    fn files_that_go_and_come_while_the_others_are_read_are_no_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names {
            dir: dir.path().to_owned(),
            port: 80,
        };
        fs::write(names.live(Log::Access), "").unwrap();
        (0..3).for_each(|_| rotate(&names));
        let is_about = |line: &str, end: &str| line.contains(&format!("access_log.80{end}: "));
        // Deleted for its age before it could be read.
        let read = read_beside(&names, |line| {
            if is_about(line, ".1") {
                fs::remove_file(names.rotated(Log::Access, 2)).unwrap();
            }
        });
        assert_eq!(read, [1, 3, 0]);
        // The live file was rotated before it was read under its old name.
        let read = read_beside(&names, |line| {
            if is_about(line, ".3") {
                rotate(&names);
                rotate(&names);
            }
        });
        assert_eq!(read, [1, 3, 0, 4, 5]);
        // It was rotated after it was read: it is the same file, so it is not read twice.
        let read = read_beside(&names, |line| {
            if is_about(line, "") {
                rotate(&names);
            }
        });
        assert_eq!(read, [1, 3, 4, 5, 0]);
    }
}
