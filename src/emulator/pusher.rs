//! The pusher: one task for each subscription delivers the messages that the account stores for it.
//!
//! All state is in the account: a task asks it what is due, makes the attempts and stores their
//! outcome. So a restart continues where the last run ended, and a task that ends loses nothing.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::emulator::account::{Account, AccountError, Key};
use crate::emulator::progress::Progress;
use crate::emulator::sender::Sender;
use crate::emulator::worker::Worker;
use crate::report::Report;

/// The pause after the account could not be read.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Delivers the messages of the account.
pub(super) struct Pusher {
    account: Arc<Account>,
    sender: Arc<Sender>,
    workers: Mutex<BTreeMap<Key, WorkerHandle>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The outside of the task of one subscription.
struct WorkerHandle {
    wake: watch::Sender<()>,
    progress: Arc<Progress>,
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

    /// Wakes the task of a subscription that has something new to do, or starts it.
    pub(super) fn wake(self: &Arc<Self>, key: Key) {
        // `close` waits for the tasks that exist. A later one would find a closed account.
        if self.stop.is_cancelled() {
            return;
        }
        // Held from the look-up to the insertion, so that no subscription gets two tasks.
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = workers.get(&key) {
            worker.wake.send_replace(());
            return;
        }
        let (wake, changes) = watch::channel(());
        let progress = Arc::new(Progress::default());
        self.tasks
            .spawn(self.clone().work(key.clone(), progress.clone(), changes));
        workers.insert(key, WorkerHandle { wake, progress });
    }

    /// Wakes the task of a subscription, or starts it, to push without waiting.
    pub(super) fn hurry(self: &Arc<Self>, key: Key) {
        if let Some(progress) = self.progress(&key) {
            progress.is_hurried.store(true, Ordering::Relaxed);
        }
        self.wake(key);
    }

    /// Wakes the task of each subscription of a topic.
    pub(super) fn wake_all_of(&self, topic: &str) {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_topic = workers.iter().filter(|(key, _)| key.topic == topic);
        of_topic.for_each(|(_, worker)| worker.wake.send_replace(()));
    }

    /// Returns the progress of a subscription.
    pub(super) fn progress(&self, key: &Key) -> Option<Arc<Progress>> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.get(key).map(|worker| worker.progress.clone())
    }

    /// Ends all tasks. Messages in flight stay due.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        // A tracker has to be closed, or `wait` never returns.
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn work(
        self: Arc<Self>,
        key: Key,
        progress: Arc<Progress>,
        mut changes: watch::Receiver<()>,
    ) {
        let (account, sender) = (self.account.clone(), self.sender.clone());
        let mut worker = Worker::new(account, sender, key.clone(), progress);
        loop {
            // Before the account is asked, so that a change in the meantime causes another query.
            changes.mark_unchanged();
            let room = worker.room();
            let due = self
                .account
                .due(key.clone(), worker.in_flight.clone(), room)
                .await;
            let wait = match due {
                Ok(Some(due)) => worker.begin(due),
                Ok(None) if self.forget(&key, &changes) => return,
                Ok(None) => continue,
                Err(AccountError::Closed) => return,
                // Not the end of the task: its entry stays, so `wake` would start no other.
                Err(failure @ (AccountError::Database(_) | AccountError::Refused(_))) => {
                    error!(error = %Report(&failure), "The pusher cannot read the messages that \
                        are due");
                    ERROR_PAUSE
                }
            };
            tokio::select! {
                // Dropping the worker aborts its attempts. Their messages are still due in the
                // account.
                () = self.stop.cancelled() => return,
                _ = changes.changed() => {}
                Some(ended) = worker.next_ended() => worker.settle(ended).await,
                () = sleep(wait) => {}
            }
        }
    }

    /// Removes the task of a deleted subscription, unless it was woken in the meantime: the
    /// subscription may exist again. The lock excludes [`wake`](Self::wake) during this check.
    fn forget(&self, key: &Key, changes: &watch::Receiver<()>) -> bool {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        // An error would mean that the entry with the sender has been removed already.
        let is_woken = changes.has_changed().unwrap_or_default();
        if !is_woken {
            workers.remove(key);
        }
        !is_woken
    }
}
