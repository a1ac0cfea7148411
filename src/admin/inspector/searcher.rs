//! Searches the log files, one search at a time, each for a short time on a separate thread that
//! yields to pushes.
//!
//! Measured on two cores at 3,000 pushes a second: a search at full speed costs 25 to 60 % of them;
//! one at nice 19 that pauses for 3 ms after each MiB costs less than 1 %.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use http::StatusCode;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admin::inspector::log_source::cannot_read;
use crate::admin::respond::ApiError;
use crate::journal::{
    Budget, Chain, Filter, Horizon, Position, Progress, Row, Search, SearchStart,
};
use crate::meter::DurationHistogram;

/// How long one request searches. It then returns what it has found, and the caller continues.
const TIME: Duration = Duration::from_secs(2);
/// How many bytes one request reads at most.
const BYTES: u64 = 256 * 1024 * 1024;
/// How long to wait for another search to end.
const WAIT: Duration = Duration::from_secs(1);
/// The pause after each block while pushes arrive.
const PAUSE: Duration = Duration::from_millis(3);
/// Pushes are arriving if one was accepted within this time.
const LATELY: Duration = Duration::from_secs(1);
/// The lowest priority that Linux has.
const NICE: i32 = 19;

/// A search.
pub(super) struct Wanted<T> {
    pub(super) chain: Chain,
    pub(super) horizon: Horizon,
    pub(super) filter: Filter,
    pub(super) start: SearchStart,
    /// The most items to find.
    pub(super) items: usize,
    /// Converts a row that the filter has found. `None` drops it.
    pub(super) item: Box<dyn FnMut(Row) -> Option<T> + Send>,
}

/// The result of a search.
pub(super) struct Found<T> {
    /// The items, newest first.
    pub(super) items: Vec<T>,
    /// The position at which the next search starts. `None` if everything was searched.
    pub(super) next: Option<Position>,
    pub(super) progress: Progress,
}

/// Runs one search at a time.
pub(super) struct Searcher {
    one: Arc<Semaphore>,
    time: Duration,
    bytes: u64,
    wait: Duration,
    /// The number of pushes accepted so far.
    accepted: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// How long each search took.
    pub(super) seconds: DurationHistogram,
}

impl Searcher {
    /// Creates one that yields while `accepted` rises.
    pub(super) fn new(accepted: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            one: Arc::new(Semaphore::new(1)),
            time: TIME,
            bytes: BYTES,
            wait: WAIT,
            accepted: Arc::new(accepted),
            seconds: DurationHistogram::default(),
        }
    }

    /// Searches until enough items are found, everything is searched or the time is up. Stops soon
    /// if the future is dropped. Returns `None` if the starting position is deleted.
    pub(super) async fn search<T: Send + 'static>(
        &self,
        wanted: Wanted<T>,
    ) -> Result<Option<Found<T>>, ApiError> {
        let Ok(Ok(permit)) = timeout(self.wait, self.one.clone().acquire_owned()).await else {
            let text = "another search is under way";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(ApiError::new(status, "busy", text));
        };
        let begun = Instant::now();
        let cancelled = CancellationToken::new();
        let _cancels = cancelled.clone().drop_guard();
        let (sender, found) = oneshot::channel();
        let mut pace = Pace::new(self.accepted.clone());
        let (time, bytes) = (self.time, self.bytes);
        let thread = thread::Builder::new().name("search".to_owned());
        let spawned = thread.spawn(move || {
            // If the priority cannot be lowered, the pauses still limit the search.
            setpriority_process(Some(gettid()), NICE).ok();
            let found = wanted.run(time, bytes, || {
                pace.give_way();
                cancelled.is_cancelled()
            });
            // Released before the answer, because the caller may continue the search at once.
            drop(permit);
            sender.send(found).ok();
        });
        spawned.map_err(|error| cannot_read(&error))?;
        let found = found.await;
        self.seconds.observe(begun.elapsed());
        found
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
            .map_err(|error| cannot_read(&error))
    }
}

impl<T> Wanted<T> {
    fn run(
        mut self,
        time: Duration,
        bytes: u64,
        mut is_cancelled: impl FnMut() -> bool,
    ) -> io::Result<Option<Found<T>>> {
        let search = Search::new(self.chain, self.horizon, self.filter, self.start)?;
        let Some(mut search) = search else {
            return Ok(None);
        };
        let begun = Instant::now();
        let mut items = Vec::new();
        let mut is_over = false;
        loop {
            let budget = Budget {
                rows: self.items.saturating_sub(items.len()),
                bytes: bytes.saturating_sub(search.bytes_read()),
                time: time.saturating_sub(begun.elapsed()),
                uncaches: true,
            };
            let page = search.page(&budget, |_| {
                is_over = is_cancelled();
                is_over
            })?;
            items.extend(page.rows.into_iter().filter_map(&mut self.item));
            let is_enough = items.len() >= self.items
                || search.bytes_read() >= bytes
                || begun.elapsed() >= time;
            if page.next.is_none() || is_enough || is_over {
                return Ok(Some(Found {
                    items,
                    next: page.next,
                    progress: search.progress(),
                }));
            }
        }
    }
}

/// Yields to pushes.
struct Pace {
    accepted: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The number at the last look. `None` at first: whether pushes have just arrived is unknown.
    known: Option<u64>,
    risen: Instant,
}

impl Pace {
    fn new(accepted: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self {
            accepted,
            known: None,
            risen: Instant::now(),
        }
    }

    /// Pauses if pushes are arriving. Returns whether it paused.
    fn give_way(&mut self) -> bool {
        let accepted = Some((self.accepted)());
        let has_risen = accepted != self.known;
        if has_risen {
            (self.known, self.risen) = (accepted, Instant::now());
        }
        let is_busy = has_risen || self.risen.elapsed() < LATELY;
        if is_busy {
            // It may return early, which only shortens one pause.
            thread::park_timeout(PAUSE);
        }
        is_busy
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::disk::RealDisk;
    use crate::journal::{Log, Names, Numbering};

    use super::*;

    /// Creates log files with every kind of record.
    fn files(count: usize) -> (tempfile::TempDir, Chain) {
        let dir = tempfile::tempdir().unwrap();
        let names = Names {
            dir: dir.path().to_owned(),
            port: 80,
        };
        let log = include_bytes!("../../../tests/golden/endpoint_log.txt");
        for number in 1..count {
            let number = u64::try_from(number).unwrap();
            std::fs::write(names.rotated(Log::Endpoint, number), log).unwrap();
        }
        std::fs::write(names.live(Log::Endpoint), log).unwrap();
        let chain = Chain::new(Arc::new(RealDisk), names, Numbering::Ascending);
        (dir, chain)
    }

    fn wanted(chain: &Chain, start: SearchStart) -> Wanted<Row> {
        Wanted {
            chain: chain.clone(),
            horizon: Horizon::FileEnd,
            filter: Filter {
                all: true,
                ..Filter::default()
            },
            start,
            items: usize::MAX,
            item: Box::new(Some),
        }
    }

    #[tokio::test]
    async fn a_search_returns_when_its_budget_is_used_up_and_is_asked_on() {
        let (_dir, chain) = files(4);
        let whole = Searcher::new(|| 0);
        let all = whole.search(wanted(&chain, SearchStart::Newest)).await;
        let all = all.unwrap().unwrap();
        assert!(all.next.is_none() && all.items.len() > 60);
        let by_bytes = Searcher {
            bytes: 1,
            ..Searcher::new(|| 0)
        };
        let by_time = Searcher {
            time: Duration::from_nanos(1),
            ..Searcher::new(|| 0)
        };
        let (mut start, mut rows, mut asked) = (SearchStart::Newest, Vec::new(), 0);
        loop {
            let found = by_bytes.search(wanted(&chain, start)).await;
            let found = found.unwrap().unwrap();
            asked += 1;
            rows.extend(found.items);
            let Some(next) = found.next else { break };
            start = SearchStart::Before(next);
        }
        assert!(asked >= 4, "a block each: {asked}");
        assert_eq!(rows, all.items);
        let (_, seconds) = by_bytes.seconds.counted().buckets[11];
        assert_eq!(seconds, 0);
        // It may have no time for a single block. It then continues at the same position.
        let found = by_time.search(wanted(&chain, SearchStart::Newest)).await;
        assert!(found.unwrap().unwrap().next.is_some());
    }

    #[tokio::test]
    async fn one_search_runs_at_a_time_and_the_next_one_is_refused() {
        let (_dir, chain) = files(1);
        let searcher = Searcher {
            wait: Duration::from_millis(1),
            ..Searcher::new(|| 0)
        };
        let under_way = searcher.one.clone().acquire_owned().await.unwrap();
        let busy = searcher.search(wanted(&chain, SearchStart::Newest)).await;
        let busy = busy.err().unwrap();
        assert_eq!((busy.status.as_u16(), busy.key), (503, "busy"));
        drop(under_way);
        let found = searcher.search(wanted(&chain, SearchStart::Newest)).await;
        assert!(found.unwrap().is_some());
        assert_eq!(searcher.one.available_permits(), 1);
    }

    #[test]
    fn a_search_that_nobody_waits_for_ends_before_the_next_block() {
        let (_dir, chain) = files(3);
        let mut blocks = 0;
        let wanted = wanted(&chain, SearchStart::Newest);
        let found = wanted.run(TIME, BYTES, || {
            blocks += 1;
            blocks > 1
        });
        let found = found.unwrap().unwrap();
        assert_eq!(blocks, 2);
        assert!(!found.items.is_empty() && found.next.is_some());
    }

    #[test]
    fn a_search_pauses_while_pushes_come_and_for_a_second_behind_them() {
        let accepted = Arc::new(AtomicU64::new(0));
        let counted = accepted.clone();
        let mut pace = Pace::new(Arc::new(move || counted.load(Ordering::Relaxed)));
        assert!(pace.give_way());
        let long_ago = Instant::now().checked_sub(LATELY).unwrap();
        pace.risen = long_ago;
        assert!(!pace.give_way());
        accepted.fetch_add(1, Ordering::Relaxed);
        assert!(pace.give_way());
    }
}
