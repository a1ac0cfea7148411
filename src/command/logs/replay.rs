//! `logs replay`: sends accepted notifications again, oldest first, each at least once.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::command::Configuration;
use crate::command::logs::delivery::{Form, Receiver};
use crate::command::logs::place::{self, Counted};
use crate::command::logs::replay_run::{Run, Terms};
use crate::command::logs::selection::Selection;
use crate::command::logs::source::{Source, say};
use crate::command::logs::state::{self, StateFile};
use crate::command::receiver_tls::ReceiverTls;
use crate::emulator::Target;
use crate::journal::{Outcome, Saved};

/// Send accepted notifications to a receiver again, oldest first.
///
/// Reads the endpoint log and its rotated files, and may run beside serve. Sends what was accepted
/// or recovered, but no duplicates. A notification counts as delivered when the receiver answers
/// 2xx. After any other answer the notification is retried. If all retries fail, the run ends with
/// exit code 1, so that no notification is skipped. Each notification is delivered at least once.
/// The receiver gets the header mns-endpoint-replay: 1.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs replay --since 2h --topic orders --to http://127.0.0.1:3000/hook
  mns-endpoint logs replay --to http://127.0.0.1:3000/hook --state orders.state --rate 100/s
  mns-endpoint logs replay --since 2h --dry-run")]
pub(super) struct Replay {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    tls: ReceiverTls,
    /// The URL to post the notifications to [default: print them as JSON, one object per line].
    #[arg(long, value_name = "URL", value_parser = Target::parse)]
    to: Option<Target>,
    /// What to post: the message, with mns-* headers for its attributes; or the request as MNS sent
    /// it, including its signature.
    #[arg(long = "as", value_enum, value_name = "FORM", default_value_t = Form::Message)]
    form: Form,
    /// Save the receiver's progress in FILE, and continue from there at the next start.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Start at the oldest notification, and overwrite the file of --state.
    #[arg(long, requires = "state")]
    restart: bool,
    /// The most notifications per second, as in 100/s [default: no limit].
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    /// How many notifications to send at the same time. With more than 1, they may arrive out of
    /// order.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = at_least_one)]
    concurrency: usize,
    /// How many times to retry a failed delivery; the wait starts at 0.5 s and doubles.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    retries: u32,
    /// Continue after a notification that could not be delivered, and exit with 1 at the end.
    #[arg(long)]
    keep_going: bool,
    /// Leave out duplicates. This is the default, and cannot be switched off.
    #[arg(long)]
    once: bool,
    /// Count what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Continue with new notifications as they arrive.
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    selection: Selection,
}

impl Replay {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let source = Source::open(&self.configuration)?;
        source.report_left_out()?;
        let mut filter = source.filter(&self.selection)?;
        // A duplicate repeats a notification that another row has accepted.
        if filter.outcomes.is_empty() {
            filter.outcomes = vec![Outcome::Accepted, Outcome::Remark, Outcome::Recovered];
        }
        if let Some(other) = filter.outcomes.iter().find(|outcome| !is_sent(**outcome)) {
            bail!("--outcome {other}: only accepted, remark and recovered ones are sent again");
        }
        let log = source.log_name();
        // A dry run must not lock the state, which a running replay may have locked.
        let path = self.state.as_ref();
        let taken = path.filter(|_| !self.dry_run);
        let state = taken.map(|path| StateFile::take(path, &log)).transpose()?;
        let saved = match path.filter(|_| !self.restart) {
            Some(path) => state::load(path, &log)?,
            None => None,
        };
        let after = saved
            .as_ref()
            .and_then(|saved| saved.trail.first().copied());
        let counted = place::count(&source, &filter, after)?;
        self.announce(&counted);
        if self.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        let done = saved.unwrap_or_else(|| Saved {
            trail: counted.begin.into_iter().collect(),
            ..Saved::default()
        });
        if counted.count == 0 && !self.follow {
            return Ok(ExitCode::SUCCESS);
        }
        let receiver = match &self.to {
            Some(to) => Some(Receiver::new(to, self.retries, self.tls.client()?)),
            None => None,
        };
        let terms = Terms {
            form: self.form,
            rate: self.rate,
            concurrency: self.concurrency,
            keep_going: self.keep_going,
            follow: self.follow,
            state: self.state.clone(),
        };
        let mut run = Run::new(terms, receiver, source, filter, state, done);
        run.total = (!self.follow).then_some(counted.count);
        run.run().await
    }

    fn announce(&self, counted: &Counted) {
        let what = match counted.count {
            1 => "1 notification".to_owned(),
            count => format!("{count} notifications"),
        };
        let from = counted
            .time
            .map_or_else(String::new, |time| format!(" from {time}"));
        let to = match &self.to {
            Some(to) => format!(" to {}{}", to.authority(), to.path()),
            None => String::new(),
        };
        let rate = self
            .rate
            .map_or_else(String::new, |rate| format!(", at most {rate}/s"));
        let verb = if self.dry_run {
            "Would replay"
        } else {
            "Replaying"
        };
        say(&format!("{verb} {what}{from}{to}{rate}"));
    }
}

/// Whether the notification was accepted, so that its receiver should have it.
fn is_sent(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Accepted | Outcome::Remark | Outcome::Recovered => true,
        Outcome::Duplicate | Outcome::Refused | Outcome::Deferred | Outcome::Other => false,
    }
}

fn rate(text: &str) -> Result<u32, String> {
    let count = text.strip_suffix("/s").and_then(|count| count.parse().ok());
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| "write a rate as in 100/s".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let count = text.parse().ok();
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| "it must be at least 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_counts_are_more_than_nothing() {
        assert_eq!((rate("100/s"), at_least_one("3")), (Ok(100), Ok(3)));
        for text in ["0/s", "100", "x/s", ""] {
            assert!(rate(text).is_err() && at_least_one("0").is_err());
        }
    }
}
