//! Collects all metrics of an endpoint on request.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use tracing::error;

use crate::admin::Inspector;
use crate::clock::{Clock as _, SystemClock};
use crate::forward::Vitals;
use crate::metrics::families::Families;
use crate::metrics::{
    forward, inspector, journal, net, process, quarantine, requests, traces, trust,
};
use crate::net::{Counters, Tls};
use crate::server::Endpoint;

/// The prefix of every name.
const PREFIX: &str = "mns_endpoint";

/// Reads the counters where they are updated. They are loaded on request, so that counting a push
/// costs no more than an atomic addition.
struct EndpointCollector {
    endpoint: Arc<Endpoint>,
    connections: Arc<Counters>,
    tls: Option<Arc<Tls>>,
    inspector: Arc<Inspector>,
    forwarders: Vec<Vitals>,
}

/// The standard metrics of a process, under names without our prefix.
#[derive(Debug)]
struct ProcessCollector {
    started: SystemTime,
}

/// A function that returns all metrics as `OpenMetrics` text.
pub(crate) fn text_of(
    endpoint: Arc<Endpoint>,
    connections: Arc<Counters>,
    tls: Option<Arc<Tls>>,
    inspector: Arc<Inspector>,
    forwarders: Vec<Vitals>,
) -> impl Fn() -> String + Send + Sync + 'static {
    let mut registry = Registry::default();
    let started = SystemClock.now();
    registry.register_collector(Box::new(ProcessCollector { started }));
    let ours = registry.sub_registry_with_prefix(PREFIX);
    ours.register_collector(Box::new(EndpointCollector {
        endpoint,
        connections,
        tls,
        inspector,
        forwarders,
    }));
    move || {
        let mut metrics = String::new();
        // The text then lacks its final `# EOF`, so a scraper rejects it instead of storing a part.
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
        net::write(families, &self.connections, self.tls.as_deref())?;
        // Loaded on each scrape, because a reload may replace the gate and its certificates.
        trust::write(families, &endpoint.gate.load().verifier.certificates())?;
        journal::write(families, &endpoint.journal)?;
        quarantine::write(families, &endpoint.quarantine)?;
        forward::write(families, &self.forwarders)?;
        traces::write(families, &endpoint.traces)?;
        inspector::write(families, &self.inspector)?;
        families.gauge(
            "draining",
            "Whether serve is stopping",
            u64::from(endpoint.draining.is_cancelled()),
        )?;
        families.gauges(
            "build_info",
            "The version that runs; the value is always 1",
            [([("version", env!("CARGO_PKG_VERSION"))], 1)],
        )
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        process::write(&mut Families(encoder), self.started)
    }
}
