//! `forward status`: prints the saved state of each destination, even if no `serve` runs.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::command::client::service::Output;
use crate::command::forward::log::{ForwardedLog, LogArguments, bytes_behind};
use crate::command::stdout::printer;
use crate::forward::{Progress, Settings};
use crate::journal::json_text;

/// Show what has been forwarded to each destination, and how much is left.
///
/// Reads the cursors of the destinations and the length of the endpoint log in logs.dir; changes
/// nothing and may run beside serve, which saves a cursor once a second. Exits with 1 if a cursor
/// cannot be used: nothing is forwarded to its destination then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward status
  mns-endpoint forward status orders --output json")]
pub(super) struct Status {
    /// The destination [default: all].
    name: Option<String>,
    #[command(flatten)]
    log: LogArguments,
    /// How it is printed: as lines, or as one JSON object for each destination.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What is known of a destination.
enum State {
    /// The destination has no cursor yet.
    New,
    Saved {
        progress: Progress,
        /// `None` if the place of the cursor is not in the log any more.
        backlog_bytes: Option<u64>,
    },
    /// The cursor or the log cannot be read, for this reason.
    Unusable(String),
}

impl Status {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let log = self.log.open()?;
        let wanted = log.destinations(self.name.as_deref())?;
        let mut out = printer();
        let mut code = ExitCode::SUCCESS;
        for settings in wanted {
            let state = state(&log, settings);
            if matches!(state, State::Unusable(_)) {
                code = ExitCode::FAILURE;
            }
            let line = match self.output {
                Output::Text => text(settings, &state),
                Output::Json => json_text(&object(settings, &state)),
            };
            writeln!(out, "{line}")?;
        }
        Ok(code)
    }
}

fn state(log: &ForwardedLog, settings: &Settings) -> State {
    // No lock is needed: a cursor is replaced as a whole, so it is read as it was at some time.
    let progress = match log.cursor(settings).load() {
        Ok(Some(progress)) => progress,
        Ok(None) => return State::New,
        Err(error) => return State::Unusable(error.to_string()),
    };
    match bytes_behind(&log.chain(), &progress) {
        Ok(backlog_bytes) => State::Saved {
            progress,
            backlog_bytes,
        },
        Err(error) => State::Unusable(format!("cannot read the log: {error}")),
    }
}

fn text(settings: &Settings, state: &State) -> String {
    let Settings {
        name, destination, ..
    } = settings;
    let destination = destination.identity();
    let summary = match state {
        State::New => "has not started yet".to_owned(),
        State::Unusable(error) => format!("is not forwarded to: {error}"),
        State::Saved {
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
    format!("{name} ({destination}): {summary}")
}

fn object(settings: &Settings, state: &State) -> Value {
    let mut object = json!({
        "name": settings.name,
        "destination": settings.destination.identity(),
        "state": match state {
            State::New => "new",
            State::Saved { .. } => "saved",
            State::Unusable(_) => "unusable",
        },
    });
    let further = match state {
        State::New => json!({}),
        State::Unusable(error) => json!({ "error": error }),
        State::Saved {
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
