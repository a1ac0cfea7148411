//! Collects all metrics of an endpoint when somebody asks for them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use tracing::error;

use crate::metrics::families::Families;
use crate::metrics::{journal, net, process, quarantine, requests, trust};
use crate::net::Counters;
use crate::server::Endpoint;

/// The first part of every name.
const PREFIX: &str = "mns_endpoint";

/// Reads the counts where they are kept. They are loaded on demand, so that a push that is counted
/// costs no more than an atomic addition.
struct EndpointCollector {
    endpoint: Arc<Endpoint>,
    connections: Arc<Counters>,
}

/// A function that returns all metrics as `OpenMetrics` text.
pub(crate) fn text_of(
    endpoint: Arc<Endpoint>,
    connections: Arc<Counters>,
) -> impl Fn() -> String + Send + Sync + 'static {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(EndpointCollector {
        endpoint,
        connections,
    }));
    move || {
        let mut metrics = String::new();
        if let Err(error) = text::encode(&mut metrics, &registry) {
            error!(%error, "Metrics cannot be written");
        }
        metrics
    }
}

impl fmt::Debug for EndpointCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointCollector")
    }
}

impl Collector for EndpointCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let families = &mut Families(encoder);
        let endpoint = &self.endpoint;
        requests::write(families, endpoint)?;
        requests::write_subscriptions(families, &endpoint.counts)?;
        requests::write_durations(families, &endpoint.counts)?;
        net::write(families, &self.connections)?;
        trust::write(families, &endpoint.gate.load().verifier.certificates())?;
        journal::write(families, &endpoint.journal)?;
        process::write(families, endpoint)?;
        quarantine::write(families, &endpoint.quarantine)
    }
}
