//! All forwarders of a process: one that cannot start keeps no other from it.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;

use crate::forward::forwarder::{Forwarder, Gateway};
use crate::forward::gate::Gate;
use crate::forward::handover::Handover;
use crate::forward::source::Source;
use crate::forward::{Settings, Sink};
use crate::journal::Hold;

/// All forwarders of a process.
#[derive(Default)]
pub struct Forwarders {
    running: Vec<Forwarder>,
    handover: Handover,
    /// For those that could not start: nothing is deleted that they may need once they are mended.
    held: Vec<Hold>,
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
        let name = settings.name.clone();
        // Taken before the other one may go.
        let spare = hold();
        let gateway = Gateway {
            gate: gate.clone(),
            hold: hold(),
            answers,
        };
        match Forwarder::start(source, settings, sink, gateway) {
            Ok(forwarder) => self.running.push(forwarder),
            Err(error) => {
                error!(destination = name, %error, "Nothing is forwarded to a destination until \
                    the next start: what is accepted is kept in the logs for it");
                gate.end();
                self.held.push(spare);
            }
        }
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
