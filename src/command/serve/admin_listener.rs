//! The admin listener of `serve`: bound with the other listeners, and stopped last.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admin::{About, Admin, Inspector, LogSource, Part, Sources};
use crate::command::health::asked;
use crate::command::serve::address::public_address;
use crate::command::serve::running::Running;
use crate::config::Config;
use crate::disk::{Disk as _, FileId, RealDisk};
use crate::forward::Vitals;
use crate::journal::{Chain, Format, Horizon, Journal, Log, Names, Space};
use crate::metrics;
use crate::net::{self, Counters, Frontend, Limits};
use crate::server::{Endpoint, RequestDetail};

/// The limits on its connections, which are few.
const LIMITS: Limits = Limits::of_connections(64);
/// The part of `/readyz` with the accepted owners and topics.
pub(crate) const SEEN: &str = "seen";
/// How long an answer in progress may take at the end.
const STOP_TIMEOUT: Duration = Duration::from_millis(200);

/// A running listener, if one is configured.
pub(crate) struct AdminListener(Option<(JoinHandle<()>, CancellationToken)>);

/// Binds the configured address.
pub(crate) fn bind(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(options) = &config.admin else {
        return Ok(None);
    };
    let listener = net::bind(options.listen).map_err(|error| {
        let address = options.listen;
        anyhow!(
            "cannot listen on {address}: {error}; choose another address for admin.listen, or \
            \"off\": another serve has its own, as in --set admin.listen=127.0.0.1:9081"
        )
    })?;
    Ok(Some(listener))
}

/// Starts to serve it.
pub(crate) fn start(
    listener: Option<TcpListener>,
    running: &Running,
    counters: &Arc<Counters>,
) -> AdminListener {
    let (Some(listener), Some(options)) = (listener, &running.started.admin) else {
        return AdminListener(None);
    };
    if let Ok(address) = listener.local_addr() {
        info!(%address, "Health, readiness and metrics are served");
    }
    let endpoint = running.endpoint.clone();
    let (alive, ready) = (endpoint.clone(), endpoint.clone());
    let tls = running.tls.clone();
    let low_water_bytes = running.started.journal.low_water_bytes;
    let stop = CancellationToken::new();
    let (shown, shown_tls) = (endpoint.clone(), tls.clone());
    let forwarders = running.forwarders.vitals().to_vec();
    let (asked, listed) = (forwarders.clone(), forwarders.clone());
    let inspector = Inspector::new(
        about(running),
        endpoint.clone(),
        log_source(running),
        running.zone.clone(),
        move || parts(&shown, low_water_bytes, shown_tls.as_deref(), &listed),
        forwarders.clone(),
        stop.clone(),
    );
    tokio::spawn(inspector.clone().watch());
    let sources = Sources {
        is_alive: Box::new(move || !alive.journal.health().is_stuck()),
        parts: Box::new(move || parts(&ready, low_water_bytes, tls.as_deref(), &asked)),
        metrics: Box::new(metrics::text_of(
            endpoint,
            counters.clone(),
            running.tls.clone(),
            inspector.clone(),
            forwarders,
        )),
        inspector,
    };
    let admin = Admin::new(options.access.clone(), sources);
    let serving = net::serve(
        vec![listener],
        admin,
        Frontend::plain(LIMITS),
        // Separate counts, because the metrics of connections are about pushes.
        Arc::default(),
        stop.clone(),
    );
    AdminListener(Some((tokio::spawn(serving), stop)))
}

/// The log files of this endpoint, as far as they are committed.
fn log_source(running: &Running) -> LogSource {
    let names = Names {
        dir: running.started.log_dir.clone(),
        port: running.address.port(),
    };
    let numbering = running.started.journal.numbering();
    let (endpoint, live) = (running.endpoint.clone(), names.live(Log::Endpoint));
    LogSource {
        quarantine: names.quarantine(),
        chain: Chain::new(Arc::new(RealDisk), names, numbering),
        horizon: Box::new(move || {
            let (endpoint, live) = (endpoint.clone(), live.clone());
            Horizon::Committed(Box::new(move |file| {
                committed(&endpoint.journal, &live, file)
            }))
        }),
    }
}

/// How much of a file is committed: all, unless it is the one that is written to.
///
/// The journal publishes the committed length of the live file. The file is identified before and
/// after the length is read, because after a rotation in between the length is another file's.
fn committed(journal: &Journal, live: &Path, file: FileId) -> u64 {
    let is_live = || RealDisk.identity(live).is_ok_and(|found| found == file);
    loop {
        // If the log was rotated in between, the length may be another file's: look again.
        let before = is_live();
        let bytes = journal.meters().endpoint_log_bytes.load(Ordering::Relaxed);
        match (before, is_live()) {
            (true, true) => return bytes,
            (false, false) => return u64::MAX,
            (true, false) | (false, true) => {}
        }
    }
}

/// The address of the page with its token, for those who may see the token.
pub(crate) fn page(listener: &TcpListener, config: &Config) -> Option<String> {
    let token = config.admin.as_ref()?.access.inspector_token.as_ref()?;
    let address = asked(listener.local_addr().ok()?);
    // In the fragment, which a browser never sends, so that no proxy sees the token.
    Some(format!("http://{address}/#token={token}"))
}

fn about(running: &Running) -> About {
    let Running {
        started,
        address,
        zone,
        zone_name,
        endpoint,
        ..
    } = running;
    let settings = &started.server;
    let now = Timestamp::try_from(endpoint.clock.now()).unwrap_or_default();
    About {
        started: now
            .to_zoned_datetime(zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string(),
        zone: zone_name.clone(),
        address: public_address(started, *address).0,
        port: address.port(),
        format: match settings.format {
            Format::Text => "text",
            Format::Json => "json",
        },
        request: match settings.request_detail {
            RequestDetail::Full => "full",
            RequestDetail::Headers => "headers",
            RequestDetail::Off => "off",
        },
        sync: started.journal.sync.to_string(),
        replay_to: started
            .admin
            .as_ref()
            .map_or_else(Vec::new, |admin| admin.replay_to.clone()),
    }
}

fn parts(
    endpoint: &Endpoint,
    low_water_bytes: u64,
    tls: Option<&net::Tls>,
    forwarders: &[Vitals],
) -> Vec<Part> {
    let (journal, draining) = (&endpoint.journal, endpoint.draining.is_cancelled());
    let health = journal.health();
    let part = |name: &'static str, is_ready, facts| Part {
        name: name.into(),
        is_ready,
        facts,
    };
    let disk = vec![
        ("free_bytes", json!(journal.free_bytes())),
        ("low_water_bytes", json!(low_water_bytes)),
    ];
    let since_sync = u64::try_from(journal.meters().since_sync().as_millis()).unwrap_or(u64::MAX);
    let commit_log_bytes = &journal.meters().commit_log.bytes;
    let commit_log_bytes = commit_log_bytes.load(Ordering::Relaxed);
    let sync = vec![
        ("mode", json!(journal.sync_mode().to_string())),
        ("last_ms_ago", json!(since_sync)),
        ("commit_log_bytes", json!(commit_log_bytes)),
    ];
    let mut parts = vec![
        part(
            "journal",
            Some(health.is_writable()),
            vec![("stuck", json!(health.is_stuck()))],
        ),
        part("disk", Some(health.space() == Space::Enough), disk),
        part("stop", Some(!draining), vec![("draining", json!(draining))]),
        // No sync runs longer than a request may take, so this age is sufficient.
        part("sync", Some(!health.is_stuck()), sync),
        // The addresses are only known after the first push, and a source that is down now may be
        // up for the next one.
        part("certificates", None, certificates(endpoint)),
        part(SEEN, None, seen(endpoint)),
    ];
    let end = tls
        .and_then(net::Tls::not_after)
        .and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
    parts.extend(end.map(|end| {
        part(
            "tls",
            None,
            vec![("not_after_seconds", json!(end.as_secs()))],
        )
    }));
    parts.extend(forwarders.iter().map(forward_part));
    parts
}

fn forward_part(vitals: &Vitals) -> Part {
    let Vitals { gate, meters, .. } = vitals;
    let load = |count: &AtomicU64| json!(count.load(Ordering::Relaxed));
    let is_connected = meters.is_connected.load(Ordering::Relaxed);
    Part {
        name: format!("forward.{}", vitals.name()).into(),
        is_ready: Some(vitals.is_ready()),
        facts: vec![
            ("connected", json!(is_connected)),
            ("ended", json!(gate.has_ended())),
            ("backlog_bytes", load(&meters.backlog_bytes)),
            ("backlog_seconds", load(&meters.backlog_seconds)),
        ],
    }
}

/// The accepted owners and topics. The names are those of the configuration keys.
fn seen(endpoint: &Endpoint) -> Vec<(&'static str, Value)> {
    let mut topics: Vec<String> = endpoint
        .counts
        .subscriptions()
        .into_iter()
        .map(|count| count.topic)
        .collect();
    // They are sorted, so equal names are adjacent.
    topics.dedup();
    vec![
        ("topic_owners", json!(endpoint.counts.owners())),
        ("topics", json!(topics)),
    ]
}

fn certificates(endpoint: &Endpoint) -> Vec<(&'static str, Value)> {
    let counts = endpoint.gate.load().verifier.certificates();
    vec![
        ("held", json!(counts.held)),
        ("missing", json!(counts.missing)),
        ("fetches", json!(counts.fetches)),
        ("failed", json!(counts.failures)),
    ]
}

impl AdminListener {
    /// Stops it.
    pub(crate) async fn stop(self) {
        if let Some((serving, stop)) = self.0 {
            stop.cancel();
            // Does not wait for a slow reader.
            drop(timeout(STOP_TIMEOUT, serving).await);
        }
    }
}
