//! `logs verify`: whether every record is whole and in order, and what crashes cut off.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use strum::IntoEnumIterator as _;

use crate::command::Configuration;
use crate::journal::{self, Log, Names, Verdict};

/// Check that every record of the logs is whole and in order, and tell what crashes cut off.
///
/// Reads both logs of the port of server.listen in logs.dir, rotated files first; changes nothing and may run beside serve.
/// Ends with 1 where something is wrong. There are no checksums: a byte that became another is seen where it breaks the form.
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
        let mut out = std::io::stdout().lock();
        let mut is_sound = true;
        for log in Log::iter() {
            is_sound &= verify_log(&names, log, &mut out)?;
        }
        Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn verify_log(names: &Names, log: Log, out: &mut impl Write) -> anyhow::Result<bool> {
    let numbers = names.rotated_numbers(log).with_context(|| format!("cannot read {}", names.dir.display()))?;
    let rotated = numbers.into_iter().map(|number| names.rotated(log, number));
    let mut is_sound = true;
    for path in rotated.chain([names.live(log)]) {
        let cannot = || format!("cannot read {}", path.display());
        let verdict = journal::verify(log, BufReader::new(File::open(&path).with_context(cannot)?));
        let verdict = verdict.with_context(cannot)?;
        tell(&path, &verdict, path == names.live(log), out)?;
        is_sound &= verdict.problems_count == 0;
    }
    let torn = fs::metadata(names.torn(log)).map_or(0, |found| found.len());
    if torn > 0 {
        writeln!(out, "{}: {torn} bytes that crashes cut off, none of them acknowledged", names.torn(log).display())?;
    }
    for path in (0..).map(|number| names.suspect(log, number)).take_while(|path| path.exists()) {
        writeln!(out, "{}: put aside after a failed sync; its end was not acknowledged", path.display())?;
    }
    Ok(is_sound)
}

fn tell(path: &Path, verdict: &Verdict, is_live: bool, out: &mut impl Write) -> std::io::Result<()> {
    let Verdict { records, accepted, duplicates, .. } = verdict;
    let path = path.display();
    let sound = if verdict.problems_count == 0 { "all whole" } else { "NOT all whole" };
    writeln!(out, "{path}: {records} records, {accepted} accepted, {duplicates} duplicates, {sound}")?;
    for (offset, problem) in &verdict.problems {
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
    match (verdict.torn_bytes, is_live) {
        (0, _) => Ok(()),
        (bytes, true) => writeln!(
            out,
            "{path}: {bytes} bytes of a record that is being written, or that a crash left: the next start cuts it off"
        ),
        (bytes, false) => writeln!(out, "{path}: {bytes} bytes of an unfinished record at its end, not acknowledged"),
    }
}
