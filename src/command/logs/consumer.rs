//! Tracks how far a consumer of rows has come, and saves it before, during and after each delivery.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::command::logs::acknowledged::Acknowledged;
use crate::command::logs::state::StateFile;
use crate::command::logs::stop::Stop;
use crate::command::stdout::Printer;
use crate::journal::{Follower, Position, Saved};

/// The most rows that may be unacknowledged.
const OPEN_ROWS_MAX: usize = 10_000;
/// How many positions of acknowledged rows are kept, in case the newest rows are cut off after a
/// crash.
const PLACES: usize = 8;
/// How long to wait before polling for acknowledgements again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A consumer whose progress is saved.
pub(super) struct Consumer {
    file: StateFile,
    /// The saved progress.
    done: Saved,
    /// The last row that was delivered.
    delivered: Option<Position>,
    acknowledged: Option<Acknowledged>,
    /// Begin and end of each delivered row that is not acknowledged.
    open: VecDeque<(Position, Position)>,
    stop: Arc<Stop>,
}

impl Consumer {
    /// Creates a consumer whose progress is `done`.
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

    /// Whether written rows count as delivered. If the reader of the pipe has left, only rows
    /// acknowledged before do.
    pub(super) fn counts(&self, out: &Printer) -> bool {
        self.acknowledged.is_some() || !out.is_left()
    }

    /// Saves, before rows are written, that they may have been delivered: after a kill the next run
    /// marks them.
    pub(super) fn deliver(&mut self, follower: &Follower) -> anyhow::Result<()> {
        // Waits here, so that a consumer that does not acknowledge stops the reading.
        self.take_acknowledgements(OPEN_ROWS_MAX);
        self.delivered = follower.trail().first().copied();
        self.save()
    }

    /// Records rows that were written and flushed.
    pub(super) fn delivered(&mut self, rows: Vec<(Position, Position)>, follower: &Follower) {
        if self.acknowledged.is_some() {
            self.open.extend(rows);
        }
        self.pass(follower);
    }

    /// Saves the progress at the end of the log, while there is nothing else to do.
    pub(super) fn rest(&mut self, follower: &Follower) -> anyhow::Result<()> {
        self.take_acknowledgements(usize::MAX);
        self.pass(follower);
        self.save()
    }

    /// Waits at the end of the run for the acknowledgements of delivered rows, unless asked to
    /// stop.
    pub(super) fn finish(&mut self, follower: &Follower) -> anyhow::Result<()> {
        self.take_acknowledgements(0);
        self.rest(follower)
    }

    /// Moves the progress to the last row that was read, if all rows are acknowledged.
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

    /// Takes the acknowledgements that have arrived, and waits while more than `open_max` rows are
    /// unacknowledged.
    fn take_acknowledgements(&mut self, open_max: usize) {
        loop {
            // Read before the positions: the reader thread sends its positions before it sets this
            // flag, so none is missed.
            let is_over = self.acknowledged.as_ref().is_none_or(Acknowledged::is_over);
            while let Some(position) = self.acknowledged.as_ref().and_then(Acknowledged::next) {
                self.acknowledge(position);
            }
            if self.open.len() <= open_max || is_over || self.stop.is_asked() {
                return;
            }
            // Polls, because an acknowledgement and a stop both have to end this wait.
            thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Marks a row as done, and all rows before it, because rows are delivered in order.
    fn acknowledge(&mut self, position: Position) {
        let Some(place) = self.open.iter().position(|(begin, _)| *begin == position) else {
            // Not an open row: acknowledged before, or not a position of this run.
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
