//! What a connection is doing, seen from its stream, its requests and the accept loop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::net::limits::{FIRST_REQUEST_GRACE, HEAD_PATIENCE};

/// Shared by the parts of one connection; changed without a lock.
#[derive(Debug)]
pub(super) struct Activity {
    phase: AtomicU8,
    since_ms: AtomicU64,
    /// A request has come.
    is_used: AtomicBool,
    /// Its slot is wanted.
    gives_way: AtomicBool,
    /// Asks the connection to end after what it is doing.
    pub(super) close: CancellationToken,
}

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing of the next request has come.
    Idle = 0,
    /// Some of a head has come.
    Head = 1,
    /// A request is being answered.
    Busy = 2,
}

impl Activity {
    pub(super) fn new(close: CancellationToken) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Idle as u8),
            since_ms: AtomicU64::new(now_ms()),
            is_used: AtomicBool::new(false),
            gives_way: AtomicBool::new(false),
            close,
        }
    }

    /// Whether the connection ends if nothing more comes at once. At a stop a new one still has its
    /// [`FIRST_REQUEST_GRACE`]: its peer has every reason to think that it is served.
    pub(super) fn ends_while_idle(&self) -> bool {
        self.close.is_cancelled() && self.phase() == Phase::Idle && !self.is_waited_for()
    }

    /// A new connection that need not give way.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.gives_way.load(Ordering::Acquire)
            && !self.is_used.load(Ordering::Acquire)
            && self.since().elapsed() < FIRST_REQUEST_GRACE
    }

    /// Done when a connection that is not spoken on yet has to end.
    pub(super) async fn end_of_silence(&self) {
        self.close.cancelled().await;
        if !self.gives_way.load(Ordering::Acquire) {
            let since = self.since();
            sleep_until(since.checked_add(FIRST_REQUEST_GRACE).unwrap_or(since)).await;
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        instant(self.since_ms.load(Ordering::Acquire))
    }

    /// Bytes have come. In an idle connection they are the first of a head, but for line breaks, which may stand
    /// behind a body and mean nothing (RFC 9112, 2.2).
    pub(super) fn note_read(&self, bytes: &[u8]) {
        if self.phase() == Phase::Idle && !bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            self.enter(Phase::Head);
        }
    }

    /// A head is complete. Gives the time of the request's first byte.
    pub(super) fn begin_request(&self) -> Instant {
        let first_byte = match self.phase() {
            Phase::Head => self.since(),
            // Pipelined: its bytes came while the last request was being answered.
            Phase::Idle | Phase::Busy => Instant::now(),
        };
        self.is_used.store(true, Ordering::Release);
        self.enter(Phase::Busy);
        first_byte
    }

    /// The answer is made.
    pub(super) fn end_request(&self) {
        self.enter(Phase::Idle);
    }

    fn enter(&self, phase: Phase) {
        self.since_ms.store(now_ms(), Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }
}

/// All open connections, to find the one that has been idle for longest.
#[derive(Debug, Default)]
pub(super) struct Registry {
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, Arc<Activity>>,
}

/// Removes its connection from the registry when dropped.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Arc<Registry>,
    number: u64,
}

impl Registry {
    pub(super) fn add(self: &Arc<Self>, activity: Arc<Activity>) -> Registered {
        let mut connections = self.lock();
        let number = connections.next;
        connections.next = number.wrapping_add(1);
        connections.open.insert(number, activity);
        Registered { registry: self.clone(), number }
    }

    /// Asks the connection to end that has been idle for longest; where none is, the one that has been sending a
    /// head for longest and past [`HEAD_PATIENCE`]. `false` where all are busy.
    pub(super) fn close_longest_idle(&self) -> bool {
        let connections = self.lock();
        let open = || connections.open.values().filter(|activity| !activity.close.is_cancelled());
        let since = |activity: &&Arc<Activity>| activity.since_ms.load(Ordering::Acquire);
        let idle = open().filter(|activity| activity.phase() == Phase::Idle).min_by_key(since);
        let slow =
            |activity: &&Arc<Activity>| activity.phase() == Phase::Head && activity.since().elapsed() > HEAD_PATIENCE;
        match idle.or_else(|| open().filter(slow).min_by_key(since)) {
            Some(activity) => {
                activity.gives_way.store(true, Ordering::Release);
                activity.close.cancel();
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().open.remove(&self.number);
    }
}

/// The zero of [`Activity::since_ms`].
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now_ms() -> u64 {
    u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn instant(ms: u64) -> Instant {
    EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(*EPOCH)
}
