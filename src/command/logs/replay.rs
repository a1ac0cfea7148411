//! `logs replay`: sends accepted notifications again, the oldest first, each at least once.

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

/// Send accepted notifications to a receiver again, the oldest first.
///
/// Reads the endpoint log and the rotated files, and may run beside serve. What was accepted or
/// recovered is sent, duplicates are not. A 2xx is a delivery: any other answer is tried again and
/// then ends the run with 1, so that nothing is skipped. Each notification comes at least once. The
/// receiver sees mns-endpoint-replay: 1.
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
    selection: Selection,
    #[command(flatten)]
    tls: ReceiverTls,
    /// Where to post them; without it they are printed as JSON, one a line.
    #[arg(long, value_name = "URL", value_parser = Target::parse)]
    to: Option<Target>,
    /// What is posted: the message, with mns-* headers for its attributes; or the request as MNS
    /// sent it, signature and all.
    #[arg(long = "as", value_enum, value_name = "FORM", default_value_t = Form::Message)]
    form: Form,
    /// Keep how far the receiver has come in FILE, and go on from there at the next start.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Start over, whatever the state says.
    #[arg(long, requires = "state")]
    restart: bool,
    /// At most so many a second, as in 100/s.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    /// How many at once; the order of their arrival is then not that of the log.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = at_least_one)]
    concurrency: usize,
    /// How often one that failed is tried again, with a wait that doubles from half a second on.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    retries: u32,
    /// Go on after a notification that could not be delivered; ends with 1 all the same.
    #[arg(long)]
    keep_going: bool,
    /// Leave duplicates out: so it does anyway.
    #[arg(long)]
    once: bool,
    /// Count what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on with what arrives.
    #[arg(long)]
    follow: bool,
}

impl Replay {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let source = Source::open(&self.configuration)?;
        source.report_left_out()?;
        let mut filter = source.filter(&self.selection)?;
        if filter.outcomes.is_empty() {
            filter.outcomes = vec![Outcome::Accepted, Outcome::Remark, Outcome::Recovered];
        }
        if let Some(other) = filter.outcomes.iter().find(|outcome| !is_sent(**outcome)) {
            bail!("--outcome {other}: only accepted, remark and recovered ones are sent again");
        }
        let log = source.log_name();
        // A dry run takes nothing from the one that is under way.
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

/// What was taken for good, so that its receiver may have wanted it.
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
