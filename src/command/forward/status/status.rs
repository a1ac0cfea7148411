//! `forward status`: prints what the files say of each destination, also without a running
//! `serve`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::forward::log::LogArguments;
use crate::command::forward::status::known::{Backlog, Cursor, Dead, Known};
use crate::command::stdout::printer;
use crate::config;
use crate::forward::{NotBuried, Phase, SavedCondition, Settings, Verdict};
use crate::journal::{escaped, json_text};

/// Show what has been forwarded to each destination, and what is left.
///
/// For each destination, prints what serve has forwarded and what is left, whether notifications
/// are delivered, or why not, how many dead letters (undeliverable notifications) there are, which
/// log files are older than logs.keep and are kept for it, and for how long the stream still drops
/// a repeat of the oldest notification (if forward.NAME.dedupe is "window").
/// Reads only files in logs.dir, changes nothing, and may run beside serve. serve saves its cursors
/// (how far it has forwarded) and the conditions of the destinations once a second. The
/// notifications after a cursor are counted by reading the log, for at most 5 s for each
/// destination. Exits with 1 if there is no log, or if a cursor cannot be used: then nothing is
/// forwarded to its destination.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward status
  mns-endpoint forward status orders --output json")]
pub(in crate::command::forward) struct Status {
    /// The destination: NAME in [forward.NAME] [default: all].
    name: Option<String>,
    #[command(flatten)]
    log: LogArguments,
    /// The format: lines, or one JSON object for each destination.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Status {
    pub(in crate::command::forward) fn run(&self) -> anyhow::Result<ExitCode> {
        let log = self.log.open()?;
        let wanted = log.destinations(self.name.as_deref())?;
        log.demand_files()?;
        let (zone, _name) = config::local_zone(std::env::var("TZ").ok().as_deref())?;
        let mut out = printer();
        let mut code = ExitCode::SUCCESS;
        for settings in wanted {
            let known = Known::of(&log, settings, &zone);
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

/// A line on its cursor, and further ones on its condition and on what is kept for it.
fn text(settings: &Settings, known: &Known) -> String {
    let Settings {
        name, destination, ..
    } = settings;
    let destination = destination.identity();
    let summary = match &known.cursor {
        Cursor::New => "has not started yet".to_owned(),
        Cursor::Unusable(error) => format!("is not forwarded to: {error}"),
        Cursor::Saved { progress, backlog } => {
            let backlog = match backlog {
                Some(backlog) => waiting(backlog),
                None => "the place of the cursor is not in the log".to_owned(),
            };
            let counts = &progress.counts;
            format!(
                "{} delivered, {}, {} skipped, {}; {backlog}",
                counts.delivered,
                counted(counts.dead_lettered, "dead letter"),
                counts.skipped,
                counted(counts.gaps, "gap"),
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
    let held = match &known.held {
        Ok(held) => format!("held files: {}", held.text()),
        Err(error) => format!("held files: unknown: {error}"),
    };
    let window = known.window.as_ref().map(|window| match window {
        Ok(left) => format!("window left: {}", left.text()),
        Err(why) => format!("window left: unknown: {why}"),
    });
    let mut lines = vec![
        format!("{name} ({destination}): {summary}"),
        condition,
        held,
    ];
    lines.extend(window);
    lines.extend(dead_letters(&known.dead_letters));
    // What a destination said may have characters that a terminal interprets.
    let lines = lines.iter().map(|line| escaped(line.as_bytes()));
    lines.collect::<Vec<_>>().join("\n  ")
}

/// `2 dead letters in logs/forward_orders.80.dead, the last at 2026-11-24T10:40:36Z: too_large`
fn dead_letters(dead: &Result<Dead, NotBuried>) -> Option<String> {
    let Dead { path, count, last } = match dead {
        Ok(dead) if dead.count == 0 => return None,
        Ok(dead) => dead,
        Err(error) => return Some(format!("dead letters unknown: {error}")),
    };
    let count = u64::try_from(*count).unwrap_or(u64::MAX);
    let letters = counted(count, "dead letter");
    let mut text = format!("{letters} in {}", path.display());
    if let Some(Verdict {
        reason, detail, at, ..
    }) = last
    {
        text += &format!(", the last at {at}: {}: {detail}", reason.key());
    }
    Some(text)
}

/// `2210 bytes of the log after the cursor, 5 notifications, the oldest for 1m 30s`
fn waiting(backlog: &Backlog) -> String {
    let Backlog {
        bytes,
        pending,
        age,
    } = backlog;
    let least = if pending.is_complete { "" } else { "at least " };
    let notifications = counted(pending.notifications, "notification");
    let mut text = format!("{bytes} bytes of the log after the cursor, {least}{notifications}");
    if pending.oldest.is_some() {
        let seconds = Duration::from_secs(age.as_secs());
        text += &format!(", the oldest for {}", humantime::format_duration(seconds));
    }
    text
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
    let dead = known.dead_letters.as_ref().ok();
    let last = dead.and_then(|dead| dead.last.as_ref());
    let held = known.held.as_ref().ok();
    let window = known
        .window
        .as_ref()
        .and_then(|window| window.as_ref().ok());
    let mut object = json!({
        "name": settings.name,
        "destination": settings.destination.identity(),
        "state": match &known.cursor {
            Cursor::New => "new",
            Cursor::Saved { .. } => "saved",
            Cursor::Unusable(_) => "unusable",
        },
        "condition": known.condition.as_ref().ok().and_then(Option::as_ref).map(condition_object),
        "held_files": held.map(|held| held.files),
        "oldest_held_file": held.and_then(|held| held.oldest.as_ref()),
        "duplicate_window_seconds": window.map(|left| left.window.as_secs()),
        "window_left_seconds": window.map(|left| left.seconds),
        "dead_letters_kept": dead.map(|dead| dead.count),
        "last_dead_letter": last.map(|last| json!({
            "time": last.at.to_string(),
            "reason": last.reason.key(),
            "detail": last.detail,
        })),
        "condition_error": known.condition.as_ref().err().map(ToString::to_string),
    });
    let further = match &known.cursor {
        Cursor::New => json!({}),
        Cursor::Unusable(error) => json!({ "error": error }),
        Cursor::Saved { progress, backlog } => {
            let backlog = backlog.as_ref();
            let counts = &progress.counts;
            let time = progress.saved.time.as_ref().map(ToString::to_string);
            json!({
                "delivered": counts.delivered,
                "dead_letters": counts.dead_lettered,
                "skipped": counts.skipped,
                "gaps": counts.gaps,
                "backlog_bytes": backlog.map(|it| it.bytes),
                "backlog_messages": backlog.map(|it| it.pending.notifications),
                // Otherwise there are more.
                "backlog_messages_complete": backlog.map(|it| it.pending.is_complete),
                "backlog_seconds": backlog.map(|it| it.age.as_secs()),
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
