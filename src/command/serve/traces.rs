//! The traces of `serve`: the thread that sends them, if they are enabled.

use crate::config::Config;
use crate::server::Endpoint;
use crate::traces::Exporter;

/// Starts the thread, and lets the endpoint record traces.
pub(super) fn start(config: &Config, endpoint: &mut Endpoint) -> anyhow::Result<Option<Exporter>> {
    let Some(options) = config.traces.clone() else {
        return Ok(None);
    };
    let (traces, exporter) = Exporter::start(options)?;
    endpoint.traces = traces;
    Ok(Some(exporter))
}

/// Sends what is queued, within a time limit, and ends the thread.
pub(super) async fn stop(exporter: Option<Exporter>) {
    if let Some(exporter) = exporter {
        exporter.stop().await;
    }
}
