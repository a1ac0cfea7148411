//! How far a consumer of rows has come: what its state says before, during and after a delivery.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::command::logs::acknowledged::Acknowledged;
use crate::command::logs::state::StateFile;
use crate::command::logs::stop::Stop;
use crate::command::stdout::Printer;
use crate::journal::{Follower, Position, Saved};

/// How many rows may wait for their acknowledgement.
const OPEN_ROWS_MAX: usize = 10_000;
/// Places behind acknowledged rows that are kept for the case that rows are cut back.
const PLACES: usize = 8;
/// How long to wait before looking for acknowledgements again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A consumer with a state.
pub(super) struct Consumer {
    file: StateFile,
    /// What is done.
    done: Saved,
    /// What was delivered last.
    delivered: Option<Position>,
    acknowledged: Option<Acknowledged>,
    /// Delivered rows that are not acknowledged: where they begin and end.
    open: VecDeque<(Position, Position)>,
    stop: Arc<Stop>,
}

impl Consumer {
    /// A consumer that has come to `done`.
    pub(super) fn new(
        file: StateFile,
        done: Saved,
        acknowledged: Option<Acknowledged>,
        stop: Arc<Stop>,
    ) -> Self {
        Self {
            file,
            delivered: done.delivered,
            done,
            acknowledged,
            open: VecDeque::new(),
            stop,
        }
    }

    /// Whether what was written counts: to a pipe that nobody reads any more only what was
    /// acknowledged before does.
    pub(super) fn counts(&self, out: &Printer) -> bool {
        self.acknowledged.is_some() || !out.is_left()
    }

    /// Before rows are written: whoever starts after a kill knows that they may have been.
    pub(super) fn deliver(&mut self, follower: &Follower) -> anyhow::Result<()> {
        self.take_acknowledgements(OPEN_ROWS_MAX);
        self.delivered = follower.trail().first().copied();
        self.save()
    }

    /// After rows were written and flushed.
    pub(super) fn delivered(&mut self, rows: Vec<(Position, Position)>, follower: &Follower) {
        if self.acknowledged.is_some() {
            self.open.extend(rows);
        }
        self.pass(follower);
    }

    /// At the end of the log: there is time to say what is done.
    pub(super) fn rest(&mut self, follower: &Follower) -> anyhow::Result<()> {
        self.take_acknowledgements(usize::MAX);
        self.pass(follower);
        self.save()
    }

    /// At the end of the run: waits for what was delivered, unless asked to stop.
    pub(super) fn finish(&mut self, follower: &Follower) -> anyhow::Result<()> {
        self.take_acknowledgements(0);
        self.rest(follower)
    }

    /// If nothing is open, all that was read is done.
    fn pass(&mut self, follower: &Follower) {
        if self.open.is_empty() && !follower.trail().is_empty() {
            self.done = Saved {
                trail: follower.trail(),
                delivered: None,
                time: follower.last_time(),
                unnumbered: follower.unnumbered(),
            };
            self.delivered = None;
        }
    }

    /// Takes what has come, and waits for more while more than so many rows are open.
    fn take_acknowledgements(&mut self, open_max: usize) {
        loop {
            // Asked before: what came until then has been sent.
            let is_over = self.acknowledged.as_ref().is_none_or(Acknowledged::is_over);
            while let Some(position) = self.acknowledged.as_ref().and_then(Acknowledged::next) {
                self.acknowledge(position);
            }
            if self.open.len() <= open_max || is_over || self.stop.is_asked() {
                return;
            }
            thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// A row is done, and with it all before it: they were delivered in this order.
    fn acknowledge(&mut self, position: Position) {
        let Some(place) = self.open.iter().position(|(begin, _)| *begin == position) else {
            return;
        };
        for (_, end) in self.open.drain(..=place) {
            self.done.trail.insert(0, end);
        }
        self.done.trail.truncate(PLACES);
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let saved = Saved {
            delivered: self.delivered,
            ..self.done.clone()
        };
        self.file.save(&saved)
    }
}
