//! The thread that owns the files.
//!
//! A batch is what arrived while the last one was being synced: one write to each file, one sync of
//! each, then every answer that waited. Once a second, busy or idle, it looks after the files.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::clock::{Clock as _, SystemClock};
use crate::journal::batch::{Batch, Command, Receipt};
use crate::journal::duplicates::Seen;
use crate::journal::logs::{Fault, Logs, Retention};
use crate::journal::shared::Shared;
use crate::journal::tee::Tee;
use crate::journal::{Duplicates, Entry, JournalError, Settings, SyncMode, record};

/// Refusals are synced once there are so many bytes of them, with or without a push among them.
const SYNC_AFTER_BYTES: usize = 1024 * 1024;
/// How often free space and the names of the files are looked at.
const CHORES_EVERY: Duration = Duration::from_secs(1);
/// Where pushes come from several sides, a commit of fewer than [`GATHERED`] entries waits so long
/// for more: two syncs cost more than all else that a push does, and pushes that come one by one
/// would have a pair each.
const GATHER_WINDOW: Duration = Duration::from_micros(800);
/// For how long refusals are gathered while no push comes: nobody waits for them, and to look at
/// both files costs more than they do.
const REFUSALS_WINDOW: Duration = Duration::from_millis(5);
/// So many entries are worth a commit of their own.
const GATHERED: usize = 16;
/// For how long it is remembered that pushes came from several sides. Who sends one after the other
/// would only wait.
const CONTENTION_REMEMBERED: Duration = Duration::from_secs(1);
/// Below this part of `low_water` space is scarce.
const SCARCE_PART: u64 = 4;
/// How often old files are looked for, unless `logs.keep` is shorter.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Owns the files; see [`Writer::run`].
pub(super) struct Writer {
    logs: Logs,
    /// `None` where duplicates are not told.
    seen: Option<Seen>,
    shared: Arc<Shared>,
    tee: Tee,
    settings: Settings,
    /// Until when pushes are taken to come from several sides.
    contended_until: Instant,
    chores_due: Instant,
    /// `None` if rotated files are kept for ever.
    retention: Option<Retention>,
    prune_due: Instant,
}

impl Writer {
    /// A writer behind what stands in the files, which is durable already.
    pub(super) fn new(
        logs: Logs,
        seen: Option<Seen>,
        shared: Arc<Shared>,
        tee: Tee,
        settings: Settings,
    ) -> Self {
        let now = Instant::now();
        let retention = settings
            .keep
            .map(|keep| Retention::new(keep, logs.newest_rotated(), SystemClock.now(), now));
        let mut writer = Self {
            logs,
            seen,
            shared,
            tee,
            settings,
            contended_until: now,
            chores_due: now,
            retention,
            prune_due: now,
        };
        // So that it is known from the first request on.
        writer.look_at_the_space();
        writer.tell_meters();
        writer
    }

    /// Commits batch after batch until it is told to close, or until nobody is left to tell it.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let _ended = Ended(self.shared.clone());
        let mut batch = Batch::default();
        while !batch.closing {
            let next = commands.try_recv().or_else(|_nothing_waits| {
                self.tee.hand_over();
                commands.recv_timeout(self.idle_for())
            });
            match next {
                Ok(first) => {
                    self.shared.begin_work();
                    self.add(&mut batch, first);
                    self.gather(&mut batch, commands);
                    self.commit(&mut batch);
                }
                Err(RecvTimeoutError::Timeout) => self.shared.begin_work(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.do_what_is_due();
            self.shared.end_work();
        }
        self.tee.hand_over();
    }

    /// Takes what else is there, and where several send what comes in a moment.
    fn gather(&self, batch: &mut Batch, commands: &Receiver<Command>) {
        self.gather_refusals(batch, commands);
        let due = later(Instant::now(), self.window());
        while !batch.closing && batch.entry.bytes() < self.settings.limits.batch_bytes {
            let patience = if batch.entries() < GATHERED {
                due.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let Ok(command) = commands
                .try_recv()
                .or_else(|_| commands.recv_timeout(patience))
            else {
                return;
            };
            self.add(batch, command);
        }
    }

    /// While there are only notes, waits for more of them, but not in the queue: there each one
    /// would wake it. A push does.
    fn gather_refusals(&self, batch: &mut Batch, commands: &Receiver<Command>) {
        let due = later(Instant::now(), REFUSALS_WINDOW);
        while batch.is_of_refusals() && batch.entry.bytes() < self.settings.limits.batch_bytes {
            let Ok(command) = commands.try_recv() else {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                thread::park_timeout(left);
                continue;
            };
            self.add(batch, command);
        }
    }

    /// How long a commit waits for more, where few wait for it.
    fn window(&self) -> Duration {
        match self.settings.sync {
            SyncMode::Always if Instant::now() < self.contended_until => GATHER_WINDOW,
            SyncMode::Always | SyncMode::Interval(_) | SyncMode::Os => Duration::ZERO,
        }
    }

    /// Adds a command to a batch. A notification that is durable, or becomes durable with the same
    /// batch, is turned into a duplicate here: nothing else is under way, so there is no doubt.
    fn add(&self, batch: &mut Batch, mut command: Command) {
        let mut is_duplicate = false;
        if let Command::Write(entry, waiting) = &mut command {
            batch.count(entry.bytes(), waiting.is_some());
            if let (Some(seen), Some(once)) = (&self.seen, entry.identity) {
                if seen.contains(once.fingerprint) || batch.new.contains(&once.fingerprint) {
                    batch.duplicates = batch.duplicates.saturating_add(1);
                    is_duplicate = true;
                    self.make_duplicate(entry, once.outcome_at);
                } else {
                    batch.new.push(once.fingerprint);
                }
            }
        }
        batch.take(command, is_duplicate);
    }

    fn make_duplicate(&self, entry: &mut Entry, outcome_at: usize) {
        match self.settings.duplicates {
            Duplicates::Mark => record::make_duplicate(&mut entry.endpoint, outcome_at),
            Duplicates::Drop => entry.endpoint.clear(),
            Duplicates::Off => {}
        }
    }

    fn commit(&mut self, batch: &mut Batch) {
        let begun = Instant::now();
        let result = self.write(batch);
        let took = begun.elapsed();
        let entries = batch.entries();
        // Two that wait at the same time are of two.
        if self.shared.pushes.waits().entries > 1 {
            self.contended_until = later(begun, CONTENTION_REMEMBERED);
        }
        if result.is_ok() && entries > 0 {
            self.shared
                .meters
                .note_batch(entries, batch.entry.bytes(), took);
        }
        self.shared
            .pushes
            .give_back(batch.waiting.len(), batch.pushed_bytes);
        self.shared
            .refusals
            .give_back(batch.refusals, batch.refused_bytes);
        match result {
            Ok(()) => drop(
                self.shared
                    .duplicates
                    .fetch_add(batch.duplicates, Ordering::Relaxed),
            ),
            Err(_) => self.shared.count_dropped(batch.refusals),
        }
        for (waiting, is_duplicate) in batch.waiting.drain(..) {
            // An error here is a peer that has left; its record stays.
            drop(waiting.send(result.map(|()| Receipt {
                is_duplicate,
                _made_by_the_writer: (),
            })));
        }
        self.shared.reopens.give_back(batch.reopens, 0);
        self.logs.tell(&self.shared.meters);
        if let (Ok(()), Some(seen)) = (result, &mut self.seen) {
            batch
                .new
                .iter()
                .for_each(|fingerprint| seen.insert(*fingerprint));
            self.shared
                .meters
                .remembered
                .store(seen.len(), Ordering::Relaxed);
            if (batch.closing || self.logs.is_save_due())
                && let Err(fault) = self.logs.save(seen)
            {
                self.tell(&fault);
            }
        }
        if result.is_ok() {
            self.tee.add(&batch.entry.access);
        }
        batch.clear();
    }

    fn write(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if self.shared.failed.is_cancelled() {
            return Err(JournalError::Failed);
        }
        if batch.reopens > 0 {
            self.logs.retry_now();
        }
        let syncs = batch.closing || self.syncs(batch);
        let written = self.logs.write(&batch.entry, syncs);
        written.map_err(|fault| self.tell(&fault))
    }

    /// Whether the files are synced with a batch.
    fn syncs(&self, batch: &Batch) -> bool {
        match self.settings.sync {
            // Refusals do not wait for the disk: the next push takes them along, or they are many.
            SyncMode::Always => {
                let unsynced = self.logs.unsynced().saturating_add(batch.entry.bytes());
                !batch.waiting.is_empty() || unsynced >= SYNC_AFTER_BYTES
            }
            SyncMode::Interval(_) => self
                .logs
                .sync_due()
                .is_some_and(|due| due <= Instant::now()),
            SyncMode::Os => false,
        }
    }

    fn tell(&self, fault: &Fault) -> JournalError {
        match fault {
            Fault::Refused(cause) => {
                if self.shared.refuse(cause.kind()) {
                    warn!(%cause, "The disk refuses writes: each is taken back, answered 503, and \
                        the next one tried");
                }
                JournalError::Refused
            }
            Fault::Broken(_told) => {
                self.shared.failed.cancel();
                JournalError::Failed
            }
        }
    }

    /// How long to wait for the next command at most.
    fn idle_for(&self) -> Duration {
        // A sync that failed is not tried again.
        let sync_due = self
            .logs
            .sync_due()
            .filter(|_| !self.shared.failed.is_cancelled());
        let due = sync_due.map_or(self.chores_due, |due| due.min(self.chores_due));
        due.saturating_duration_since(Instant::now())
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.shared.failed.is_cancelled() {
            self.chores_due = later(now, CHORES_EVERY);
            return;
        }
        let mut done = Ok(());
        if self.logs.sync_due().is_some_and(|due| due <= now) {
            done = self.logs.sync_both();
        }
        if done.is_ok() && self.chores_due <= now {
            self.chores_due = later(now, CHORES_EVERY);
            self.look_at_the_space();
            self.prune(now);
            done = self.logs.look();
        }
        self.logs.tell(&self.shared.meters);
        if let Err(fault) = done {
            self.tell(&fault);
        }
    }

    fn look_at_the_space(&mut self) {
        let Ok(free) = self.logs.free_bytes() else {
            return;
        };
        let low_water = self.settings.low_water_bytes;
        self.shared.set_free_bytes(free);
        self.shared
            .set_scarce(free < low_water.div_euclid(SCARCE_PART));
        match (self.shared.set_low(free < low_water), free < low_water) {
            (false, true) => warn!(
                free,
                low_water,
                "Less space is free than logs.low_water: refusals lose their details, and health \
                 is 503"
            ),
            (true, false) => info!(
                free,
                low_water, "There is more free space than logs.low_water again"
            ),
            (false, false) | (true, true) => {}
        }
    }

    /// What is known before the first batch.
    fn tell_meters(&self) {
        self.logs.tell(&self.shared.meters);
        self.shared
            .meters
            .remembered
            .store(self.seen.as_ref().map_or(0, Seen::len), Ordering::Relaxed);
    }

    fn prune(&mut self, now: Instant) {
        let Some(retention) = &mut self.retention else {
            return;
        };
        let wall = SystemClock.now();
        if let Some(jump) = retention.look(wall, now) {
            warn!(
                ?jump,
                "The clock jumped: old logs are deleted again once a verified push confirms the \
                 time, or after an hour"
            );
        }
        if let Some(date) = self.shared.confirmed_time()
            && retention.confirm(date, wall, now)
        {
            self.prune_due = now;
        }
        if self.prune_due > now {
            return;
        }
        self.prune_due = later(now, retention.every(PRUNE_EVERY));
        if let Some(before) = retention.before(wall, now) {
            self.logs.prune(before);
        }
    }
}

fn later(now: Instant, span: Duration) -> Instant {
    now.checked_add(span).unwrap_or(now)
}

/// Nobody may go on as if there was a journal when this thread has ended, least of all after a
/// panic.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.cancel();
        }
        self.0.end();
    }
}
