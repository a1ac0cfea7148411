//! The queue of traces, which is bounded and never blocks a push.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::traces::TraceContext;
use crate::traces::trace::{Answered, Trace};

/// The most traces in the queue. Further ones are dropped and counted.
pub(super) const WAITING_MAX: usize = 2048;

/// The sender's half of the queue of traces. Records nothing if tracing is off.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    /// `None` if tracing is off.
    shared: Option<Arc<Shared>>,
}

/// The state shared by pushes and the exporter.
#[derive(Debug)]
pub(super) struct Shared {
    sample: f64,
    waiting: Mutex<Vec<Finished>>,
    pub(super) is_closing: AtomicBool,
    pub(super) sent: AtomicU64,
    /// Traces dropped because the queue was full.
    overflowed: AtomicU64,
    /// Traces dropped because the collector did not accept them.
    pub(super) not_taken: AtomicU64,
}

/// An answered push and its trace.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) trace: Arc<Trace>,
    pub(super) answered: Answered,
}

impl Traces {
    /// Creates one that records nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    pub(super) fn to(shared: Arc<Shared>) -> Self {
        Self {
            shared: Some(shared),
        }
    }

    /// Starts the trace of a request if it may be recorded: because `telemetry.sample` selects it,
    /// or because the request names a trace, which counts once the request is verified.
    #[must_use]
    pub fn begin(&self, headers: &HeaderMap) -> Option<Arc<Trace>> {
        let shared = self.shared.as_ref()?;
        let claimed = TraceContext::of(headers);
        // `random` is below 1.0, so the first condition only saves the random number.
        let is_sampled = shared.sample >= 1.0 || rand::random::<f64>() < shared.sample;
        (is_sampled || claimed.is_some()).then(|| Arc::new(Trace::new(is_sampled, claimed)))
    }

    /// Queues the trace of a push whose answer is decided, or drops it if the queue is full.
    pub fn finish(&self, trace: Arc<Trace>, answered: Answered) {
        let Some(shared) = self.shared.as_ref().filter(|_| trace.is_recorded()) else {
            return;
        };
        let mut waiting = shared.waiting();
        if waiting.len() < WAITING_MAX {
            waiting.push(Finished { trace, answered });
        } else {
            shared.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many traces the collector accepted.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.count(|shared| &shared.sent)
    }

    /// How many traces were dropped because the queue was full.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.count(|shared| &shared.overflowed)
    }

    /// How many traces were dropped because the collector did not accept them.
    #[must_use]
    pub fn not_taken(&self) -> u64 {
        self.count(|shared| &shared.not_taken)
    }

    fn count(&self, of: impl Fn(&Shared) -> &AtomicU64) -> u64 {
        self.shared
            .as_ref()
            .map_or(0, |shared| of(shared).load(Ordering::Relaxed))
    }
}

impl Shared {
    pub(super) fn new(sample: f64) -> Self {
        Self {
            sample,
            // Allocated in full at the start, so that no push reallocates it.
            waiting: Mutex::new(Vec::with_capacity(WAITING_MAX)),
            is_closing: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            not_taken: AtomicU64::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Takes all queued traces.
    pub(super) fn take(&self) -> Vec<Finished> {
        // Allocated before the lock is taken, so that a push waits for a swap of pointers at most.
        let empty = Vec::with_capacity(WAITING_MAX);
        std::mem::replace(&mut *self.waiting(), empty)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Finished>> {
        // Every change under this lock is a single `push` or swap, so a panic leaves no half of
        // one.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::HeaderValue;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::traces::context::TRACEPARENT;

    fn traces(sample: f64) -> (Traces, Arc<Shared>) {
        let shared = Arc::new(Shared::new(sample));
        (Traces::to(shared.clone()), shared)
    }

    #[test]
    fn more_than_the_queue_holds_are_dropped_and_counted() {
        let (traces, shared) = traces(1.0);
        for _ in 0..WAITING_MAX + 3 {
            let trace = traces.begin(&HeaderMap::new()).unwrap();
            let answered = Answered {
                first_byte: SystemClock.instant(),
                end: SystemClock.instant(),
                now: SystemTime::UNIX_EPOCH,
                status: 201,
                reason: None,
            };
            traces.finish(trace, answered);
        }
        assert_eq!((shared.len(), traces.overflowed()), (WAITING_MAX, 3));
        assert_eq!((shared.take().len(), shared.len()), (WAITING_MAX, 0));
    }

    #[test]
    fn a_verified_sender_decides_and_else_the_share_that_is_sampled() {
        let with = |flags: &str| {
            let value = format!("00-{:032x}-{:016x}-{flags}", 7, 9);
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::try_from(value).unwrap());
            headers
        };
        let (none, _) = traces(0.0);
        let (all, _) = traces(1.0);
        for (traces, is_sampled) in [(&none, false), (&all, true)] {
            for flag in ["00", "01"] {
                let trace = traces.begin(&with(flag)).unwrap();
                // The request is not verified yet.
                assert_eq!(trace.is_recorded(), is_sampled, "{flag}");
                assert!(trace.parent().is_none() && trace.trace_id() != 7);
                trace.trust_parent();
                assert_eq!(trace.is_recorded(), flag == "01");
                assert_eq!((trace.trace_id(), trace.parent().unwrap().span_id), (7, 9));
            }
        }
        assert!(none.begin(&HeaderMap::new()).is_none());
        let own = all.begin(&HeaderMap::new()).unwrap();
        own.trust_parent();
        assert!(own.parent().is_none() && own.is_recorded());
        assert!(Traces::off().begin(&with("01")).is_none());
        let (half, _) = traces(0.5);
        let begun = (0..1000).filter(|_| half.begin(&HeaderMap::new()).is_some());
        // The standard deviation is 16, so chance alone does not leave this range.
        assert!((300..700).contains(&begun.count()));
    }
}
