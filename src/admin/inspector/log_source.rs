//! Reads the log files for requests that are no longer in memory.

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

/// The most threads that read a row at the same time. A row may be as large as the largest body,
/// and a hung disk blocks its threads.
const LOOKUPS_MAX: usize = 2;
/// How long the first page waits for the position after the newest row. The page itself comes from
/// memory, so it must appear even if the disk hangs.
const NEWEST_TIMEOUT: Duration = Duration::from_millis(200);

/// The files that rows are read from.
pub struct LogSource {
    /// The endpoint log with its rotated files.
    pub chain: Chain,
    /// How far they may be read. What is not committed may be cut off again after a crash.
    pub horizon: Box<dyn Fn() -> Horizon + Send + Sync>,
    /// The directory of refused requests.
    pub quarantine: PathBuf,
}

/// The same, with a limit on concurrent readers.
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

    /// The row at a position, and the request from the quarantine. `None` if the row is deleted.
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

    /// The position after the newest row, unless the disk is too slow.
    pub(super) async fn newest(&self) -> Option<Position> {
        let found = self.look(newest);
        timeout(NEWEST_TIMEOUT, found).await.ok()?.ok()?
    }

    /// Runs on a thread that keeps its permit until it ends, even if the caller has stopped
    /// waiting.
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

/// Answers 500.
pub(super) fn cannot_read(error: &io::Error) -> ApiError {
    let text = format!("the log files cannot be read: {error}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "disk", text)
}
