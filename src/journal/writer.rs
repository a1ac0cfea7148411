//! The thread that owns the files: it gathers a batch, writes it, commits it and acknowledges it.
//!
//! A batch is what arrived while the last one was being synced: one write to each file, one sync,
//! then every answer that waited. Once a second, busy or idle, it looks after the files.

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

/// Refusals are synced once there are this many bytes of them, with or without a push among them.
const SYNC_AFTER_BYTES: usize = 1024 * 1024;

/// Owns the files; see [`Writer::run`].
pub(super) struct Writer {
    storage: Storage,
    /// `None` if duplicates are not marked.
    seen: Option<RecentNotifications>,
    shared: Arc<Shared>,
    tee: Tee,
    settings: Settings,
    clock: Arc<dyn Clock>,
    gather: Gather,
    chores: Chores,
}

impl Writer {
    /// A writer behind what is in the files, which is durable already.
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
        // So that the first request knows of it.
        writer
            .chores
            .look_at_the_space(writer.storage.logs(), &writer.shared);
        writer.count_remembered();
        writer
    }

    /// Commits batch after batch until it is asked to close, or until every handle is gone.
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
                // What is due without a batch uses the disk too, and can hang in it.
                Err(RecvTimeoutError::Timeout) => self.shared.vitals.begin_work(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.do_what_is_due();
            self.shared.vitals.end_work();
        }
        self.close();
    }

    /// After the last commit: nothing is left in the commit log.
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

    /// Whether an entry is the first of its notification. All that was handed over before is
    /// durable, refused, or in this very batch, which becomes durable or is refused as a whole: so
    /// there is no doubt.
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

    /// Writes a batch and answers all who wait for it; returns it empty.
    fn commit(&mut self, batch: Batch) -> Batch {
        let begun = self.clock.instant();
        let result = self.write(&batch);
        let took = self.clock.instant().saturating_duration_since(begun);
        // Before the room is given back: the pushes of this batch are counted in it.
        if self.shared.pushes.waits().entries > 1 {
            self.gather.was_contended(begun);
        }
        // Room and counts before the answers: whoever has an answer may hand over the next entry,
        // or ask for the counts.
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
                // A batch of refusals alone is not committed, and nobody waits for it.
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
        // Whoever asks for it may have made room or a file.
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

    /// Whether the files are synced with a batch.
    fn syncs(&self, batch: &Batch) -> bool {
        match self.settings.sync {
            // Refusals do not wait for the disk: the next push takes them along, or they are many.
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

    /// The notifications of a committed batch are known from now on.
    fn remember(&mut self, batch: &Batch) {
        let Some(seen) = &mut self.seen else {
            return;
        };
        batch
            .new
            .iter()
            .for_each(|fingerprint| seen.insert(*fingerprint));
        // At the close too, so that the next start reads hardly anything of the log.
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

    /// Logs a fault and lets the handle know of it; returns the error for those who wait.
    fn report(&self, fault: &Fault) -> JournalError {
        match fault {
            Fault::Refused(cause) => {
                if self.shared.vitals.refuse(cause.kind()) {
                    warn!(%cause, "The disk refuses writes: each is taken back, answered 503, and \
                        the next one tried");
                }
                JournalError::Refused
            }
            Fault::Broken(_logged) => {
                self.shared.vitals.failed.cancel();
                JournalError::Failed
            }
        }
    }

    /// How long to wait for the next command at most.
    fn idle_for(&self) -> Duration {
        // A sync that failed is not tried again.
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
            // Nothing is done any more, and what stays due would make the thread spin.
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
