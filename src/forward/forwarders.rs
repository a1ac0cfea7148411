//! All forwarders of a process: one that cannot start keeps no other from it.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;

use crate::forward::condition_keeper::ConditionKeeper;
use crate::forward::forwarder::{Forwarder, Gateway};
use crate::forward::gate::Gate;
use crate::forward::handover::Handover;
use crate::forward::source::Source;
use crate::forward::vitals::Vitals;
use crate::forward::{Settings, Sink, Thread};
use crate::journal::Hold;

/// All forwarders of a process.
#[derive(Default)]
pub struct Forwarders {
    running: Vec<Forwarder>,
    vitals: Vec<Vitals>,
    handover: Handover,
    /// The holds of forwarders that could not start. They keep the files that are needed once the
    /// cursor is repaired.
    held: Vec<Hold>,
    /// Saves the conditions. Ends when it is dropped.
    keeper: JoinSet<()>,
    /// The thread on which the forwarders run. It ends after them.
    thread: Option<Thread>,
}

impl Forwarders {
    /// No forwarders yet. Keeps the thread on which they will run until all of them have stopped.
    #[must_use]
    pub fn on(thread: Thread) -> Self {
        Self {
            thread: Some(thread),
            ..Self::default()
        }
    }

    /// Starts a forwarder. If it cannot start, that is logged. Other forwarders and pushes
    /// continue, except pushes that wait for this destination. May block on the disk. `hold` makes
    /// a hold that keeps the log for a reader.
    pub fn add<S: Sink>(
        &mut self,
        source: &Source,
        settings: Settings,
        sink: S,
        hold: impl Fn() -> Hold,
    ) {
        let gate = Arc::new(Gate::new(Instant::now().into_std()));
        // Before the start, so that a push never skips the wait for a destination that could not
        // start.
        let answers = self.handover.add(&settings, gate.clone());
        let shown = Arc::new(settings.clone());
        // Taken first: a failed start drops its own hold, and files could be deleted before another
        // one is made.
        let spare = hold();
        let gateway = Gateway {
            gate: gate.clone(),
            hold: hold(),
            answers: answers.clone(),
        };
        let (meters, not_started) = match Forwarder::start(source, settings, sink, gateway) {
            Ok(forwarder) => {
                let meters = forwarder.meters().clone();
                self.running.push(forwarder);
                (meters, None)
            }
            Err(error) => {
                error!(destination = %shown.name, %error, "Nothing is forwarded to a destination \
                    until the next start: what is accepted is kept in the logs for it");
                // A push that waits for this destination gets 503 at once and not after its
                // timeout.
                gate.end();
                self.held.push(spare);
                (Arc::default(), Some(Arc::new(error)))
            }
        };
        self.vitals.push(Vitals {
            settings: shown,
            gate,
            meters,
            not_started,
            answers,
        });
    }

    /// Saves the condition of each forwarder from now on, for `forward status`. May block on the
    /// disk.
    pub fn save_conditions(&mut self, source: &Source) {
        let mut keeper = ConditionKeeper::new(source, &self.vitals);
        // Before the first push: until then a file has the condition of an earlier process.
        keeper.save();
        self.keeper.spawn(keeper.keep());
    }

    /// The state of all of them, those that could not start included.
    #[must_use]
    pub fn vitals(&self) -> &[Vitals] {
        &self.vitals
    }

    /// Those that started.
    #[must_use]
    pub fn running(&self) -> &[Forwarder] {
        &self.running
    }

    /// Takes what the handlers of pushes need of all forwarders, and leaves an empty one.
    pub fn take_handover(&mut self) -> Handover {
        std::mem::take(&mut self.handover)
    }

    /// Ends all of them at the same time. What is being sent is waited for, for a bounded time, and
    /// the cursors are saved.
    pub async fn stop(self) {
        // First, so that the end of the connections is not saved as a trouble.
        drop(self.keeper);
        // Together, so that a stop takes as long as the slowest of them and not as their sum.
        let mut stops = JoinSet::new();
        for forwarder in self.running {
            stops.spawn(forwarder.stop());
        }
        while stops.join_next().await.is_some() {}
        drop(self.thread);
    }
}
