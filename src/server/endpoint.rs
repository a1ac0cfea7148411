//! The parts of a running endpoint.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::forward::Handover;
use crate::journal::{Journal, Stamps};
use crate::quarantine::Quarantine;
use crate::server::{Counts, InFlight, Recent, RefusedRate, Settings};
use crate::traces::Traces;
use crate::trust::{Admission, Verifier};

/// Everything is done within this time of a request's first byte, up to the hand-over to the
/// journal. MNS gives up at 5 s.
pub const BUDGET: Duration = Duration::from_secs(3);

/// The parts of a running endpoint.
pub struct Endpoint {
    /// Decides which requests are taken; another one may take its place while requests are
    /// answered.
    pub gate: ArcSwap<Gate>,
    /// Keeps them.
    pub journal: Journal,
    /// What is served, and how it is logged.
    pub settings: Settings,
    /// How much refusals may write.
    pub refused: RefusedRate,
    /// Keeps refused requests.
    pub quarantine: Quarantine,
    /// What is in work.
    pub in_flight: InFlight,
    /// What is counted.
    pub counts: Counts,
    /// The last requests.
    pub recent: Recent,
    /// Where the traces of pushes go.
    pub traces: Traces,
    /// What pushes ask of the destinations.
    pub handover: Handover,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The time in the logs, in their zone.
    pub stamps: Stamps,
    /// Cancelled when no new connections are wanted.
    pub draining: CancellationToken,
}

/// What an endpoint is made of; the rest of it begins empty.
pub struct Parts {
    /// Decides which requests are taken.
    pub gate: Gate,
    /// Keeps them.
    pub journal: Journal,
    /// What is served, and how it is logged.
    pub settings: Settings,
    /// Keeps refused requests.
    pub quarantine: Quarantine,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The zone of the times in the logs.
    pub zone: TimeZone,
}

/// What decides which requests are taken. Each request meets one of them from its first check to
/// its last.
pub struct Gate {
    /// Proves who sent a request.
    pub verifier: Verifier,
    /// Says which genuine ones are meant for us.
    pub admission: Admission,
}

impl Endpoint {
    /// An endpoint that has answered nothing yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            gate,
            journal,
            settings,
            quarantine,
            clock,
            zone,
        } = parts;
        Self {
            gate: ArcSwap::from_pointee(gate),
            journal,
            refused: RefusedRate::new(settings.refused_limits()),
            settings,
            quarantine,
            in_flight: InFlight::default(),
            counts: Counts::default(),
            recent: Recent::default(),
            traces: Traces::off(),
            handover: Handover::default(),
            clock,
            stamps: Stamps::new(zone),
            draining: CancellationToken::new(),
        }
    }
}
