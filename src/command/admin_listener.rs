//! The admin listener of `serve`: bound with the others, and the last to end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admin::{self, Part, Sources};
use crate::command::running::Running;
use crate::config::Config;
use crate::metrics;
use crate::net::{self, Counters, Front, Limits};
use crate::server::Endpoint;

/// The bounds on callers: they are few.
const LIMITS: Limits = Limits::of_connections(64);
/// The part of `/readyz` that tells what came so far.
pub(super) const SEEN: &str = "seen";
/// How long an answer that is being made may take at the end.
const STOP_TIMEOUT: Duration = Duration::from_millis(200);

/// A listener that is served, or none.
pub(super) struct AdminListener(Option<(JoinHandle<()>, CancellationToken)>);

/// Binds the address, where there is one.
pub(super) fn bind(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(options) = &config.admin else { return Ok(None) };
    let listener = net::bind(options.listen).map_err(|error| {
        let address = options.listen;
        anyhow!("cannot listen on {address}: {error}; choose another address for admin.listen, or \"off\"")
    })?;
    Ok(Some(listener))
}

/// Serves it.
pub(super) fn start(listener: Option<TcpListener>, running: &Running, counters: &Arc<Counters>) -> AdminListener {
    let (Some(listener), Some(options)) = (listener, &running.started.admin) else { return AdminListener(None) };
    if let Ok(address) = listener.local_addr() {
        info!(%address, "Health, readiness and metrics are served");
    }
    let endpoint = running.endpoint.clone();
    let (alive, ready) = (endpoint.clone(), endpoint.clone());
    let tls = running.tls.clone();
    let sources = Sources {
        is_alive: Box::new(move || !alive.journal.is_stuck()),
        parts: Box::new(move || parts(&ready, tls.as_deref())),
        metrics: Box::new(metrics::text_of(endpoint, counters.clone())),
    };
    let stop = CancellationToken::new();
    let router = admin::router(options.access.clone(), sources);
    let serving = net::serve(vec![listener], router, Front::plain(LIMITS), Arc::default(), stop.clone());
    AdminListener(Some((tokio::spawn(serving), stop)))
}

fn parts(endpoint: &Endpoint, tls: Option<&net::Tls>) -> Vec<Part> {
    let part = |name, is_ready, well: &str, not: &str| Part {
        name,
        is_ready: Some(is_ready),
        state: if is_ready { well.to_owned() } else { not.to_owned() },
    };
    let mut parts = vec![
        part("journal", endpoint.journal.is_writable(), "writable", "a write or a sync has failed or hangs"),
        part(
            "disk",
            !endpoint.journal.is_low(),
            "above logs.low_water",
            "too little space is free: see logs.low_water",
        ),
        part("stop", !endpoint.draining.is_cancelled(), "serving", "draining"),
    ];
    let end = tls.and_then(net::Tls::not_after).map(|end| humantime::format_rfc3339_seconds(end).to_string());
    // Recent enough: none is under way for longer than a request has.
    parts.push(Part { name: "sync", is_ready: Some(!endpoint.journal.is_stuck()), state: sync(endpoint) });
    // Their addresses are known from the first push on only, and a source that is down may be up for the next.
    parts.push(Part { name: "certificates", is_ready: None, state: certificates(endpoint) });
    parts.push(Part { name: SEEN, is_ready: None, state: seen(endpoint) });
    parts.extend(end.map(|end| Part { name: "tls", is_ready: None, state: format!("the certificate ends {end}") }));
    parts
}

/// When the logs are synced, and when they were. With nothing to sync there is none, however long that lasts.
fn sync(endpoint: &Endpoint) -> String {
    let ago =
        Duration::from_millis(u64::try_from(endpoint.journal.meters().since_sync().as_millis()).unwrap_or(u64::MAX));
    format!("{}, last {} ago", endpoint.journal.sync_mode(), humantime::format_duration(ago))
}

/// What came so far, as it would stand in the configuration.
fn seen(endpoint: &Endpoint) -> String {
    let mut topics: Vec<String> = endpoint.counts.subscriptions().into_iter().map(|count| count.topic).collect();
    topics.dedup();
    format!("topic_owners = {:?}, topics = {topics:?}", endpoint.counts.owners())
}

fn certificates(endpoint: &Endpoint) -> String {
    let counts = endpoint.gate.load().verifier.certificates();
    let (held, missing, fetches, failures) = (counts.held, counts.missing, counts.fetches, counts.failures);
    format!("held: {held}, missing: {missing}, fetches: {fetches}, failed: {failures}")
}

impl AdminListener {
    /// Ends it.
    pub(super) async fn stop(self) {
        if let Some((serving, stop)) = self.0 {
            stop.cancel();
            // A caller that reads slowly is not waited for.
            drop(timeout(STOP_TIMEOUT, serving).await);
        }
    }
}
