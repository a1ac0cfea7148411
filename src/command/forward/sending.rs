//! Sends notifications again: keeps a window of them in flight, retries each until it is delivered
//! or refused, and reports each outcome.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::command::forward::sink::AnySink;
use crate::forward::{Delivered, Failure, Outgoing, Settings, Sink};
use crate::signals::Signals;

/// The wait after the first failure; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Notifications in flight, each with a tag of the caller.
pub(super) struct Sending<T> {
    sink: Arc<AnySink>,
    in_flight: usize,
    bytes_max: usize,
    bytes: usize,
    patience: Duration,
    stop: CancellationToken,
    jobs: JoinSet<(T, usize, Outcome)>,
    /// The outcomes so far.
    pub(super) tally: Tally,
}

/// How many notifications had which outcome.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) stored: u64,
    pub(super) duplicates: u64,
    pub(super) failed: u64,
}

/// The outcome of one notification.
pub(super) enum Outcome {
    Delivered(Delivered),
    /// The destination does not accept this notification.
    Refused(Failure),
    /// The destination accepts nothing, so it is useless to continue.
    Away(Failure),
    /// The run was stopped before the notification was delivered.
    Stopped,
}

impl Tally {
    pub(super) fn delivered(self) -> u64 {
        self.stored.saturating_add(self.duplicates)
    }
}

impl<T: Send + 'static> Sending<T> {
    /// Each notification is retried for at most `patience`. `stop` ends the wait for the next
    /// attempt.
    pub(super) fn new(
        sink: AnySink,
        settings: &Settings,
        patience: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            sink: Arc::new(sink),
            in_flight: settings.in_flight,
            bytes_max: settings.in_flight_bytes,
            bytes: 0,
            patience,
            stop,
            jobs: JoinSet::new(),
            tally: Tally::default(),
        }
    }

    /// Whether there is room for another notification. A notification that is larger than the
    /// window is sent alone.
    pub(super) fn has_room(&self, outgoing: &Outgoing) -> bool {
        let bytes = self.bytes.saturating_add(outgoing.held_bytes());
        self.jobs.is_empty() || (self.jobs.len() < self.in_flight && bytes <= self.bytes_max)
    }

    pub(super) fn send(&mut self, tag: T, outgoing: Outgoing) {
        let bytes = outgoing.held_bytes();
        self.bytes = self.bytes.saturating_add(bytes);
        let (sink, stop, patience) = (self.sink.clone(), self.stop.clone(), self.patience);
        self.jobs.spawn(async move {
            let outcome = deliver(&sink, &outgoing, patience, &stop).await;
            (tag, bytes, outcome)
        });
    }

    /// Waits for the outcome of one notification; `None` if nothing is in flight.
    pub(super) async fn settled(&mut self) -> anyhow::Result<Option<(T, Outcome)>> {
        let Some(settled) = self.jobs.join_next().await else {
            return Ok(None);
        };
        let (tag, bytes, outcome) = settled?;
        self.bytes = self.bytes.saturating_sub(bytes);
        let count = match &outcome {
            Outcome::Delivered(delivered) if delivered.is_duplicate() => &mut self.tally.duplicates,
            Outcome::Delivered(_) => &mut self.tally.stored,
            Outcome::Refused(_) | Outcome::Away(_) | Outcome::Stopped => &mut self.tally.failed,
        };
        *count = count.saturating_add(1);
        Ok(Some((tag, outcome)))
    }

    /// Ends the connections.
    pub(super) async fn close(self) {
        self.sink.close().await;
    }
}

async fn deliver(
    sink: &AnySink,
    outgoing: &Outgoing,
    patience: Duration,
    stop: &CancellationToken,
) -> Outcome {
    let begun = Instant::now();
    let mut wait = FIRST_WAIT;
    loop {
        let failure = match sink.send(outgoing).await {
            Ok(delivered) => return Outcome::Delivered(delivered),
            Err(failure) => failure,
        };
        let pause = match &failure {
            Failure::Poison { .. } | Failure::Refused { .. } => {
                // serve waits until a later notification is delivered, which shows that the fault
                // is not the destination's. A command does not wait and reports the refusal.
                return Outcome::Refused(failure);
            }
            Failure::Gone { .. } => return Outcome::Away(failure),
            Failure::Retry { after, .. } => after.unwrap_or(wait),
            Failure::Down { .. } => wait,
        };
        let left = patience.saturating_sub(begun.elapsed());
        // Check the time after the attempt, so that each notification is sent at least once.
        if left.is_zero() {
            return Outcome::Away(failure);
        }
        // The last wait is cut short, so that there is one more attempt at the end.
        let paused = stop.run_until_cancelled(sleep(pause.min(left)));
        if paused.await.is_none() {
            return Outcome::Stopped;
        }
        wait = wait.saturating_mul(2).min(WAIT_MAX);
    }
}

/// Runs `work` to its end. The first SIGINT or SIGTERM asks it to stop, a second one ends it at
/// once.
pub(super) async fn until_told_twice<T>(
    stop: &CancellationToken,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut signals = Signals::install().context("cannot handle signals")?;
    let again = async {
        signals.stop().await;
        stop.cancel();
        signals.again().await
    };
    tokio::select! {
        outcome = work => outcome,
        signal = again => bail!("{signal}: ended before what is in flight was answered"),
    }
}
