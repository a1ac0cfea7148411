//! The thread that owns the files: it gathers a batch, writes it, commits it and acknowledges it.
//!
//! A batch is what arrived during the previous sync: one write to each file, one sync (two without
//! a commit log), then all answers. Once a second, busy or idle, the thread also maintains the
//! files.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::clock::Clock;
use crate::journal::batch::{Batch, Command, Outcome};
use crate::journal::chores::Chores;
use crate::journal::duplicates::RecentNotifications;
use crate::journal::gather::Gather;
use crate::journal::logs::Fault;
use crate::journal::shared::{Ended, Shared};
use crate::journal::storage::{Committed, Storage};
use crate::journal::tee::Tee;
use crate::journal::{Duplicates, Entry, JournalError, Settings, SyncMode};

/// Refusals are synced once this many bytes of them are unsynced, even if no push needs a sync.
const SYNC_AFTER_BYTES: usize = 1024 * 1024;

/// Owns the files; see [`Writer::run`].
pub(super) struct Writer {
    storage: Storage,
    /// `None` if `accept.duplicates` is `off`.
    seen: Option<RecentNotifications>,
    shared: Arc<Shared>,
    tee: Tee,
    settings: Settings,
    clock: Arc<dyn Clock>,
    gather: Gather,
    chores: Chores,
}

impl Writer {
    /// Creates a writer for logs whose content is already durable.
    pub(super) fn new(
        storage: Storage,
        seen: Option<RecentNotifications>,
        shared: Arc<Shared>,
        tee: Tee,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let chores = Chores::new(&settings, storage.logs(), clock.as_ref());
        let gather = Gather::new(&settings, clock.clone());
        let writer = Self {
            storage,
            seen,
            shared,
            tee,
            settings,
            gather,
            clock,
            chores,
        };
        // Measure the space now, so that the first request already sees it.
        writer
            .chores
            .look_at_the_space(writer.storage.logs(), &writer.shared);
        writer.count_remembered();
        writer
    }

    /// Commits batches until it is asked to close or until all handles are dropped.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let _ended = Ended(self.shared.clone());
        let mut batch = Batch::default();
        while !batch.closing {
            match commands.recv_timeout(self.idle_for()) {
                Ok(first) => {
                    self.shared.vitals.begin_work();
                    self.add(&mut batch, first);
                    let syncs_both_logs = self.storage.syncs_both_logs();
                    self.gather
                        .fill(&mut batch, commands, syncs_both_logs, |batch, next| {
                            self.add(batch, next);
                        });
                    batch = self.commit(batch);
                }
                // Periodic work uses the disk too, and can hang in it.
                Err(RecvTimeoutError::Timeout) => self.shared.vitals.begin_work(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.do_what_is_due();
            self.shared.vitals.end_work();
        }
        self.close();
    }

    /// Erases the commit log after the last commit.
    fn close(&mut self) {
        self.tee.hand_over(&self.shared.meters);
        if self.shared.vitals.failed.is_cancelled() {
            return;
        }
        if let Err(fault) = self.storage.close(self.clock.instant()) {
            self.report(&fault);
        }
    }

    fn add(&self, batch: &mut Batch, command: Command) {
        match command {
            Command::Write(entry, waiting) => {
                let outcome = self.outcome(batch, &entry);
                batch.add(&entry, waiting, outcome);
            }
            Command::Reopen => batch.reopens = batch.reopens.saturating_add(1),
            Command::Close => batch.closing = true,
        }
    }

    /// Decides whether to write an entry as the first of its notification or as a duplicate. The
    /// decision is certain: every earlier entry is durable, or was refused, or is in this same
    /// batch, which is committed or refused as a whole.
    fn outcome(&self, batch: &mut Batch, entry: &Entry) -> Outcome {
        let (Some(seen), Some(identity)) = (&self.seen, entry.identity) else {
            return Outcome::AsItIs;
        };
        if !seen.contains(identity.fingerprint) && !batch.new.contains(&identity.fingerprint) {
            batch.new.push(identity.fingerprint);
            return Outcome::AsItIs;
        }
        match self.settings.duplicates {
            Duplicates::Mark => Outcome::Marked,
            Duplicates::Drop => Outcome::Dropped,
            Duplicates::Off => Outcome::AsItIs,
        }
    }

    /// Writes a batch, answers the pushes that wait for it, and returns it empty.
    fn commit(&mut self, batch: Batch) -> Batch {
        let begun = self.clock.instant();
        let result = self.write(&batch);
        let took = self.clock.instant().saturating_duration_since(begun);
        // Check this before room is given back, so that the pushes of this batch still count: more
        // than one waiting push means that several connections are sending.
        if self.shared.pushes.waits().entries > 1 {
            self.gather.was_contended(begun);
        }
        // Give back room and update the counts before the answers: a client that has its answer may
        // immediately send the next entry or read the counts.
        self.shared
            .pushes
            .give_back(batch.pushes(), batch.pushed_bytes);
        self.shared
            .refusals
            .give_back(batch.refusals, batch.refused_bytes);
        let batch = match result {
            Ok(committed) => {
                let meters = &self.shared.meters;
                if batch.entries() > 0 {
                    meters.observe_batch(batch.entries(), batch.entry.bytes(), took);
                }
                meters
                    .duplicates
                    .fetch_add(batch.duplicates, Ordering::Relaxed);
                // `None`: no push waits for this batch, and no sync was due.
                let batch = match committed {
                    Some(committed) => batch.acknowledge(&committed),
                    None => batch,
                };
                self.remember(&batch);
                self.tee
                    .add(&batch.entry, &self.shared.meters, self.clock.instant());
                batch
            }
            Err(error) => {
                self.shared.drop_refusals(batch.refusals);
                batch.refuse(error)
            }
        };
        self.shared.reopens.give_back(batch.reopens, 0);
        batch.clear()
    }

    fn write(&mut self, batch: &Batch) -> Result<Option<Committed>, JournalError> {
        if self.shared.vitals.failed.is_cancelled() {
            return Err(JournalError::Failed);
        }
        // The operator may have freed space or restored a file before asking to reopen, so a failed
        // switch of a log is retried now.
        if batch.reopens > 0 {
            self.storage.logs_mut().retry_now();
        }
        let syncs = batch.closing || self.syncs(batch);
        let now = self.clock.instant();
        let written = if batch.pushes() == 0 && !syncs {
            self.storage.append(&batch.entry, now).map(|()| None)
        } else {
            self.storage.write(&batch.entry, syncs, now).map(Some)
        };
        written.map_err(|fault| self.report(&fault))
    }

    /// Whether to sync the files with this batch.
    fn syncs(&self, batch: &Batch) -> bool {
        match self.settings.sync {
            // Refusals alone cause no sync until there are many: the next push syncs them too.
            SyncMode::Always => {
                let unsynced = self.storage.unsynced().saturating_add(batch.entry.bytes());
                batch.pushes() > 0 || unsynced >= SYNC_AFTER_BYTES
            }
            SyncMode::Interval(_) => self
                .storage
                .sync_due()
                .is_some_and(|due| due <= self.clock.instant()),
            SyncMode::Os => false,
        }
    }

    /// Remembers the notifications of a committed batch.
    fn remember(&mut self, batch: &Batch) {
        let Some(seen) = &mut self.seen else {
            return;
        };
        batch
            .new
            .iter()
            .for_each(|fingerprint| seen.insert(*fingerprint));
        // Save at the close too, so that the next start reads hardly anything of the log.
        if (batch.closing || self.storage.logs().is_save_due())
            && let Err(fault) = self
                .storage
                .save(self.clock.instant(), |files, end| seen.save(files, end))
        {
            self.report(&fault);
        }
        self.count_remembered();
    }

    fn count_remembered(&self) {
        let remembered = self.seen.as_ref().map_or(0, RecentNotifications::len);
        self.shared
            .meters
            .remembered
            .store(remembered, Ordering::Relaxed);
    }

    /// Logs a fault and updates the health. Returns the error for the pushes that wait.
    fn report(&self, fault: &Fault) -> JournalError {
        match fault {
            Fault::Refused(cause) => {
                if self.shared.vitals.refuse(cause.kind()) {
                    warn!(%cause, "The disk refuses writes: a batch that fails is removed from the \
                        logs and its pushes are answered 503. The next batch is tried as usual");
                }
                JournalError::Refused
            }
            Fault::Broken(_logged) => {
                self.shared.vitals.failed.cancel();
                JournalError::Failed
            }
        }
    }

    /// How long to wait for the next command.
    fn idle_for(&self) -> Duration {
        // After a failure no sync is due, because a failed sync is not retried.
        let sync_due = self
            .storage
            .sync_due()
            .filter(|_| !self.shared.vitals.failed.is_cancelled());
        let dues = [sync_due, self.tee.due()].into_iter().flatten();
        self.clock.until(dues.fold(self.chores.due(), Instant::min))
    }

    fn do_what_is_due(&mut self) {
        let now = self.clock.instant();
        if self.tee.due().is_some_and(|due| due <= now) {
            self.tee.hand_over(&self.shared.meters);
        }
        if self.shared.vitals.failed.is_cancelled() {
            // Nothing more is written. Without a later due time the thread would spin.
            self.chores.put_off(now);
            return;
        }
        let mut done = Ok(());
        if self.storage.sync_due().is_some_and(|due| due <= now) {
            done = self.storage.sync(now);
        }
        if done.is_ok() && self.chores.due() <= now {
            self.chores.put_off(now);
            self.chores
                .look_at_the_space(self.storage.logs(), &self.shared);
            self.chores
                .prune(self.storage.logs(), &self.shared, self.clock.as_ref());
            done = self.storage.look(now);
        }
        if let Err(fault) = done {
            self.report(&fault);
        }
    }
}
