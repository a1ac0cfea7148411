//! The data that the page shows of an endpoint: the state behind `/api/`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::admin::inspector::about::About;
use crate::admin::inspector::hour::Hour;
use crate::admin::inspector::log_source::{LogSource, Lookups};
use crate::admin::inspector::row::Rows;
use crate::admin::inspector::searcher::Searcher;
use crate::admin::inspector::streams::Streams;
use crate::admin::inspector::walks::Walks;
use crate::admin::ready::{Part, parts_json};
use crate::forward::Vitals;
use crate::meter::DurationHistogram;
use crate::server::Endpoint;

/// How often the counters are sampled.
const TICK: Duration = Duration::from_secs(1);

/// The most replays at the same time.
const REPLAYS_MAX: usize = 2;

/// The state behind `/api/`.
pub struct Inspector {
    /// The facts that do not change.
    pub(super) about: About,
    /// The endpoint to show.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) rows: Rows,
    pub(super) hour: Hour,
    pub(super) streams: Streams,
    /// Rows that streams skipped.
    pub(super) skipped: AtomicU64,
    pub(super) lookups: Lookups,
    pub(super) searcher: Searcher,
    pub(super) walks: Walks,
    /// Limits concurrent replays.
    pub(super) replays: Semaphore,
    parts: Box<dyn Fn() -> Vec<Part> + Send + Sync>,
    /// The destinations of accepted notifications.
    pub(super) destinations: Vec<Vitals>,
    /// Ends the streams.
    pub(super) stop: CancellationToken,
}

impl Inspector {
    /// Creates the inspector of an endpoint and its log files. Its streams end at `stop`.
    pub fn new(
        about: About,
        endpoint: Arc<Endpoint>,
        source: LogSource,
        zone: TimeZone,
        parts: impl Fn() -> Vec<Part> + Send + Sync + 'static,
        destinations: Vec<Vitals>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let since_1970 = endpoint.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        let rows = Rows {
            zone,
            start: since_1970.unwrap_or_default().as_secs(),
            paths: endpoint.settings.paths.clone(),
        };
        let counted = endpoint.clone();
        let accepted = move || counted.counts.accepted.load(Ordering::Relaxed);
        Arc::new(Self {
            about,
            endpoint,
            rows,
            hour: Hour::default(),
            streams: Streams::default(),
            skipped: AtomicU64::new(0),
            lookups: Lookups::new(source),
            searcher: Searcher::new(accepted),
            walks: Walks::default(),
            replays: Semaphore::new(REPLAYS_MAX),
            parts: Box::new(parts),
            destinations,
            stop,
        })
    }

    /// Samples the counters once a second, until `stop`.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        // Late ticks in a burst would look like seconds without any request.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.hour.tick(&self.endpoint.counts),
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// The number of open streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.open()
    }

    /// The rows that streams skipped, because more arrived than a page can show.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// How long each search of the log files took. A long search is several requests, each counted.
    #[must_use]
    pub fn search_time(&self) -> &DurationHistogram {
        &self.searcher.seconds
    }

    /// The current state.
    pub(super) fn state_json(&self) -> serde_json::Value {
        let parts = (self.parts)();
        serde_json::json!({
            "rate": self.hour.rate(),
            "ready": parts.iter().all(|part| part.is_ready != Some(false)),
            "parts": parts_json(&parts),
            "left_out": self.endpoint.recent.left_out(),
        })
    }
}
