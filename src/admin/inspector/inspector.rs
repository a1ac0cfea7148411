//! What the page shows of an endpoint: where every answer below `/api/` comes from.

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
use crate::meter::DurationHistogram;
use crate::server::Endpoint;

/// How often the counts are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Notifications that may be sent again at the same time.
const REPLAYS_MAX: usize = 2;

/// Where the answers below `/api/` come from.
pub struct Inspector {
    /// What the endpoint is.
    pub(super) about: About,
    /// The endpoint that is shown.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) rows: Rows,
    pub(super) hour: Hour,
    pub(super) streams: Streams,
    /// Rows that streams did not list.
    pub(super) skipped: AtomicU64,
    pub(super) lookups: Lookups,
    pub(super) searcher: Searcher,
    pub(super) walks: Walks,
    /// Notifications that are being sent again.
    pub(super) replays: Semaphore,
    parts: Box<dyn Fn() -> Vec<Part> + Send + Sync>,
    /// Ends the streams.
    pub(super) stop: CancellationToken,
}

impl Inspector {
    /// An inspector of an endpoint and its log files, until `stop`.
    pub fn new(
        about: About,
        endpoint: Arc<Endpoint>,
        source: LogSource,
        zone: TimeZone,
        parts: impl Fn() -> Vec<Part> + Send + Sync + 'static,
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
            stop,
        })
    }

    /// Looks at the counts once a second, until the stop.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.hour.tick(&self.endpoint.counts),
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// How many streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.open()
    }

    /// Rows that streams did not list, because more came than a page can show.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// How long each search of the log files took, a part of a longer one as well.
    #[must_use]
    pub fn search_time(&self) -> &DurationHistogram {
        &self.searcher.seconds
    }

    /// What is true at this moment.
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
