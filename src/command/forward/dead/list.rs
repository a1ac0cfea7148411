//! `forward dead list`: prints the dead letters of a destination.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::forward::dead::letters::Letters;
use crate::command::logs::say;
use crate::command::stdout::printer;
use crate::forward::{DeadLetter, identity};
use crate::journal::{escaped, json_text};

/// List the dead letters of a destination, the oldest first.
///
/// Prints time, reason, attempts, id and the last answer of the destination. Exits with 1 if a line
/// of forward_NAME.PORT.dead, the file with the dead letters, is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward dead list orders
  mns-endpoint forward dead list orders --output json")]
pub(super) struct List {
    #[command(flatten)]
    letters: Letters,
    /// The format: lines, or one JSON object for each dead letter, without the message.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl List {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let file = self.letters.file()?;
        let lines = file.lines()?;
        let mut out = printer();
        let mut damaged = 0_u64;
        for (line, number) in lines.iter().zip(1_u64..) {
            let Some(letter) = DeadLetter::of_line(line) else {
                damaged = damaged.saturating_add(1);
                say(&format!(
                    "line {number} of {} is damaged",
                    file.path().display()
                ));
                continue;
            };
            match self.output {
                Output::Text => writeln!(out, "{}", escaped(text(&letter).as_bytes()))?,
                Output::Json => writeln!(out, "{}", json_text(&object(&letter, line)))?,
            }
        }
        if matches!(self.output, Output::Text) {
            let all = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            let letters = counted(all.saturating_sub(damaged), "dead letter");
            writeln!(out, "{}: {letters}", self.letters.name)?;
        }
        Ok(match damaged {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

/// `2026-11-24T10:40:36Z  too_large  1 attempt  1/orders/S/M  message size exceeds …`
fn text(letter: &DeadLetter) -> String {
    let DeadLetter { outgoing, verdict } = letter;
    let attempts = counted(verdict.attempts, "attempt");
    let (time, reason) = (verdict.at, verdict.reason.key());
    let (id, detail) = (identity(outgoing), &verdict.detail);
    format!("{time}  {reason}  {attempts}  {id}  {detail}")
}

/// The line, with the id and the length of the message in place of the message.
fn object(letter: &DeadLetter, line: &[u8]) -> Value {
    let mut object: Value = serde_json::from_slice(line).unwrap_or_default();
    if let Some(object) = object.as_object_mut() {
        object.remove("Message");
        object.remove("MessageBase64");
        object.insert("id".to_owned(), json!(identity(&letter.outgoing)));
        let bytes = letter.outgoing.notification.message.len();
        object.insert("message_bytes".to_owned(), json!(bytes));
    }
    object
}
