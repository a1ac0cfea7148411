//! `forward replay`: sends what is in the log files to a destination again.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock as _, SystemClock};
use crate::command::counted::counted;
use crate::command::forward::log::{LogArguments, file_and_offset, place_text};
use crate::command::forward::sending::{Outcome, Sending, until_told_twice};
use crate::command::forward::sink;
use crate::command::logs::{SendProgress, Source, count, damage, missed, moment, say};
use crate::forward::{Outgoing, Settings};
use crate::journal::{self, Event, Filter, Follower, Horizon, Position, Row, Saved, Start};

/// Send what is in the log files to a destination again.
///
/// Reads the endpoint log and its rotated files up to the present end, and sends each notification
/// that was accepted or recovered, if forward.NAME.topics is empty or contains its topic. The
/// cursor (how far serve has forwarded) does not move, so this command may run beside serve. The
/// destination drops a notification whose id it already has (a stream only within its duplicate
/// window, unless dedupe is "subject"). With --again, each notification gets a new id and is stored
/// once more. The header Mns-Sequence, in which serve numbers what it
/// forwards, is 0. Exits with 1 if anything was not delivered, or if a part of the log is missing
/// or damaged, and prints the position to continue at.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint forward replay orders --from 2h
  mns-endpoint forward replay orders --from 18:40 --until 18:50 --again
  mns-endpoint forward replay orders --from endpoint_log.8080.3")]
pub(super) struct Replay {
    /// The destination: NAME in [forward.NAME].
    name: String,
    #[command(flatten)]
    log: LogArguments,
    /// Begin at this time: how long ago (15m, 3d), a time of today (18:40), 2026-11-24, '2026-11-24
    /// 18:40', or RFC 3339. Or begin at a file of the log, at its first record or at the record
    /// that begins at byte OFFSET.
    #[arg(long, value_name = "TIME|FILE[:OFFSET]")]
    from: String,
    /// End before this time, in the same formats [default: now].
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Give each notification a new id (with /rN at the end), so that the destination does not drop
    /// it as a repeat.
    #[arg(long)]
    again: bool,
    /// How long to retry a notification that is not acknowledged, as in 30s. After that time the
    /// run ends.
    #[arg(long, value_name = "TIME", default_value = "30s",
        value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// What is sent, and the progress so far.
struct Run<'a> {
    source: &'a Source,
    filter: Filter,
    again: Option<u64>,
    stop: CancellationToken,
    sending: Sending<u64>,
    /// The positions of the notifications that are not delivered, by their numbers.
    open: BTreeMap<u64, Position>,
    /// Rows that were read and match the filter.
    read: u64,
    total: u64,
    /// How many of them have no message id, so that nothing can be sent.
    without_id: u64,
    /// Whether nothing is missing or damaged between them.
    is_whole: bool,
    is_away: bool,
    progress: SendProgress,
}

impl Replay {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let log = self.log.open()?;
        let settings = log.destination(&self.name)?;
        log.demand_files()?;
        let source = Source::of(&log.config, log.names.port)?;
        source.report_left_out()?;
        let now = Timestamp::try_from(SystemClock.now()).unwrap_or_default();
        let (filter, after) = self.selection(settings, &source, now)?;
        // Count first: the count shows what will be sent, and sets the end, so that nothing that
        // arrives meanwhile is replayed.
        let selected = count(&source, &filter, after)?;
        let name = &settings.name;
        say(&match selected.time {
            Some(time) => format!("Replaying {} from {time} to {name}", selected.count),
            None => format!("Nothing to replay to {name}"),
        });
        let Some(begin) = selected.begin.filter(|_| selected.count > 0) else {
            return Ok(ExitCode::SUCCESS);
        };
        let stop = CancellationToken::new();
        let sink = sink::start(settings, &sink::replica(log.names.port))?;
        let mut run = Run {
            source: &source,
            filter,
            // Use another number for each run, because the destination would drop an id that it
            // already has.
            again: self.again.then(|| now.as_second().unsigned_abs()),
            stop: stop.clone(),
            sending: Sending::new(sink, settings, self.timeout, stop.clone()),
            open: BTreeMap::new(),
            read: 0,
            total: selected.count,
            without_id: 0,
            is_whole: true,
            is_away: false,
            progress: SendProgress::new(),
        };
        let outcome = until_told_twice(&stop, run.send_all(begin)).await;
        run.progress.clear();
        outcome?;
        run.conclude().await
    }

    fn selection(
        &self,
        settings: &Settings,
        source: &Source,
        now: Timestamp,
    ) -> anyhow::Result<(Filter, Option<Position>)> {
        let time = |flag: &str, text: &str| {
            moment(text, &source.zone, now).with_context(|| {
                format!(
                    "{flag} {text}: write a span as in 15m or 3d, a time as in 18:40, 2026-11-24 \
                     or '2026-11-24 18:40', or RFC 3339"
                )
            })
        };
        let (since, after) = match file_and_offset(&self.from) {
            Some((file, offset)) => {
                let place = source.chain.place(&file, offset.unwrap_or_default())?;
                (None, Some(place))
            }
            None => (Some(time("--from", &self.from)?), None),
        };
        let until = self.until.as_deref().map(|text| time("--until", text));
        let filter = Filter {
            topics: settings.topics.clone(),
            outcomes: vec![
                journal::Outcome::Accepted,
                journal::Outcome::Remark,
                journal::Outcome::Recovered,
            ],
            since,
            until: until.transpose()?,
            zone: Some(source.zone.clone()),
            ..Filter::default()
        };
        Ok((filter, after))
    }
}

impl Run<'_> {
    async fn send_all(&mut self, begin: Position) -> anyhow::Result<()> {
        let start = Start::Saved(Saved {
            trail: vec![begin],
            ..Saved::default()
        });
        let chain = self.source.chain.clone();
        let mut follower = Follower::new(chain, Horizon::FileEnd, start);
        let mut is_at_end = false;
        while !is_at_end && self.goes_on() {
            let polled = follower.poll();
            let polled = polled.with_context(|| self.source.cannot_read())?;
            is_at_end = polled.is_at_end;
            for event in polled.events {
                match event {
                    Event::Row { row, .. } if self.filter.matches(&row) && self.goes_on() => {
                        self.send(*row).await?;
                    }
                    Event::Missed { after, before } => {
                        self.is_whole = false;
                        self.progress.clear();
                        say(&missed(after.as_ref(), before.as_ref()));
                    }
                    Event::Damaged { path, bytes } => {
                        self.is_whole = false;
                        self.progress.clear();
                        say(&damage(&path, bytes));
                    }
                    Event::Row { .. } | Event::Continued { .. } => {}
                }
            }
        }
        // Wait after a stop too: a notification in flight may still be delivered, and then need not
        // be sent again.
        while self.settle().await? {}
        Ok(())
    }

    fn goes_on(&self) -> bool {
        self.read < self.total && !self.is_away && !self.stop.is_cancelled()
    }

    async fn send(&mut self, row: Row) -> anyhow::Result<()> {
        let (number, position) = (self.read, row.position);
        self.read = self.read.saturating_add(1);
        let Some(mut outgoing) = Outgoing::of(row, &self.source.zone) else {
            self.without_id = self.without_id.saturating_add(1);
            return Ok(());
        };
        outgoing.again = self.again;
        // Insert it before the wait for room, so that a stop during the wait counts it as not
        // delivered.
        self.open.insert(number, position);
        while !self.sending.has_room(&outgoing) {
            self.settle().await?;
        }
        self.sending.send(number, outgoing);
        Ok(())
    }

    /// Waits for the outcome of a notification in flight. Returns whether there was one in flight.
    async fn settle(&mut self) -> anyhow::Result<bool> {
        let Some((number, outcome)) = self.sending.settled().await? else {
            return Ok(false);
        };
        let failure = match outcome {
            Outcome::Delivered(_) => {
                self.open.remove(&number);
                let tally = self.sending.tally;
                let total = Some(self.total);
                self.progress.show(tally.delivered(), tally.failed, total);
                return Ok(true);
            }
            Outcome::Refused(failure) => failure,
            // Stop, because the others would wait just as long for nothing.
            Outcome::Away(failure) if !self.is_away => {
                self.is_away = true;
                self.stop.cancel();
                failure
            }
            Outcome::Away(_) | Outcome::Stopped => return Ok(true),
        };
        self.progress.clear();
        let place = self.open.get(&number);
        let place = place.map_or_else(String::new, |place| self.place(place));
        let (reason, detail) = (failure.reason().key(), failure.detail());
        say(&format!("{place} was not delivered: {reason}: {detail}"));
        Ok(true)
    }

    fn place(&self, place: &Position) -> String {
        place_text(&self.source.chain, place)
    }

    async fn conclude(self) -> anyhow::Result<ExitCode> {
        let tally = self.sending.tally;
        let seconds = self.progress.elapsed().as_secs_f64();
        let left = self.total.saturating_sub(tally.delivered());
        let left = left.saturating_sub(self.without_id);
        say(&format!(
            "Replayed {} in {seconds:.1} s: {} stored, {} duplicates, {left} not delivered",
            tally.delivered(),
            tally.stored,
            tally.duplicates
        ));
        if self.without_id > 0 {
            let records = counted(self.without_id, "record");
            say(&format!("{records} without a message id not sent"));
        }
        if tally.duplicates > 0 && self.again.is_none() {
            say("The destination had the duplicates already: --again has them stored once more");
        }
        // This is the first one in the order of the log: everything before it is delivered.
        if let Some(place) = self.open.values().next() {
            say(&format!("Go on with --from {}", self.place(place)));
        }
        let is_good = left == 0 && self.without_id == 0 && self.is_whole;
        self.sending.close().await;
        Ok(if is_good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
