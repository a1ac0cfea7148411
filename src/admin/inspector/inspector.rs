//! What the page shows of an endpoint: where every answer below `/api/` comes from.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::admin::inspector::about::About;
use crate::admin::inspector::hour::Hour;
use crate::admin::inspector::row::Rows;
use crate::admin::inspector::streams::Streams;
use crate::admin::ready::{Part, parts_json};
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
    /// Notifications that are being sent again.
    pub(super) replays: Semaphore,
    parts: Box<dyn Fn() -> Vec<Part> + Send + Sync>,
    /// Ends the streams.
    pub(super) stop: CancellationToken,
}

impl Inspector {
    /// An inspector of an endpoint, until `stop`.
    pub fn new(
        about: About,
        endpoint: Arc<Endpoint>,
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
        Arc::new(Self {
            about,
            endpoint,
            rows,
            hour: Hour::default(),
            streams: Streams::default(),
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
