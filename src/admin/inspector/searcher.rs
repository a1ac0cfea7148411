//! Searches of the log files, one at a time, each for a short while on a thread of its own that
//! gives way to pushes.
//!
//! Measured on two cores at 3,000 pushes a second: a search at full speed takes 25 to 60 % of them,
//! one at nice 19 that pauses for 3 ms after each MiB less than 1 %.

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

/// How long one request searches. Then it returns what it has found, and the caller asks on.
const TIME: Duration = Duration::from_secs(2);
/// How much one request reads, in bytes.
const BYTES: u64 = 256 * 1024 * 1024;
/// How long another search is waited for.
const WAIT: Duration = Duration::from_secs(1);
/// How long it pauses after each block while pushes come.
const PAUSE: Duration = Duration::from_millis(3);
/// Pushes come if one did so lately.
const LATELY: Duration = Duration::from_secs(1);
/// The lowest priority there is.
const NICE: i32 = 19;

/// What is searched for.
pub(super) struct Wanted<T> {
    pub(super) chain: Chain,
    pub(super) horizon: Horizon,
    pub(super) filter: Filter,
    pub(super) start: SearchStart,
    /// How many.
    pub(super) items: usize,
    /// What becomes of a row that the filter has found; `None` if it is not wanted.
    pub(super) item: Box<dyn FnMut(Row) -> Option<T> + Send>,
}

/// What was found.
pub(super) struct Found<T> {
    /// The newest first.
    pub(super) items: Vec<T>,
    /// Where the next search begins; `None` if everything was searched.
    pub(super) next: Option<Position>,
    pub(super) progress: Progress,
}

/// Searches, one at a time.
pub(super) struct Searcher {
    one: Arc<Semaphore>,
    time: Duration,
    bytes: u64,
    wait: Duration,
    /// How many pushes were accepted so far.
    accepted: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// How long each of them took.
    pub(super) seconds: DurationHistogram,
}

impl Searcher {
    /// One that gives way while `accepted` rises.
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

    /// Searches until so many are found, all is searched or the time is up. Ends soon if the future
    /// is dropped. `None` if the place to begin at is gone.
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
            // A search that cannot give way so far has its pauses all the same.
            setpriority_process(Some(gettid()), NICE).ok();
            let found = wanted.run(time, bytes, || {
                pace.give_way();
                cancelled.is_cancelled()
            });
            // Before the answer: whoever has it may search on at once.
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

/// Gives way to pushes.
struct Pace {
    accepted: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// How many there were at the last look. At first it is not known whether any came just before.
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

    /// Returns whether it paused.
    fn give_way(&mut self) -> bool {
        let accepted = Some((self.accepted)());
        let has_risen = accepted != self.known;
        if has_risen {
            (self.known, self.risen) = (accepted, Instant::now());
        }
        let is_busy = has_risen || self.risen.elapsed() < LATELY;
        if is_busy {
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

    /// Files with every kind of record.
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
        // It may have no time for a block, and then begins again where it was.
        let found = by_time.search(wanted(&chain, SearchStart::Newest)).await;
        assert!(found.unwrap().unwrap().next.is_some());
    }

    #[tokio::test]
    async fn one_search_at_a_time_and_the_next_one_is_told_to_wait() {
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
