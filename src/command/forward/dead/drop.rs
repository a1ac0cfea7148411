//! `forward dead drop`: deletes dead letters.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::command::counted::counted;
use crate::command::forward::dead::letters::{Letters, take_out};
use crate::command::stdout::printer;
use crate::forward::{DeadLetter, identity};

/// Delete dead letters of a destination permanently.
///
/// Prints the number of all dead letters for each reason, then deletes those whose ids are given.
/// With --all, deletes every line of the file, including damaged ones. A message may have several
/// dead letters, each with an id of its own (for example one for each subscription). If the id of
/// such a message is given, or an id that matches no dead letter, deletes nothing and exits with 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward dead drop orders --all
  mns-endpoint forward dead drop orders F6EA56633844DBFC-1-154BDFB8059-200000004")]
pub(super) struct Drop {
    #[command(flatten)]
    letters: Letters,
    /// The id of a dead letter, as forward dead list prints it, or the id of its message; several
    /// may be given.
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    ids: Vec<String>,
    /// Delete all dead letters.
    #[arg(long)]
    all: bool,
}

impl Drop {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let file = self.letters.own_file()?;
        let lines = file.lines()?;
        let mut out = printer();
        for (reason, count) in by_reason(&lines) {
            writeln!(out, "{reason}: {}", counted(count, "dead letter"))?;
        }
        let gone = if self.all {
            lines
        } else {
            let mut gone = Vec::new();
            for id in &self.ids {
                gone.extend(named(id, &lines)?);
            }
            gone
        };
        // Do nothing if no line is to be dropped: `take_out` would create an empty file in order to
        // lock it.
        let taken = match gone.is_empty() {
            true => 0,
            false => take_out(&file, &gone).await?,
        };
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        writeln!(out, "{} dropped", counted(taken, "dead letter"))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn by_reason(lines: &[Vec<u8>]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let letter = DeadLetter::of_line(line);
        let reason = letter.map_or("damaged", |letter| letter.verdict.reason.key());
        let count: &mut u64 = counts.entry(reason).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// The lines of one notification, which may have become a dead letter more than once.
fn named(wanted: &str, lines: &[Vec<u8>]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for line in lines {
        let Some(letter) = DeadLetter::of_line(line) else {
            continue;
        };
        let id = identity(&letter.outgoing);
        let [_owner, _topic, _subscription, message_id] = letter.outgoing.notification.key.parts();
        if id == wanted || message_id == wanted.as_bytes() {
            found.entry(id).or_default().push(line.clone());
        }
    }
    let ids: Vec<String> = found.keys().cloned().collect();
    match ids.len() {
        // All ids are resolved before anything is dropped, so one wrong id drops nothing.
        0 => bail!("{wanted} is no dead letter: nothing was dropped"),
        1 => Ok(found.into_values().flatten().collect()),
        _ => bail!(
            "{wanted} is the id of {}: nothing was dropped",
            ids.join(" and ")
        ),
    }
}
