//! The state of a forwarder, for metrics, readiness, the inspector and `forward status`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::forward::answers::Answers;
use crate::forward::condition::{Condition, Phase};
use crate::forward::forwarder::StartError;
use crate::forward::gate::Gate;
use crate::forward::meters::{Meters, Trouble};
use crate::forward::{Reason, Settings, WhenFull};

/// The reason of a forwarder that has ended without one: a step of it panicked.
const PANICKED: &str = "panicked";

/// The state of a forwarder, for metrics, readiness and the inspector. Also kept for a forwarder
/// that could not start.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// Its destination.
    pub settings: Arc<Settings>,
    /// Checked by each push before its body is read.
    pub gate: Arc<Gate>,
    /// Its counters and its state.
    pub meters: Arc<Meters>,
    /// Why it could not start.
    pub not_started: Option<Arc<StartError>>,
    /// The pushes that wait for it. `None` with `ack = "journal"`.
    pub answers: Option<Arc<Answers>>,
}

impl Vitals {
    /// The name of its destination.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether the endpoint is ready for pushes in respect of this destination. Only a full backlog
    /// makes it unready: a destination that is away is away for every replica, and if all of them
    /// were unready, MNS would reach no endpoint.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.settings.when_full == WhenFull::Skip || !self.gate.is_full()
    }

    /// Whether it delivers, and why not.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let Self { gate, meters, .. } = self;
        let is_full = gate.is_full();
        let duplicate_window = meters.duplicate_window();
        if let Some(error) = &self.not_started {
            return Condition {
                phase: Phase::NotStarted,
                reason: Some(error.key()),
                detail: Some(error.to_string()),
                since: None,
                is_full,
                duplicate_window,
            };
        }
        let trouble = meters.trouble();
        let (phase, trouble, otherwise) = if gate.has_ended() {
            let is_gone = |trouble: &Trouble| trouble.reason == Reason::Gone;
            (Phase::Ended, trouble.filter(is_gone), Some(PANICKED))
        } else if !meters.is_connected.load(Ordering::Relaxed) {
            let otherwise = Some(Reason::Disconnected.key());
            (Phase::Disconnected, trouble, otherwise)
        } else if trouble.is_some() && meters.in_flight.load(Ordering::Relaxed) > 0 {
            (Phase::Failing, trouble, None)
        } else {
            // The last trouble was about what is a dead letter now.
            (Phase::Connected, None, None)
        };
        Condition {
            phase,
            reason: trouble.as_ref().map(|it| it.reason.key()).or(otherwise),
            since: trouble.as_ref().map(|it| it.since),
            detail: trouble.map(|it| it.detail),
            is_full,
            duplicate_window,
        }
    }
}
