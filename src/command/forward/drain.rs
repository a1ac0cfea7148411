//! `forward drain`: waits until what is in the log has been forwarded.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep};

use crate::command::forward::log::{ForwardedLog, LogArguments};
use crate::command::logs::{self, say};
use crate::command::stdout::printer;
use crate::forward::{Oldest, Settings};
use crate::journal::{LogFiles, Position, Saved, escaped};

/// How often the command looks at the cursors. `serve` saves a cursor once a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the log is read each time for a notification that is to be sent. Usually the first row
/// after a cursor is one.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// Wait until serve has forwarded what is in the log now.
///
/// Does not wait for what arrives after the command was started. For each destination, serve saves
/// a cursor: the position in the log up to which it has forwarded. The command exits with 0 when
/// every cursor has passed the end that the log had when the command was started, or if nothing
/// between them is to be sent. If that does not happen within --timeout, prints how much is left
/// and exits with 1. If something is left and no serve runs, exits with 1 at once. Also exits with
/// 1 if a cursor cannot be used. Reads the cursors and the log, connects to nobody, and changes
/// nothing, so it can be the preStop hook of a container.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward drain
  mns-endpoint forward drain orders --timeout 5m")]
pub(super) struct Drain {
    /// The destination: NAME in [forward.NAME] [default: all].
    name: Option<String>,
    #[command(flatten)]
    log: LogArguments,
    /// How long to wait at most, as in 60s or 5m.
    #[arg(long, value_name = "TIME", default_value = "60s",
        value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// How much of the log a destination still lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Left {
    /// How many bytes of the log are still to be forwarded.
    Bytes(u64),
    /// The number is unknown, because the place of the cursor is not in the log.
    Unknown,
    /// Nothing is forwarded to the destination, for this reason.
    Never(String),
}

impl Drain {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let log = self.log.open()?;
        let wanted = log.destinations(self.name.as_deref())?;
        log.demand_files()?;
        let chain = log.chain();
        // The end is fixed at the start, so that the command ends although pushes still arrive.
        let mut end = logs::end(&chain).context("cannot read the log")?;
        let deadline = Instant::now().checked_add(self.timeout);
        let mut is_running = None;
        let mut progress = Progress::default();
        loop {
            // If somebody deleted or cut the file with the end, determine the end again.
            if let Some(place) = &end
                && chain
                    .file_name(place)
                    .context("cannot read the log")?
                    .is_none()
            {
                end = logs::end(&chain).context("cannot read the log")?;
            }
            let mut left = Vec::new();
            for settings in &wanted {
                left.push((
                    settings.name.clone(),
                    measure(&log, settings, end.as_ref())?,
                ));
            }
            let may_go_on = |left: &Left| !matches!(left, Left::Never(_) | Left::Bytes(0));
            let is_over = !left.iter().any(|(_, left)| may_go_on(left));
            // Ask this once, and only if the answer matters: a serve that starts at that instant
            // would find its logs in use.
            if !is_over && is_running.is_none() {
                let in_use = LogFiles::is_in_use(&log.names);
                is_running = Some(in_use.context("cannot look whether serve runs")?);
            }
            // Check the deadline after the measurement, so that the command has measured at least
            // once, however short the timeout is.
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if is_over || is_late || is_running == Some(false) {
                if !is_over && is_running == Some(false) {
                    say("no serve writes to this log, so nothing is forwarded");
                }
                progress.clear();
                return conclude(&left);
            }
            progress.show(&left);
            sleep(LOOK_EVERY).await;
        }
    }
}

/// How many bytes before `end` a destination has not passed.
fn measure(
    log: &ForwardedLog,
    settings: &Settings,
    end: Option<&Position>,
) -> anyhow::Result<Left> {
    let progress = match log.cursor(settings).load() {
        Ok(Some(progress)) => progress,
        // serve creates the cursor when it starts.
        Ok(None) => return Ok(Left::Unknown),
        Err(error) => return Ok(Left::Never(error.to_string())),
    };
    let Some(end) = end else {
        return Ok(Left::Bytes(0));
    };
    let place = progress.saved.trail.first();
    let bytes = log.chain().bytes_between(place, end);
    let Some(bytes) = bytes.context("cannot read the log")? else {
        return Ok(Left::Unknown);
    };
    if bytes > 0 {
        let is_sent = may_be_sent(log, settings, progress.saved, end);
        if !is_sent.context("cannot read the log")? {
            return Ok(Left::Bytes(0));
        }
    }
    Ok(Left::Bytes(bytes))
}

/// Whether a notification between a cursor and `end` is to be sent, as far as that can be seen.
/// serve passes only what is committed, and it does not commit refusals before the next push.
fn may_be_sent(
    log: &ForwardedLog,
    settings: &Settings,
    saved: Saved,
    end: &Position,
) -> io::Result<bool> {
    let begun = Instant::now();
    let goes_on = || begun.elapsed() < LOOK_TIMEOUT;
    Ok(match Oldest::find(log.chain(), saved, settings, goes_on)? {
        Oldest::Row(row) => {
            let bytes = log.chain().bytes_between(Some(&row.position), end)?;
            bytes != Some(0)
        }
        Oldest::Nothing => false,
        Oldest::Unknown => true,
    })
}

fn describe((name, left): &(String, Left)) -> String {
    match left {
        Left::Bytes(0) => format!("{name}: forwarded"),
        Left::Bytes(bytes) => format!("{name}: {bytes} bytes of the log are not forwarded yet"),
        Left::Unknown => format!("{name}: has no place in the log yet"),
        Left::Never(why) => format!("{name}: nothing is forwarded: {why}"),
    }
}

/// Shows what is left while the command waits.
#[derive(Default)]
struct Progress {
    is_shown: bool,
}

impl Progress {
    /// On a terminal, rewrites one line. Elsewhere, prints only the first state.
    fn show(&mut self, left: &[(String, Left)]) {
        let all: Vec<String> = left.iter().map(describe).collect();
        let line = all.join("; ");
        if io::stderr().is_terminal() {
            let line = escaped(line.as_bytes());
            // The drain continues even if nobody can see its progress.
            write!(io::stderr(), "\r\x1b[K  {line}").ok();
        } else if !self.is_shown {
            say(&line);
        }
        self.is_shown = true;
    }

    fn clear(&self) {
        if self.is_shown && io::stderr().is_terminal() {
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}

fn conclude(left: &[(String, Left)]) -> anyhow::Result<ExitCode> {
    let mut is_done = true;
    for one in left {
        is_done &= one.1 == Left::Bytes(0);
        writeln!(printer(), "{}", escaped(describe(one).as_bytes()))?;
    }
    Ok(if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
