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

/// The time from a request's first byte to its hand-over to the journal and, if a destination has
/// to acknowledge it, to that acknowledgement.
///
/// MNS waits 5 s for the answer, so 2 s are left for the disk and for the way back.
pub const BUDGET: Duration = Duration::from_secs(3);

/// The parts of a running endpoint.
pub struct Endpoint {
    /// Decides which requests are accepted. A reload replaces it while requests are being answered.
    pub gate: ArcSwap<Gate>,
    /// Stores accepted notifications.
    pub journal: Journal,
    /// What is served, and how it is logged.
    pub settings: Settings,
    /// Limits how much refusals may write.
    pub refused: RefusedRate,
    /// Stores refused requests.
    pub quarantine: Quarantine,
    /// The requests and bytes in flight.
    pub in_flight: InFlight,
    /// The counters and histograms.
    pub counts: Counts,
    /// The last requests, in memory.
    pub recent: Recent,
    /// Records traces of pushes and sends them on.
    pub traces: Traces,
    /// Waits for destinations that a 201 depends on.
    pub handover: Handover,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Formats times in the zone of the logs.
    pub stamps: Stamps,
    /// Cancelled when a stop begins: no new connections are accepted.
    pub draining: CancellationToken,
}

/// The parts from which an endpoint is built. All other parts start empty.
pub struct Parts {
    /// Decides which requests are accepted.
    pub gate: Gate,
    /// Stores accepted notifications.
    pub journal: Journal,
    /// What is served, and how it is logged.
    pub settings: Settings,
    /// Stores refused requests.
    pub quarantine: Quarantine,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The zone of the times in the logs.
    pub zone: TimeZone,
}

/// Decides which requests are accepted. Each request loads the gate once and uses it to the end,
/// whatever a reload does meanwhile.
pub struct Gate {
    /// Verifies who sent a request.
    pub verifier: Verifier,
    /// Decides which genuine notifications are meant for us.
    pub admission: Admission,
}

impl Endpoint {
    /// Creates an endpoint that has not answered any request.
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
