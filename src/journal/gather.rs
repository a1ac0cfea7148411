//! How the writer fills a batch: it drains the queue and, for a short time, waits for more.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::journal::batch::{Batch, Command};
use crate::journal::chores::later;
use crate::journal::{Settings, SyncMode};

/// How long a batch of fewer than [`GATHERED`] entries waits for more entries, if there is no
/// commit log and several connections are sending. Without a commit log each commit costs two
/// syncs, which take longer than all other work for a push. With a commit log the wait would cost
/// more than the syncs that it saves: 8 senders reach 5,600 pushes a second with the window and
/// 16,300 without.
const GATHER_WINDOW: Duration = Duration::from_micros(800);
/// How long refusals are gathered while no push arrives. Nobody waits for a refusal, and checking
/// both files before a write costs more than writing a refusal.
const REFUSALS_WINDOW: Duration = Duration::from_millis(5);
/// A batch with this many entries is committed without waiting for more.
const GATHERED: usize = 16;
/// After two entries have waited at the same time, several connections count as sending for this
/// long. A single connection sends nothing until it has its answer, so waiting for more entries
/// would only delay that answer.
const CONTENTION_REMEMBERED: Duration = Duration::from_secs(1);

pub(super) struct Gather {
    clock: Arc<dyn Clock>,
    batch_bytes: usize,
    sync: SyncMode,
    /// Until when several connections count as sending.
    contended_until: Instant,
}

impl Gather {
    pub(super) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            batch_bytes: settings.limits.batch_bytes,
            sync: settings.sync,
            contended_until: clock.instant(),
            clock,
        }
    }

    /// Records that two entries waited at once. They come from two connections, because a
    /// connection waits for each answer.
    pub(super) fn was_contended(&mut self, at: Instant) {
        self.contended_until = later(at, CONTENTION_REMEMBERED);
    }

    /// Drains the queue into the batch. If a commit syncs both logs and several connections are
    /// sending, also waits up to [`GATHER_WINDOW`] for more.
    pub(super) fn fill(
        &self,
        batch: &mut Batch,
        commands: &Receiver<Command>,
        syncs_both_logs: bool,
        add: impl Fn(&mut Batch, Command),
    ) {
        self.fill_with_refusals(batch, commands, &add);
        let window = if syncs_both_logs {
            self.window()
        } else {
            Duration::ZERO
        };
        let due = later(self.clock.instant(), window);
        while !batch.closing && batch.entry.bytes() < self.batch_bytes {
            // Once the batch has enough entries, only drain the queue, without waiting.
            let wait_max = if batch.entries() < GATHERED {
                self.clock.until(due)
            } else {
                Duration::ZERO
            };
            let Ok(command) = commands
                .try_recv()
                .or_else(|_| commands.recv_timeout(wait_max))
            else {
                return;
            };
            add(batch, command);
        }
    }

    /// While the batch holds only refusals, parks instead of blocking on the queue, so that further
    /// refusals do not wake this thread. `append` unparks it.
    fn fill_with_refusals(
        &self,
        batch: &mut Batch,
        commands: &Receiver<Command>,
        add: impl Fn(&mut Batch, Command),
    ) {
        let due = later(self.clock.instant(), REFUSALS_WINDOW);
        while batch.is_of_refusals() && batch.entry.bytes() < self.batch_bytes {
            // `append` sends first and unparks second. A push that is sent after this `try_recv`
            // therefore makes `park_timeout` return at once, so no push is overlooked.
            let Ok(command) = commands.try_recv() else {
                let left = self.clock.until(due);
                if left.is_zero() {
                    return;
                }
                thread::park_timeout(left);
                continue;
            };
            add(batch, command);
        }
    }

    /// How long a small batch waits for more entries.
    fn window(&self) -> Duration {
        match self.sync {
            // Waiting pays only if it saves a sync: a commit without a sync is cheap, even for a
            // single entry.
            SyncMode::Always if self.clock.instant() < self.contended_until => GATHER_WINDOW,
            SyncMode::Always | SyncMode::Interval(_) | SyncMode::Os => Duration::ZERO,
        }
    }
}
