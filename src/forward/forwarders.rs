//! All forwarders of a process: one that cannot start keeps no other from it.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;

use crate::forward::answers::Answers;
use crate::forward::forwarder::{Forwarder, Gateway, StartError};
use crate::forward::gate::Gate;
use crate::forward::handover::Handover;
use crate::forward::meters::Meters;
use crate::forward::source::Source;
use crate::forward::{Settings, Sink, WhenFull};
use crate::journal::Hold;

/// All forwarders of a process.
#[derive(Default)]
pub struct Forwarders {
    running: Vec<Forwarder>,
    vitals: Vec<Vitals>,
    handover: Handover,
    /// For those that could not start: nothing is deleted that they may need once they are mended.
    held: Vec<Hold>,
}

/// The state of a forwarder, for metrics, readiness and the inspector. One that could not start
/// has it too.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// Its destination.
    pub settings: Arc<Settings>,
    /// What requests ask of it.
    pub gate: Arc<Gate>,
    /// What it has done.
    pub meters: Arc<Meters>,
    /// Why it could not start.
    pub not_started: Option<Arc<StartError>>,
    /// The pushes that wait for it, if they do.
    pub answers: Option<Arc<Answers>>,
}

impl Vitals {
    /// The name of its destination.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether pushes should be sent here as far as this destination goes. Only a full backlog
    /// says no: a destination that is away is away for every replica, and if all of them were
    /// unready, MNS would find no open door.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.settings.when_full == WhenFull::Skip || !self.gate.is_full()
    }
}

impl Forwarders {
    /// Starts a forwarder. One that cannot start is logged: the others and the pushes go on, but
    /// for pushes that wait for it. It may wait for the disk; `hold` keeps the log for a reader.
    pub fn add<S: Sink>(
        &mut self,
        source: &Source,
        settings: Settings,
        sink: S,
        hold: impl Fn() -> Hold,
    ) {
        let gate = Arc::new(Gate::new(Instant::now().into_std()));
        let answers = self.handover.add(&settings, gate.clone());
        let shown = Arc::new(settings.clone());
        // Taken before the other one may go.
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

    /// The state of all of them, those that could not start included.
    #[must_use]
    pub fn vitals(&self) -> &[Vitals] {
        &self.vitals
    }

    /// Those that run.
    #[must_use]
    pub fn running(&self) -> &[Forwarder] {
        &self.running
    }

    /// What those who answer pushes ask of all of them; afterwards there is nothing to ask.
    pub fn take_handover(&mut self) -> Handover {
        std::mem::take(&mut self.handover)
    }

    /// Ends all of them at the same time. What is being sent is waited for, for a bounded time, and
    /// the cursors are saved.
    pub async fn stop(self) {
        let mut stops = JoinSet::new();
        for forwarder in self.running {
            stops.spawn(forwarder.stop());
        }
        while stops.join_next().await.is_some() {}
    }
}
