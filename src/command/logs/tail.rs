//! `logs tail`: follows the endpoint log across rotated files, from the last rows or from a saved
//! position.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use clap::Args;

use crate::command::Configuration;
use crate::command::logs::acknowledged::Acknowledged;
use crate::command::logs::consumer::Consumer;
use crate::command::logs::place::{damage, missed};
use crate::command::logs::printing::Printing;
use crate::command::logs::selection::Selection;
use crate::command::logs::source::{Source, say};
use crate::command::logs::state::{self, StateFile};
use crate::command::logs::stop::{Stop, until_stopped};
use crate::command::stdout::{Printer, printer};
use crate::journal::{
    Budget, Event, Filter, Follower, Horizon, POLL_INTERVAL, Saved, Search, SearchStart, Start,
};

/// How many rows are shown first by default.
const LINES: usize = 10;
/// How many rows one step of the backward search returns.
const PAGE_ROWS: usize = 1000;

/// Show the last rows of the endpoint log, and follow it.
///
/// A row is one request with its outcome. Follows the endpoint log of the port of server.listen in
/// logs.dir across rotated files, and may run beside serve. Rows go to stdout, everything else to
/// stderr. Exits with 0 at Ctrl-C, or when the program that reads stdout ends. Exits with 1 if rows
/// may have been missed because somebody moved, compressed or truncated a file.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs tail
  mns-endpoint logs tail --topic orders --outcome refused -n 50
  mns-endpoint logs tail --output json --state orders.state --topic orders
  docker exec CONTAINER /mns-endpoint logs tail -f")]
pub(super) struct Tail {
    #[command(flatten)]
    configuration: Configuration,
    /// How many rows to show first [default: 10; all with --since or --state].
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,
    /// Follow the log. This is the default.
    #[arg(short, long, conflicts_with = "no_follow")]
    follow: bool,
    /// Stop at the end of the log.
    #[arg(long)]
    no_follow: bool,
    /// Save the position of the last row in FILE, and continue after it at the next start.
    ///
    /// The file is replaced atomically after rows were flushed, so each row is printed at least
    /// once. A row that may be a repeat is marked ("may_repeat" in JSON). If the file does not
    /// exist, starts at the oldest row, or with --lines at the last COUNT rows.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// With --state: save the position of a row only after your program has written that position
    /// back to the stdin of this command, one position per line.
    ///
    /// Without --ack, the position is saved once the row has been written to stdout. If your
    /// program is then killed, the row is not printed again.
    #[arg(long, requires = "state")]
    ack: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    printing: Printing,
}

impl Tail {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let tail = self.clone();
        until_stopped(move |stop| tail.follow(stop)).await
    }

    fn follow(&self, stop: &Arc<Stop>) -> anyhow::Result<ExitCode> {
        let source = Source::open(&self.configuration)?;
        let filter = source.filter(&self.selection)?;
        source.report_left_out()?;
        let (path, log) = (self.state.as_ref(), source.log_name());
        // Locked before it is read, so that no other run saves a position in between.
        let state = path.map(|path| StateFile::take(path, &log)).transpose()?;
        let saved = match path {
            Some(path) => state::load(path, &log)?,
            None => None,
        };
        let start = match saved {
            Some(saved) => Start::Saved(saved),
            None => self.begin(&source, &filter, stop)?,
        };
        let done = match &start {
            Start::Saved(saved) => saved.clone(),
            Start::Oldest | Start::Newest => Saved::default(),
        };
        let acknowledged = self.ack.then(|| Acknowledged::of_stdin(stop));
        let mut follower = Follower::new(source.chain.clone(), Horizon::FileEnd, start);
        if !self.no_follow {
            say(&format!(
                "Following {}, Ctrl-C stops",
                source.chain.live().display()
            ));
        }
        let mut run = Run {
            tail: self,
            source: &source,
            filter,
            out: printer(),
            consumer: state.map(|state| Consumer::new(state, done, acknowledged, stop.clone())),
            has_missed: false,
        };
        run.run(&mut follower, stop)?;
        Ok(if run.has_missed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    /// The position to begin at without a state: `lines` rows before the end.
    fn begin(&self, source: &Source, filter: &Filter, stop: &Stop) -> anyhow::Result<Start> {
        let lines = match self.lines {
            Some(lines) => lines,
            None if self.state.is_some() && filter.since.is_none() => return Ok(Start::Oldest),
            None if filter.since.is_some() => usize::MAX,
            None => LINES,
        };
        let chain = source.chain.clone();
        let start = SearchStart::Newest;
        let search = Search::new(chain, Horizon::FileEnd, filter.clone(), start);
        let mut first = None;
        let mut left = lines;
        let mut search = search.with_context(|| source.cannot_read())?;
        while let Some(searching) = search.as_mut().filter(|_| left > 0 && !stop.is_asked()) {
            let budget = Budget {
                rows: left.min(PAGE_ROWS),
                ..Budget::UNBOUNDED
            };
            let page = searching.page(&budget, |_| stop.is_asked());
            let page = page.with_context(|| source.cannot_read())?;
            left = left.saturating_sub(page.rows.len());
            first = page.rows.last().map(|row| row.position).or(first);
            if page.next.is_none() {
                search = None;
            }
        }
        // Read forward from the first of them, so that no row is missed between the two readers.
        Ok(first.map_or(Start::Newest, |first| {
            Start::Saved(Saved {
                trail: vec![first],
                ..Saved::default()
            })
        }))
    }
}

/// A run of `logs tail`.
struct Run<'a> {
    tail: &'a Tail,
    source: &'a Source,
    filter: Filter,
    out: Printer,
    consumer: Option<Consumer>,
    has_missed: bool,
}

impl Run<'_> {
    fn run(&mut self, follower: &mut Follower, stop: &Stop) -> anyhow::Result<()> {
        let mut has_said_waiting = false;
        while !stop.is_asked() && !self.out.is_left() {
            let polled = follower.poll().with_context(|| self.source.cannot_read())?;
            self.take(polled.events, follower)?;
            if !polled.is_at_end {
                continue;
            }
            if let Some(consumer) = &mut self.consumer {
                consumer.rest(follower)?;
            }
            if self.tail.no_follow {
                break;
            }
            if follower.trail().is_empty() && !std::mem::replace(&mut has_said_waiting, true) {
                let live = self.source.chain.live();
                say(&format!(
                    "{} has no row yet: waiting for the first",
                    live.display()
                ));
            }
            thread::park_timeout(POLL_INTERVAL);
        }
        match self.consumer.as_mut() {
            Some(consumer) if consumer.counts(&self.out) => consumer.finish(follower),
            Some(_) | None => Ok(()),
        }
    }

    fn take(&mut self, mut events: Vec<Event>, follower: &Follower) -> anyhow::Result<()> {
        events.retain(|event| match event {
            Event::Row { row, .. } => self.filter.matches(row),
            Event::Continued { .. } | Event::Missed { .. } | Event::Damaged { .. } => true,
        });
        let rows = || {
            events
                .iter()
                .filter(|event| matches!(event, Event::Row { .. }))
        };
        if rows().next().is_some()
            && let Some(consumer) = &mut self.consumer
        {
            consumer.deliver(follower)?;
        }
        let mut delivered = Vec::new();
        for event in &events {
            if let Event::Row { row, end, .. } = event {
                delivered.push((row.position, *end));
            }
            self.show(event)?;
        }
        // Before the progress is saved: rows in a buffer are not delivered.
        std::io::Write::flush(&mut self.out)?;
        if let Some(consumer) = self.consumer.as_mut().filter(|it| it.counts(&self.out)) {
            consumer.delivered(delivered, follower);
        }
        Ok(())
    }

    fn show(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::Row {
                row, may_repeat, ..
            } => {
                let printing = &self.tail.printing;
                let look = printing.look(&self.out);
                let line = || look.tail(row, *may_repeat);
                let zone = &self.source.zone;
                printing.write(&mut self.out, row, zone, *may_repeat, line)?;
            }
            Event::Continued { was, now, next } => {
                say(&continued(was, now.as_deref(), next));
            }
            Event::Missed { after, before } => {
                self.has_missed = true;
                say(&missed(after.as_ref(), before.as_ref()));
            }
            Event::Damaged { path, bytes } => say(&damage(path, *bytes)),
        }
        Ok(())
    }
}

/// Says that reading continues in another file.
fn continued(was: &Path, now: Option<&Path>, next: &Path) -> String {
    let was_shown = was.display();
    let end = |path: &Path| {
        let name = path.to_str()?.strip_prefix(was.to_str()?)?;
        name.starts_with('.').then(|| name.to_owned())
    };
    match now {
        Some(now) => match end(now) {
            Some(end) => format!("--- {was_shown} was rotated to {end} ---"),
            None => format!("--- {} follows ---", next.display()),
        },
        None => format!(
            "--- {was_shown} was moved away: {} follows ---",
            next.display()
        ),
    }
}
