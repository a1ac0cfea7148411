//! `forward reset`: puts the cursor of a destination somewhere else.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::command::forward::log::{
    ForwardedLog, LogArguments, bytes_behind, file_and_offset, place_text,
};
use crate::command::logs::refuse_other_than_owner;
use crate::command::stdout::printer;
use crate::forward::{Counts, CursorError, Progress, Settings};
use crate::journal::{Chain, Follower, Horizon, Saved, Start, escaped};

/// Set the position of a destination's cursor, while serve is stopped.
///
/// At its next start, serve forwards from the new position. Use this command if a cursor is damaged
/// or belongs to another stream. Notifications after the new position are sent even if they were
/// delivered before, with the same ids as before. The numbers in the header Mns-Sequence continue;
/// if the cursor cannot be read, they begin at 1 again. The count of gaps in forward status (how
/// often serve found a part of the log missing) becomes 0. Exits with 1 if serve is running.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward reset orders --to now
  mns-endpoint forward reset orders --to oldest
  mns-endpoint forward reset orders --to endpoint_log.8080.3:0")]
pub(super) struct Reset {
    /// The destination: NAME in [forward.NAME].
    name: String,
    #[command(flatten)]
    log: LogArguments,
    /// The position to continue at. now is the end of the newest record, oldest is the oldest
    /// record, and FILE:OFFSET is a file of the log and the byte at which a record begins in that
    /// file.
    #[arg(long, value_name = "now|oldest|FILE:OFFSET", value_parser = target)]
    to: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Now,
    Oldest,
    At { file: String, offset: u64 },
}

impl Reset {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let log = self.log.open()?;
        let settings = log.destination(&self.name)?;
        log.demand_files()?;
        refuse_other_than_owner(&log.config.log_dir)?;
        // Lock before the cursor is read: a running serve would overwrite the new cursor with its
        // own.
        let _locked = log.lock()?;
        let chain = log.chain();
        let mut cursor = log.cursor(settings);
        let before = cursor.load();
        // Continue the counts if they can be read, so that sequence numbers do not repeat.
        let old = before.as_ref().ok().and_then(Option::as_ref);
        let progress = Progress {
            saved: self.to.saved(&chain)?,
            counts: Counts {
                gaps: 0,
                ..old.map(|old| old.counts).unwrap_or_default()
            },
            gap: None,
        };
        let saved = cursor.save(&progress);
        saved.map_err(|failed| {
            let doing = format!("cannot {} {}", failed.doing, failed.path.display());
            anyhow::Error::from(failed.cause).context(doing)
        })?;
        for line in report(&log, settings, &before, &progress)? {
            writeln!(printer(), "{}", escaped(line.as_bytes()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Target {
    fn saved(&self, chain: &Chain) -> anyhow::Result<Saved> {
        let start = match self {
            // An empty position has passed nothing: the next start begins with the record that will
            // be the oldest then.
            Self::Oldest => return Ok(Saved::default()),
            Self::Now => Start::Newest,
            Self::At { file, offset } => Start::Saved(Saved {
                trail: vec![chain.place(file, *offset)?],
                ..Saved::default()
            }),
        };
        let mut follower = Follower::new(chain.clone(), Horizon::FileEnd, start);
        follower.go_to_start().context("cannot read the log")?;
        Ok(Saved {
            trail: follower.trail(),
            unnumbered: follower.unnumbered(),
            ..Saved::default()
        })
    }
}

/// The lines that report what was done.
fn report(
    log: &ForwardedLog,
    settings: &Settings,
    before: &Result<Option<Progress>, CursorError>,
    after: &Progress,
) -> anyhow::Result<Vec<String>> {
    let chain = log.chain();
    let behind = |progress| bytes_behind(&chain, progress).context("cannot read the log");
    let was = match before {
        Ok(None) => "there was no cursor".to_owned(),
        Err(error) => format!("the old cursor was not usable ({error})"),
        Ok(Some(old)) => match (old.saved.trail.first(), behind(old)?) {
            (Some(place), Some(bytes)) => {
                format!(
                    "it was at {}, {bytes} bytes behind",
                    place_text(&chain, place)
                )
            }
            (None, _) => "it was at the oldest record".to_owned(),
            (Some(_), None) => "it was at a place that is not in the log".to_owned(),
        },
    };
    let place = match after.saved.trail.first() {
        Some(place) => place_text(&chain, place),
        None => "the oldest record".to_owned(),
    };
    let to_send = behind(after)?.unwrap_or_default();
    let mut lines = vec![format!(
        "{}: the next start forwards from {place}, {to_send} bytes of the log; {was}",
        settings.name
    )];
    let skipped = match before {
        Ok(Some(old)) => behind(old)?.map(|bytes| bytes.saturating_sub(to_send)),
        Ok(None) | Err(_) => None,
    };
    if let Some(bytes) = skipped.filter(|bytes| *bytes > 0) {
        lines.push(format!(
            "{bytes} bytes of the log are stepped over and not forwarded: forward replay sends \
             them, as long as the files are there"
        ));
    }
    Ok(lines)
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "now" => return Ok(Target::Now),
        "oldest" => return Ok(Target::Oldest),
        _ => {}
    }
    let (file, offset) = file_and_offset(text).ok_or("write now, oldest or FILE:OFFSET")?;
    let offset = offset.ok_or("write FILE:OFFSET, with the byte at which a record begins")?;
    Ok(Target::At { file, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_word_or_a_file_with_an_offset() {
        let at = |file: &str, offset| {
            let file = file.to_owned();
            Ok(Target::At { file, offset })
        };
        assert_eq!(target("now"), Ok(Target::Now));
        assert_eq!(target("oldest"), Ok(Target::Oldest));
        assert_eq!(
            target("endpoint_log.8080.3:12"),
            at("endpoint_log.8080.3", 12)
        );
        assert_eq!(
            target("logs/endpoint_log.8080:0"),
            at("endpoint_log.8080", 0)
        );
        for text in [
            "",
            "newest",
            "endpoint_log.8080",
            "endpoint_log.8080:x",
            "access_log.80:0",
        ] {
            assert!(target(text).is_err(), "{text}");
        }
        let name = "endpoint_log.80.1".to_owned();
        assert_eq!(file_and_offset("endpoint_log.80.1"), Some((name, None)));
    }
}
