//! The log files that are searched and read for what is not in memory any more.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::admin::inspector::captured::Captured;
use crate::admin::inspector::logged::Logged;
use crate::admin::respond::ApiError;
use crate::journal::{Chain, Horizon, Lookup, Position, look_up, newest};

/// Threads that look something up at the same time. A row may be as large as the largest body, and
/// a disk may hang.
const LOOKUPS_MAX: usize = 2;
/// How long the first page waits for the place behind the newest row. It comes from memory, and is
/// there if the disk hangs.
const NEWEST_TIMEOUT: Duration = Duration::from_millis(200);

/// Where rows are read from.
pub struct LogSource {
    /// The endpoint log with its rotated files.
    pub chain: Chain,
    /// How far they may be read: what is not committed may be taken back.
    pub horizon: Box<dyn Fn() -> Horizon + Send + Sync>,
    /// The directory of refused requests.
    pub quarantine: PathBuf,
}

/// The same, with a bound on readers.
pub(super) struct Lookups {
    pub(super) source: LogSource,
    permits: Arc<Semaphore>,
}

impl Lookups {
    pub(super) fn new(source: LogSource) -> Self {
        Self {
            source,
            permits: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }

    /// The row at a place, with the request as it was kept in quarantine; `None` if it is gone.
    pub(super) async fn find(
        &self,
        position: Position,
    ) -> Result<Option<(Logged, Option<Captured>)>, ApiError> {
        let quarantine = self.source.quarantine.clone();
        let found = self.look(move |chain, horizon| {
            let Lookup::Found(row) = look_up(chain, horizon, &position)? else {
                return Ok(None);
            };
            let Some(logged) = Logged::of(*row) else {
                return Ok(None);
            };
            let captured = Captured::of(&logged, &quarantine);
            Ok(Some((logged, captured)))
        });
        found.await.map_err(|error| cannot_read(&error))
    }

    /// The place behind the newest row, if the disk says so in time.
    pub(super) async fn newest(&self) -> Option<Position> {
        let found = self.look(newest);
        timeout(NEWEST_TIMEOUT, found).await.ok()?.ok()?
    }

    /// The thread keeps its permit, whoever waits for it.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Chain, &Horizon) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(io::Error::other)?;
        let (chain, horizon) = (self.source.chain.clone(), (self.source.horizon)());
        let found = spawn_blocking(move || {
            let _permit = permit;
            look(&chain, &horizon)
        });
        found.await.map_err(io::Error::other)?
    }
}

/// 500.
pub(super) fn cannot_read(error: &io::Error) -> ApiError {
    let text = format!("the log files cannot be read: {error}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "disk", text)
}
