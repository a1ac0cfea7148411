//! `forward dead retry`: sends dead letters again, and removes those that are delivered.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::command::counted::counted;
use crate::command::forward::dead::letters::{Letters, take_out};
use crate::command::forward::sending::{Outcome, Sending, until_told_twice};
use crate::command::forward::sink;
use crate::command::logs::{SendProgress, say};
use crate::command::stdout::printer;
use crate::forward::{DeadLetter, DeadLetters, identity};

/// Delivered dead letters are removed from the file when there are this many, and at the end. Each
/// removal rewrites the file.
const TAKE_OUT_AFTER: usize = 1000;

/// Send dead letters again, and remove those that are delivered.
///
/// Sends each dead letter of the destination with its old id, and removes it from the file
/// forward_NAME.PORT.dead when the destination has acknowledged it. If the command is killed in
/// between, a dead letter may be sent twice, but none is lost. Dead letters that the destination
/// does not accept stay in the file, and so do damaged lines. Exits with 1 if any of these is left.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward dead retry orders")]
pub(super) struct Retry {
    #[command(flatten)]
    letters: Letters,
    /// How long to retry a dead letter that is not acknowledged, as in 30s. After that time the run
    /// ends.
    #[arg(long, value_name = "TIME", default_value = "30s",
        value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Retry {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let file = self.letters.own_file()?;
        let log = self.letters.log.open()?;
        let settings = log.destination(&self.letters.name)?;
        let lines = file.lines()?;
        if lines.is_empty() {
            say(&format!("{} has no dead letters", settings.name));
            return Ok(ExitCode::SUCCESS);
        }
        let stop = CancellationToken::new();
        let sink = sink::start(settings, &sink::replica(log.names.port))?;
        let mut sending = Sending::new(sink, settings, self.timeout, stop.clone());
        let work = retry(&file, &lines, &mut sending, &stop);
        let outcome = until_told_twice(&stop, work).await;
        let (tally, all) = (sending.tally, lines.len());
        sending.close().await;
        outcome?;
        let left = u64::try_from(all)
            .unwrap_or(u64::MAX)
            .saturating_sub(tally.delivered());
        let (stored, duplicates) = (tally.stored, counted(tally.duplicates, "duplicate"));
        let left_text = counted(left, "dead letter");
        writeln!(printer(), "{stored} stored, {duplicates}, {left_text} left")?;
        Ok(match left {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

/// Sends each dead letter, and removes the delivered ones in batches. None is removed before it is
/// acknowledged.
async fn retry(
    file: &DeadLetters,
    lines: &[Vec<u8>],
    sending: &mut Sending<usize>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut progress = SendProgress::new();
    let mut delivered = Vec::new();
    let mut waiting = lines.iter().enumerate();
    loop {
        let mut next = waiting.next().filter(|_| !stop.is_cancelled());
        let letter = next.take().map(|(number, line)| {
            let letter = DeadLetter::of_line(line);
            if letter.is_none() {
                say(&format!(
                    "a damaged line stays: the {}th",
                    number.saturating_add(1)
                ));
            }
            (number, letter)
        });
        let is_last = letter.is_none();
        if let Some((number, Some(letter))) = letter {
            while !sending.has_room(&letter.outgoing) {
                settle(sending, lines, &mut delivered, stop, &mut progress).await?;
            }
            sending.send(number, letter.outgoing);
        }
        // Settle after a stop too: a dead letter in flight may still be delivered, and can then be
        // removed.
        while is_last && settle(sending, lines, &mut delivered, stop, &mut progress).await? {}
        if delivered.len() >= TAKE_OUT_AFTER || (is_last && !delivered.is_empty()) {
            take_out(file, &delivered).await?;
            delivered.clear();
        }
        if is_last {
            progress.clear();
            return Ok(());
        }
    }
}

/// Waits for the outcome of a dead letter in flight. Returns whether there was one in flight.
async fn settle(
    sending: &mut Sending<usize>,
    lines: &[Vec<u8>],
    delivered: &mut Vec<Vec<u8>>,
    stop: &CancellationToken,
    progress: &mut SendProgress,
) -> anyhow::Result<bool> {
    let Some((number, outcome)) = sending.settled().await? else {
        return Ok(false);
    };
    let failure = match outcome {
        Outcome::Delivered(_) => {
            delivered.extend(lines.get(number).cloned());
            let total = u64::try_from(lines.len()).ok();
            progress.show(sending.tally.delivered(), sending.tally.failed, total);
            return Ok(true);
        }
        Outcome::Refused(failure) => failure,
        Outcome::Away(failure) if !stop.is_cancelled() => {
            // Stop, because the others would wait just as long for nothing.
            stop.cancel();
            failure
        }
        Outcome::Away(_) | Outcome::Stopped => return Ok(true),
    };
    progress.clear();
    let letter = lines.get(number).and_then(|line| DeadLetter::of_line(line));
    let id = letter.map_or_else(String::new, |letter| identity(&letter.outgoing));
    let (reason, detail) = (failure.reason().key(), failure.detail());
    say(&format!("{id} was not delivered: {reason}: {detail}"));
    Ok(true)
}
