//! A run of `logs replay`: tracks what is in flight and how far the receiver has come.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::command::logs::delivery::{Delivery, Form, Receiver};
use crate::command::logs::object::object;
use crate::command::logs::place::{damage, missed};
use crate::command::logs::send_progress::SendProgress;
use crate::command::logs::source::{Source, say};
use crate::command::logs::state::StateFile;
use crate::command::stdout::{Printer, printer};
use crate::journal::{
    Event, Filter, Follower, Horizon, POLL_INTERVAL, Position, Saved, Start, json_text,
};
use crate::signals::Signals;

/// The options of a run.
pub(super) struct Terms {
    pub(super) form: Form,
    pub(super) rate: Option<u32>,
    pub(super) concurrency: usize,
    pub(super) keep_going: bool,
    pub(super) follow: bool,
    /// The name of the state file, for messages.
    pub(super) state: Option<PathBuf>,
}

/// A notification in flight.
struct InFlight {
    id: String,
    end: Position,
    sent: JoinHandle<Result<(), String>>,
}

/// A run of the command.
pub(super) struct Run {
    pub(super) terms: Terms,
    pub(super) receiver: Option<Receiver>,
    pub(super) source: Source,
    pub(super) filter: Filter,
    pub(super) state: Option<StateFile>,
    pub(super) out: Printer,
    in_flight: VecDeque<InFlight>,
    pub(super) done: Saved,
    delivered: u64,
    failed: u64,
    /// `None` with `--follow`.
    pub(super) total: Option<u64>,
    progress: SendProgress,
    has_missed: bool,
    /// The time at which `--rate` allows the next one.
    next: Instant,
}

impl Run {
    /// Creates a run. `done` is the receiver's progress.
    pub(super) fn new(
        terms: Terms,
        receiver: Option<Receiver>,
        source: Source,
        filter: Filter,
        state: Option<StateFile>,
        done: Saved,
    ) -> Self {
        Self {
            terms,
            receiver,
            source,
            filter,
            state,
            out: printer(),
            in_flight: VecDeque::new(),
            done,
            delivered: 0,
            failed: 0,
            total: None,
            progress: SendProgress::new(),
            has_missed: false,
            next: Instant::now(),
        }
    }

    pub(super) async fn run(&mut self) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::install().context("cannot handle signals")?;
        let stop = CancellationToken::new();
        let asked = stop.clone();
        let watch = tokio::spawn(async move {
            signals.stop().await;
            asked.cancel();
            signals.again().await
        });
        let outcome = tokio::select! {
            outcome = self.send_all(&stop) => outcome,
            _again = watch => bail!("ended before what is in flight was answered"),
        };
        self.progress.clear();
        let is_whole = outcome?;
        self.conclude();
        let is_good = is_whole && self.failed == 0 && !self.has_missed;
        Ok(if is_good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Sends everything. Returns whether all of it was delivered.
    async fn send_all(&mut self, stop: &CancellationToken) -> anyhow::Result<bool> {
        let start = Start::Saved(self.done.clone());
        let mut follower = Follower::new(self.source.chain.clone(), Horizon::FileEnd, start);
        while !stop.is_cancelled() && !self.out.is_left() {
            let polled = follower.poll().with_context(|| self.source.cannot_read())?;
            for event in polled.events {
                let Event::Row {
                    row,
                    end,
                    may_repeat,
                } = event
                else {
                    self.note(&event);
                    continue;
                };
                if !self.filter.matches(&row) {
                    continue;
                }
                self.keep_rate(stop).await;
                if stop.is_cancelled() {
                    break;
                }
                let id = String::from_utf8_lossy(&row.labels.message_id).into_owned();
                let Some(receiver) = &self.receiver else {
                    let object = object(&row, &self.source.zone, may_repeat, None);
                    writeln!(self.out, "{}", json_text(&object))?;
                    self.out.flush()?;
                    if !self.out.is_left() {
                        self.settle(end, follower.unnumbered())?;
                    }
                    continue;
                };
                let delivery = Delivery::of(&row, self.terms.form, receiver.target());
                let sent = match delivery {
                    Ok(delivery) => receiver.send(delivery),
                    // A row that cannot be sent is settled in its turn, like a failed delivery.
                    Err(error) => tokio::spawn(async move { Err(format!("{error:#}")) }),
                };
                self.in_flight.push_back(InFlight { id, end, sent });
                while self.in_flight.len() >= self.terms.concurrency {
                    if !self.settle_oldest(&follower).await? {
                        return Ok(false);
                    }
                }
            }
            if polled.is_at_end {
                // Settle everything at the end of the log, so that the saved progress includes it.
                while !self.in_flight.is_empty() {
                    if !self.settle_oldest(&follower).await? {
                        return Ok(false);
                    }
                }
                if !self.terms.follow {
                    return Ok(true);
                }
                tokio::select! {
                    () = tokio::time::sleep(POLL_INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        // After a stop too, settle what is in flight, so that the saved progress includes it.
        while !self.in_flight.is_empty() {
            if !self.settle_oldest(&follower).await? {
                return Ok(false);
            }
        }
        // Stopped early: without --follow, not all of it was sent.
        Ok(self.terms.follow)
    }

    /// Waits until `--rate` allows another one, or a stop is requested.
    async fn keep_rate(&mut self, stop: &CancellationToken) {
        let Some(rate) = self.terms.rate else { return };
        tokio::select! {
            () = tokio::time::sleep_until(self.next.into()) => {}
            () = stop.cancelled() => {}
        }
        let pause = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        // After a pause, do not catch up with a burst.
        let now = self.next.max(Instant::now());
        self.next = now.checked_add(pause).unwrap_or(now);
    }

    /// Waits for the oldest delivery: the saved progress must never pass one that is unanswered.
    /// Returns whether to continue.
    async fn settle_oldest(&mut self, follower: &Follower) -> anyhow::Result<bool> {
        let Some(oldest) = self.in_flight.pop_front() else {
            return Ok(true);
        };
        match oldest.sent.await.context("a delivery panicked")? {
            Ok(()) => {
                self.settle(oldest.end, follower.unnumbered())?;
                self.progress.show(self.delivered, self.failed, self.total);
                Ok(true)
            }
            Err(error) => {
                self.progress.clear();
                self.failed = self.failed.saturating_add(1);
                let position = oldest.end;
                say(&format!(
                    "{} was not delivered: {error} (position {position})",
                    oldest.id
                ));
                if self.terms.keep_going {
                    // Saved as done although it failed: with --keep-going no later run begins with
                    // it again.
                    self.advance(oldest.end, follower.unnumbered())?;
                }
                Ok(self.terms.keep_going)
            }
        }
    }

    fn settle(&mut self, end: Position, unnumbered: Option<Vec<PathBuf>>) -> anyhow::Result<()> {
        self.delivered = self.delivered.saturating_add(1);
        self.advance(end, unnumbered)
    }

    fn advance(&mut self, end: Position, unnumbered: Option<Vec<PathBuf>>) -> anyhow::Result<()> {
        /// How many positions are saved, in case the newest rows are cut off after a crash.
        const PLACES: usize = 8;
        self.done.trail.insert(0, end);
        self.done.trail.truncate(PLACES);
        self.done.unnumbered = unnumbered;
        match &mut self.state {
            Some(state) => state.save(&self.done),
            None => Ok(()),
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Missed { after, before } => {
                self.has_missed = true;
                say(&missed(after.as_ref(), before.as_ref()));
            }
            Event::Damaged { path, bytes } => say(&damage(path, *bytes)),
            Event::Row { .. } | Event::Continued { .. } => {}
        }
    }

    fn conclude(&self) {
        let seconds = self.progress.elapsed().as_secs_f64();
        let state = match &self.terms.state {
            Some(path) => format!(". State: {}", path.display()),
            None => ".".to_owned(),
        };
        let (delivered, failed) = (self.delivered, self.failed);
        say(&format!(
            "Replayed {delivered} in {seconds:.1} s, failed {failed}{state}"
        ));
    }
}
