//! The pusher: a task for each subscription that delivers what the account keeps for it.
//!
//! The account is the only memory: a task asks it what is due, makes the attempts, and writes down
//! what came of them. So a restart goes on where the last one was, and a task that ends loses
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::emulator::account::{Account, AccountError, Delivery, Due, Key, Outcome};
use crate::emulator::attempt::{Attempt, Failure, Made, Sender};
use crate::emulator::chaos::Occasion;
use crate::emulator::pace::Pace;
use crate::emulator::schedule::wait_after;
use crate::emulator::{Connection, Target};
use crate::mns::api::Subscription;
use crate::report::Report;

/// How long a task leaves the account alone that could not read it.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How long a task sleeps that has nothing to do and is not woken.
const REST: Duration = Duration::from_secs(3600);

/// Delivers what the account keeps.
pub(super) struct Pusher {
    account: Arc<Account>,
    sender: Arc<Sender>,
    workers: Mutex<BTreeMap<Key, Worker>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A subscription's task, from outside.
struct Worker {
    wake: watch::Sender<()>,
    progress: Arc<Progress>,
}

/// What a subscription's task has done since it began.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Messages that the endpoint has.
    pub(super) delivered: AtomicU64,
    /// Attempts that failed.
    pub(super) failed: AtomicU64,
    /// Messages that were given up.
    pub(super) given_up: AtomicU64,
    /// Why the last attempt failed that did.
    pub(super) last_failure: Mutex<Option<String>>,
    /// Between two pushes, in milliseconds.
    pub(super) gap_ms: AtomicU64,
}

impl Pusher {
    pub(super) fn new(account: Arc<Account>, sender: Arc<Sender>) -> Self {
        let stop = CancellationToken::new();
        Self {
            account,
            sender,
            workers: Mutex::default(),
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// There is something new to do for a subscription.
    pub(super) fn wake(self: &Arc<Self>, key: Key) {
        if self.stop.is_cancelled() {
            return;
        }
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = workers.get(&key) {
            worker.wake.send_replace(());
            return;
        }
        let (wake, changes) = watch::channel(());
        let progress = Arc::new(Progress::default());
        self.tasks
            .spawn(self.clone().work(key.clone(), progress.clone(), changes));
        workers.insert(key, Worker { wake, progress });
    }

    /// Something has changed for each subscription of a topic.
    pub(super) fn wake_all_of(&self, topic: &str) {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_topic = workers.iter().filter(|(key, _)| key.topic == topic);
        of_topic.for_each(|(_, worker)| worker.wake.send_replace(()));
    }

    /// What was done for a subscription.
    pub(super) fn progress(&self, key: &Key) -> Option<Arc<Progress>> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.get(key).map(|worker| worker.progress.clone())
    }

    /// Ends all tasks; what is in flight stays due.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn work(
        self: Arc<Self>,
        key: Key,
        progress: Arc<Progress>,
        mut changes: watch::Receiver<()>,
    ) {
        let mut run = Run::new(key.clone(), progress);
        loop {
            changes.mark_unchanged();
            let room = run.room();
            let wait = match self
                .account
                .due(key.clone(), run.flying.clone(), room)
                .await
            {
                Ok(Some(due)) => run.begin(&self, due),
                Ok(None) if self.forget(&key, &changes) => return,
                Ok(None) => continue,
                Err(AccountError::Closed) => return,
                Err(failure @ (AccountError::Database(_) | AccountError::Refused(_))) => {
                    error!(error = %Report(&failure), "The pusher cannot read what is due");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = changes.changed() => {}
                Some(made) = run.attempts.join_next() => match made {
                    Ok(made) => run.settle(&self, made).await,
                    Err(error) => {
                        error!(%error, "An attempt to deliver a message broke down: what is in \
                            flight is pushed again");
                        run = Run::new(key.clone(), run.progress.clone());
                    }
                },
                () = sleep(wait) => {}
            }
        }
    }

    /// Takes the task of a subscription that is gone off the list, unless it was woken meanwhile.
    fn forget(&self, key: &Key, changes: &watch::Receiver<()>) -> bool {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = changes.has_changed().unwrap_or_default();
        if !is_news {
            workers.remove(key);
        }
        !is_news
    }
}

/// A subscription's task, from inside.
struct Run {
    key: Key,
    progress: Arc<Progress>,
    pace: Pace,
    /// No push begins before.
    next_push: Instant,
    /// The numbers of the messages that are in flight.
    flying: BTreeSet<u64>,
    attempts: JoinSet<Made>,
    /// Connections that wait for their next push.
    idle: Vec<Connection>,
}

impl Run {
    fn new(key: Key, progress: Arc<Progress>) -> Self {
        let now = Instant::now();
        let (flying, attempts, idle) = (BTreeSet::new(), JoinSet::new(), Vec::new());
        Self {
            key,
            progress,
            pace: Pace::new(now),
            next_push: now,
            flying,
            attempts,
            idle,
        }
    }

    /// How many pushes may begin now.
    fn room(&self) -> usize {
        let room = self.pace.flights_max().saturating_sub(self.flying.len());
        if Instant::now() < self.next_push {
            0
        } else if self.pace.gap() > Duration::ZERO {
            room.min(1)
        } else {
            room
        }
    }

    /// Begins what is due, and gives how long it is until something else can begin.
    fn begin(&mut self, pusher: &Pusher, due: Due) -> Duration {
        let subscription = Arc::new(due.subscription);
        let Ok(target) = Target::parse(&subscription.attributes.endpoint) else {
            // Nothing is kept for those that cannot be pushed to: see `Account::publish`.
            return REST;
        };
        let has_begun = !due.deliveries.is_empty();
        // The subscription may have been made anew, with another endpoint.
        self.idle
            .retain(|connection| *connection.target() == target);
        for delivery in due.deliveries {
            self.flying.insert(delivery.number);
            let connection = self.idle.pop();
            let connection = connection
                .unwrap_or_else(|| Connection::new(target.clone(), pusher.sender.tls.clone()));
            let (sender, subscription, target) =
                (pusher.sender.clone(), subscription.clone(), target.clone());
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
        if has_begun {
            let gap = pusher.sender.warped(self.pace.gap());
            self.next_push = now.checked_add(gap).unwrap_or(now);
        }
        if self.flying.len() >= self.pace.flights_max() {
            return REST;
        }
        due.next.map_or(REST, |next| {
            next.max(self.next_push.saturating_duration_since(now))
        })
    }

    async fn settle(&mut self, pusher: &Pusher, made: Made) {
        let Made {
            delivery,
            connection,
            begun,
            result,
            subscription,
        } = made;
        self.flying.remove(&delivery.number);
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
                self.progress.failed(&failure);
                self.again(pusher, &subscription, &delivery)
            }
        };
        let gap = u64::try_from(self.pace.gap().as_millis()).unwrap_or(u64::MAX);
        self.progress.gap_ms.store(gap, Ordering::Relaxed);
        if let Err(failure) = pusher
            .account
            .settle(self.key.clone(), &delivery, outcome)
            .await
        {
            error!(error = %Report(&failure), "The pusher cannot write down what came of a push: \
                it will come again");
        }
    }

    /// When a message that failed is tried again.
    fn again(&self, pusher: &Pusher, subscription: &Subscription, delivery: &Delivery) -> Outcome {
        let Key { topic, name } = &self.key;
        let occasion = Occasion {
            topic,
            subscription: name,
            number: delivery.number,
            failures: delivery.failures,
        };
        let fraction = pusher.sender.chaos.fraction("wait", &occasion);
        let strategy = subscription.attributes.notify_strategy;
        if let Some(wait) = wait_after(strategy, delivery.failures.saturating_add(1), fraction) {
            return Outcome::Again(pusher.sender.warped(wait));
        }
        self.progress.given_up.fetch_add(1, Ordering::Relaxed);
        let dead_letter_queue = subscription
            .attributes
            .dead_letter_queue
            .as_deref()
            .unwrap_or("none");
        warn!(topic, subscription = name, message_id = delivery.message.id, %strategy, dead_letter_queue, "Given up");
        Outcome::Done
    }
}

impl Progress {
    fn failed(&self, failure: &Failure) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let told = Report(failure).to_string();
        *self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(told);
    }
}
