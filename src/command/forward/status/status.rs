//! `forward status`: prints what the files say of each destination, also without a running
//! `serve`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::command::client::service::Output;
use crate::command::forward::log::LogArguments;
use crate::command::forward::status::known::{Cursor, Known};
use crate::command::stdout::printer;
use crate::forward::{Phase, SavedCondition, Settings};
use crate::journal::{escaped, json_text};

/// Show what has been forwarded to each destination, how much is left, and why nothing is
/// delivered.
///
/// Reads the cursors and the conditions of the destinations, and the endpoint log in logs.dir;
/// changes nothing and may run beside serve, which saves cursors and conditions once a second.
/// Exits with 1 if a cursor cannot be used: nothing is forwarded to its destination then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward status
  mns-endpoint forward status orders --output json")]
pub(in crate::command::forward) struct Status {
    /// The destination [default: all].
    name: Option<String>,
    #[command(flatten)]
    log: LogArguments,
    /// How it is printed: as lines, or as one JSON object for each destination.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Status {
    pub(in crate::command::forward) fn run(&self) -> anyhow::Result<ExitCode> {
        let log = self.log.open()?;
        let wanted = log.destinations(self.name.as_deref())?;
        let mut out = printer();
        let mut code = ExitCode::SUCCESS;
        for settings in wanted {
            let known = Known::of(&log, settings);
            if matches!(known.cursor, Cursor::Unusable(_)) {
                code = ExitCode::FAILURE;
            }
            let line = match self.output {
                Output::Text => text(settings, &known),
                Output::Json => json_text(&object(settings, &known)),
            };
            writeln!(out, "{line}")?;
        }
        Ok(code)
    }
}

/// A line on its cursor, and one on its condition.
fn text(settings: &Settings, known: &Known) -> String {
    let Settings {
        name, destination, ..
    } = settings;
    let destination = destination.identity();
    let summary = match &known.cursor {
        Cursor::New => "has not started yet".to_owned(),
        Cursor::Unusable(error) => format!("is not forwarded to: {error}"),
        Cursor::Saved {
            progress,
            backlog_bytes,
        } => {
            let backlog = match backlog_bytes {
                Some(bytes) => format!("{bytes} bytes of the log behind the cursor"),
                None => "the place of the cursor is not in the log".to_owned(),
            };
            let counts = &progress.counts;
            format!(
                "{} delivered, {} dead letters, {} skipped, {} gaps; {backlog}",
                counts.delivered, counts.dead_lettered, counts.skipped, counts.gaps
            )
        }
    };
    let condition = match &known.condition {
        Ok(Some(saved)) if saved.is_present => format!("now: {}", condition(saved)),
        Ok(Some(saved)) => format!(
            "serve is not running; when it last ran: {}",
            condition(saved)
        ),
        Ok(None) => "condition unknown: serve has saved none".to_owned(),
        Err(error) => format!("condition unknown: {error}"),
    };
    let lines = [format!("{name} ({destination}): {summary}"), condition];
    // What a destination said may have characters that a terminal interprets.
    lines.map(|line| escaped(line.as_bytes())).join("\n  ")
}

/// `no connection: forbidden since 2026-11-24T10:40:36Z: authorization violation`
fn condition(saved: &SavedCondition) -> String {
    let mut text = match saved.phase {
        Phase::Connected => "connected",
        Phase::Disconnected => "no connection",
        Phase::Failing => "nothing is delivered",
        Phase::NotStarted | Phase::Ended => "nothing is forwarded until the next start",
    }
    .to_owned();
    if let Some(reason) = &saved.reason {
        text += &format!(": {reason}");
    }
    if let Some(since) = saved.since {
        text += &format!(" since {since}");
    }
    if let Some(detail) = &saved.detail {
        text += &format!(": {detail}");
    }
    if saved.is_full {
        text += "; the backlog is full";
    }
    text
}

fn object(settings: &Settings, known: &Known) -> Value {
    let mut object = json!({
        "name": settings.name,
        "destination": settings.destination.identity(),
        "state": match &known.cursor {
            Cursor::New => "new",
            Cursor::Saved { .. } => "saved",
            Cursor::Unusable(_) => "unusable",
        },
        "condition": known.condition.as_ref().ok().and_then(Option::as_ref).map(condition_object),
        "condition_error": known.condition.as_ref().err().map(ToString::to_string),
    });
    let further = match &known.cursor {
        Cursor::New => json!({}),
        Cursor::Unusable(error) => json!({ "error": error }),
        Cursor::Saved {
            progress,
            backlog_bytes,
        } => {
            let counts = &progress.counts;
            let time = progress.saved.time.as_ref().map(ToString::to_string);
            json!({
                "delivered": counts.delivered,
                "dead_letters": counts.dead_lettered,
                "skipped": counts.skipped,
                "gaps": counts.gaps,
                "backlog_bytes": backlog_bytes,
                "last_row_at": time,
            })
        }
    };
    if let (Some(object), Value::Object(further)) = (object.as_object_mut(), further) {
        object.extend(further);
    }
    object
}

fn condition_object(saved: &SavedCondition) -> Value {
    json!({
        // Otherwise it is that of a process that has ended.
        "present": saved.is_present,
        "state": saved.phase.key(),
        "reason": saved.reason,
        "detail": saved.detail,
        "since": saved.since.map(|since| since.to_string()),
        "backlog_full": saved.is_full,
    })
}
