//! `logs repair`: completes the logs from the commit log after a power failure.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::command::Configuration;
use crate::command::counted::counted;
use crate::command::logs::owner::refuse_other_than_owner;
use crate::command::stdout::printer;
use crate::config::Config;
use crate::disk::RealDisk;
use crate::journal::{
    self, FileOptions, LogFiles, Names, OpenError, Recovered, TornTail, Uncovered, escaped,
};

/// Complete the log files from the commit log, without starting serve.
///
/// After a power failure the files may lack the last seconds of notifications that were answered
/// 201. The commit log, .commit_log.PORT in logs.dir, has these notifications, and the next start
/// of serve completes the files. Run this command if you need complete files before that start, for
/// example to read them on another machine. Repairs the logs of every port found in logs.dir,
/// whatever server.listen says. Exits with 1 if serve is running, or if a part of the commit log
/// cannot be read. A second run changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs repair --dry-run
  mns-endpoint logs repair
  mns-endpoint logs repair --log-dir /mnt/mns-endpoint --port 8080")]
pub(super) struct Repair {
    #[command(flatten)]
    configuration: Configuration,
    /// Complete only the logs of this port [default: every port found in logs.dir].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Show what would be done, without changing anything.
    #[arg(long)]
    dry_run: bool,
}

/// The result for the logs of one port.
enum Outcome {
    InUse,
    WouldBe(Uncovered, Vec<TornTail>),
    Done(Recovered),
}

impl Repair {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load(&[])?;
        let ports = self.ports(&config)?;
        if !self.dry_run {
            refuse_other_than_owner(&config.log_dir)?;
        }
        let mut is_whole = true;
        let mut failure: Option<anyhow::Error> = None;
        for port in ports {
            match self.repair(&config, port) {
                Ok(outcome) => {
                    is_whole &= outcome.is_whole();
                    let line = format!("port {port}: {}", outcome.parts().join("; "));
                    writeln!(printer(), "{}", escaped(line.as_bytes()))?;
                }
                // A failure at one port must not keep the others from being completed.
                Err(error) => {
                    if let Some(earlier) = failure.replace(error) {
                        let line = format!("mns-endpoint: {earlier:#}");
                        writeln!(io::stderr(), "{}", escaped(line.as_bytes()))?;
                    }
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None if is_whole => Ok(ExitCode::SUCCESS),
            None => Ok(ExitCode::FAILURE),
        }
    }

    fn ports(&self, config: &Config) -> anyhow::Result<Vec<u16>> {
        let dir = &config.log_dir;
        LogFiles::demand_dir(dir)?;
        let found = Names::ports(&RealDisk, dir).with_context(|| {
            let dir = dir.display();
            format!("cannot read {dir}: name the directory of the logs with --log-dir")
        })?;
        match self.port {
            _ if found.is_empty() => bail!(
                "no logs are in {}: name the directory of the logs with --log-dir",
                dir.display()
            ),
            Some(port) if !found.contains(&port) => {
                let found: Vec<String> = found.iter().map(u16::to_string).collect();
                bail!(
                    "no logs of port {port} are in {}, but of {}",
                    dir.display(),
                    found.join(", ")
                )
            }
            Some(port) => Ok(vec![port]),
            None => Ok(found),
        }
    }

    fn repair(&self, config: &Config, port: u16) -> anyhow::Result<Outcome> {
        let names = Names {
            dir: config.log_dir.clone(),
            port,
        };
        let options = FileOptions {
            dir: config.log_dir.clone(),
            port,
            mode: config.log_mode,
        };
        options.demand_files()?;
        let commit_log = names.commit_log();
        // A dry run does not take the lock, so check first that no serve is writing.
        if self.dry_run {
            let cannot_read = || format!("cannot read the logs of port {port}");
            if LogFiles::is_in_use(&names).with_context(cannot_read)? {
                return Ok(Outcome::InUse);
            }
            let uncovered = journal::uncovered(&RealDisk, &names)
                .with_context(|| format!("cannot read {}", commit_log.display()))?;
            let torn = journal::torn_ends(&RealDisk, &names).with_context(cannot_read)?;
            return Ok(Outcome::WouldBe(uncovered, torn));
        }
        let files = match LogFiles::open(options) {
            Err(OpenError::Locked { .. }) => return Ok(Outcome::InUse),
            files => files?,
        };
        let recovered = journal::repair(files).with_context(|| {
            let commit_log = commit_log.display();
            format!(
                "cannot complete the logs of port {port} from {commit_log}, which still has what \
                 they lack"
            )
        })?;
        Ok(Outcome::Done(recovered))
    }
}

impl Outcome {
    fn is_whole(&self) -> bool {
        match self {
            Self::InUse => false,
            Self::WouldBe(uncovered, _) => uncovered.missing == 0,
            Self::Done(recovered) => recovered.replayed.missing == 0,
        }
    }

    /// The parts of the sentence about it.
    fn parts(&self) -> Vec<String> {
        let mut parts = match self {
            Self::InUse => vec![
                "serve writes to these logs, and completes them itself at its start: nothing was \
                 changed"
                    .to_owned(),
            ],
            Self::WouldBe(uncovered, torn) => would_be(*uncovered, torn),
            Self::Done(recovered) => done(recovered),
        };
        if parts.is_empty() {
            parts.push("nothing to do".to_owned());
        }
        parts
    }
}

fn would_be(uncovered: Uncovered, torn: &[TornTail]) -> Vec<String> {
    let Uncovered { frames, missing } = uncovered;
    let mut parts = Vec::new();
    if frames > 0 {
        let frames = counted(frames, "frame");
        parts.push(format!("{frames} would be written to the logs"));
    }
    parts.extend(missing_frames(missing));
    let unless = if frames > 0 {
        ", unless a frame completes them"
    } else {
        ""
    };
    parts.extend(torn.iter().map(|tail| {
        let (bytes, log) = (counted(tail.bytes, "torn byte"), tail.log.name());
        format!("{bytes} at the end of {log} would be cut off{unless}")
    }));
    parts
}

fn done(recovered: &Recovered) -> Vec<String> {
    let replayed = recovered.replayed;
    let mut parts = Vec::new();
    if replayed.frames > 0 {
        let frames = counted(replayed.frames, "frame");
        parts.push(format!("{frames} written to the logs"));
    }
    if replayed.appended > 0 {
        let appended = counted(replayed.appended, "part");
        parts.push(format!(
            "{appended} of them appended, because their places were taken: records may be there \
             twice"
        ));
    }
    parts.extend(missing_frames(replayed.missing));
    parts.extend(recovered.torn.iter().map(|tail| {
        let (bytes, log) = (counted(tail.bytes, "torn byte"), tail.log.name());
        let kept = if tail.is_kept {
            "into its .torn file"
        } else {
            "and not kept, since its .torn file cannot be written"
        };
        format!("{bytes} at the end of {log} cut off {kept}")
    }));
    parts.extend(recovered.damaged.iter().map(|damaged| {
        let log = damaged.log.name();
        format!("{log} is damaged, and nothing was cut off: run mns-endpoint logs verify")
    }));
    parts
}

/// What to report if frames of the commit log cannot be read.
pub(super) fn missing_frames(missing: u64) -> Option<String> {
    let frames = counted(missing, "frame");
    (missing > 0).then(|| {
        format!(
            "ERROR: {frames} of the commit log had been synced and cannot be read: records that \
             were answered 201 may be missing"
        )
    })
}
