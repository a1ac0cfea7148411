//! The task of one subscription: which pushes begin, at which pace, and with what outcome.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{JoinError, JoinSet};
use tracing::{error, warn};

use crate::emulator::account::{Account, Delivery, Due, Key, Outcome};
use crate::emulator::attempt::{Attempt, Finished};
use crate::emulator::chaos::Occasion;
use crate::emulator::delivery::{Connection, Target};
use crate::emulator::pace::Pace;
use crate::emulator::progress::Progress;
use crate::emulator::schedule::wait_after;
use crate::emulator::sender::Sender;
use crate::mns::api::Subscription;
use crate::report::Report;

/// How long an idle task sleeps if nobody wakes it.
// Only a safety net: a new message, a deletion and the end of an attempt wake the task.
const REST: Duration = Duration::from_secs(3600);

/// The inside of the task of one subscription.
pub(super) struct Worker {
    account: Arc<Account>,
    sender: Arc<Sender>,
    key: Key,
    progress: Arc<Progress>,
    pace: Pace,
    /// The earliest time of the next push.
    next_push: Instant,
    /// The numbers of the messages that are in flight.
    pub(super) in_flight: BTreeSet<u64>,
    attempts: JoinSet<Finished>,
    /// Connections without a push in flight.
    idle: Vec<Connection>,
}

impl Worker {
    pub(super) fn new(
        account: Arc<Account>,
        sender: Arc<Sender>,
        key: Key,
        progress: Arc<Progress>,
    ) -> Self {
        let now = Instant::now();
        let (in_flight, attempts, idle) = (BTreeSet::new(), JoinSet::new(), Vec::new());
        Self {
            account,
            sender,
            key,
            progress,
            pace: Pace::new(now),
            next_push: now,
            in_flight,
            attempts,
            idle,
        }
    }

    /// Waits for an attempt to end. Returns `None` at once if none is in flight. The future may be
    /// dropped, unlike that of [`settle`](Self::settle), which must run to its end.
    pub(super) async fn next_ended(&mut self) -> Option<Result<Finished, JoinError>> {
        self.attempts.join_next().await
    }

    /// Stores the outcome of a finished attempt.
    pub(super) async fn settle(&mut self, ended: Result<Finished, JoinError>) {
        match ended {
            Ok(finished) => self.settle_finished(finished).await,
            Err(error) => {
                error!(%error, "An attempt to deliver a message broke down: what is in flight is \
                    pushed again");
                // The message of a panicked attempt is not known. So all attempts are dropped, and
                // the account is asked again what is due.
                let (account, sender) = (self.account.clone(), self.sender.clone());
                *self = Self::new(account, sender, self.key.clone(), self.progress.clone());
            }
        }
    }

    /// Returns how many pushes may begin now.
    pub(super) fn room(&mut self) -> usize {
        // Relaxed is enough: `hurry` stores the flag and then wakes this task through a channel,
        // which orders the two.
        if self.progress.is_hurried.swap(false, Ordering::Relaxed) {
            let now = Instant::now();
            // The user asked for delivery now, so the endpoint gets full speed like a new one.
            (self.pace, self.next_push) = (Pace::new(now), now);
            self.note();
        }
        let room = self.pace.flights_max().saturating_sub(self.in_flight.len());
        if Instant::now() < self.next_push {
            0
        } else if self.pace.gap() > Duration::ZERO {
            // With a gap pushes begin one by one. A batch would begin several pushes in one gap.
            room.min(1)
        } else {
            room
        }
    }

    /// Begins what is due. Returns how long it takes until something else can begin.
    pub(super) fn begin(&mut self, due: Due) -> Duration {
        let subscription = Arc::new(due.subscription);
        let Ok(target) = Target::parse(&subscription.attributes.endpoint) else {
            // `Account::publish` stores nothing for endpoints that cannot be pushed to.
            return REST;
        };
        let has_begun = !due.deliveries.is_empty();
        // The subscription may have been created again, with another endpoint.
        self.idle
            .retain(|connection| *connection.target() == target);
        for delivery in due.deliveries {
            self.in_flight.insert(delivery.number);
            let connection = self.idle.pop();
            let connection = connection
                .unwrap_or_else(|| Connection::new(target.clone(), self.sender.tls.clone()));
            let (sender, subscription, target) =
                (self.sender.clone(), subscription.clone(), target.clone());
            self.attempts.spawn(
                Attempt {
                    sender,
                    subscription,
                    target,
                    connection,
                    delivery,
                }
                .make(),
            );
        }
        let now = Instant::now();
        // Only a push begins a gap. Otherwise each wake-up without a push would delay the next
        // push.
        if has_begun {
            let gap = self.sender.warped(self.pace.gap());
            self.next_push = now.checked_add(gap).unwrap_or(now);
        }
        self.note();
        // Nothing can begin before an attempt ends, which wakes the task.
        if self.in_flight.len() >= self.pace.flights_max() {
            return REST;
        }
        due.next.map_or(REST, |next| {
            next.max(self.next_push.saturating_duration_since(now))
        })
    }

    async fn settle_finished(&mut self, finished: Finished) {
        let Finished {
            delivery,
            connection,
            begun,
            result,
            subscription,
        } = finished;
        // Removed even if the outcome cannot be stored below. The message is then due again.
        self.in_flight.remove(&delivery.number);
        // Reused even after a failure: a connection that is broken or in an unknown state has no
        // stream any more and is opened again.
        self.idle.push(connection);
        let now = Instant::now();
        let outcome = match result {
            Ok(_) => {
                self.pace.succeeded(begun, now);
                self.progress.delivered.fetch_add(1, Ordering::Relaxed);
                Outcome::Done
            }
            Err(failure) => {
                self.pace.failed(begun, now);
                self.progress.note_failure(&failure);
                self.again(&subscription, &delivery)
            }
        };
        self.note();
        if let Err(failure) = self
            .account
            .settle(self.key.clone(), &delivery, outcome)
            .await
        {
            error!(error = %Report(&failure), "The pusher cannot save the result of a push: the \
                message is pushed again");
        }
    }

    /// Publishes the pace for the page and the status document.
    fn note(&self) {
        let milliseconds = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let wait = self.next_push.saturating_duration_since(Instant::now());
        let now = self.sender.clock.now();
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let next_push = milliseconds(since.saturating_add(wait));
        let in_flight = u64::try_from(self.in_flight.len()).unwrap_or(u64::MAX);
        let progress = &self.progress;
        progress
            .gap_ms
            .store(milliseconds(self.pace.gap()), Ordering::Relaxed);
        progress.next_push_ms.store(next_push, Ordering::Relaxed);
        progress.in_flight.store(in_flight, Ordering::Relaxed);
    }

    /// Decides whether and when to retry a failed push.
    fn again(&self, subscription: &Subscription, delivery: &Delivery) -> Outcome {
        let Key { topic, name } = &self.key;
        let occasion = Occasion {
            topic,
            subscription: name,
            number: delivery.number,
            failures: delivery.failures,
        };
        // From the hash, so that the same seed also gives the same waits.
        let fraction = self.sender.chaos().fraction("wait", &occasion);
        let strategy = subscription.attributes.notify_strategy;
        if let Some(wait) = wait_after(strategy, delivery.failures.saturating_add(1), fraction) {
            return Outcome::Again(self.sender.warped(wait));
        }
        self.progress.given_up.fetch_add(1, Ordering::Relaxed);
        // Only logged: there are no queues, so the message is dropped (`docs/emulator.md`).
        let dead_letter_queue = subscription
            .attributes
            .dead_letter_queue
            .as_deref()
            .unwrap_or("none");
        warn!(
            topic,
            subscription = name,
            message_id = delivery.message.id,
            %strategy,
            dead_letter_queue,
            "Given up"
        );
        Outcome::Done
    }
}
