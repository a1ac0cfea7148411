//! The activity of one connection: its stream and its requests change it, the slots read it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::net::activity::epoch::{TICK, instant, millis, now_ms};
use crate::net::activity::filed::Filed;
use crate::net::activity::phase::Phase;
use crate::net::activity::wire::Wire;
use crate::net::limits::FIRST_REQUEST_GRACE;

/// How often a connection records its peer as a sender of verified pushes: far more often than such
/// a peer is evicted, and far less often than pushes arrive.
const RECORD_PEER_EVERY: Duration = Duration::from_secs(60);

/// Shared by the parts of one connection, and changed without a lock.
#[derive(Debug)]
pub(in crate::net) struct Activity {
    /// Its number among the connections of the slots.
    pub(in crate::net) number: u64,
    phase: AtomicU8,
    /// When the phase began, in ms of [`now_ms`].
    since_ms: AtomicU64,
    /// When the current request began, or the connection before its first one, in ms of [`now_ms`].
    /// Only another request makes it later.
    pub(super) began_ms: AtomicU64,
    /// The bytes that the peer has sent in this phase.
    pub(super) progress: AtomicU64,
    pub(super) wire: Wire,
    /// Whether the connection has carried a push that was accepted and not a duplicate. Duplicates
    /// do not count, because anyone can send a copy.
    has_accepted: AtomicBool,
    /// Whether MNS signed the head of the current request and no other connection is waiting for
    /// the body of the same head.
    pub(super) is_head_proved: AtomicBool,
    /// When the peer was last recorded as a sender of verified pushes, in ms of [`now_ms`]; 0
    /// before the first time.
    noted_ms: AtomicU64,
    /// How many bytes had been read when the head of the current request was complete.
    pub(super) head: AtomicU64,
    /// The place under which the slots have filed it.
    pub(super) filed: Filed,
    /// The largest read buffer that the HTTP library has made, in bytes.
    pub(super) buffer: AtomicU64,
    /// Whether another connection has its slot.
    gives_way: AtomicBool,
    /// Asks the connection to end after its current request.
    pub(in crate::net) close: CancellationToken,
}

impl Activity {
    pub(in crate::net) fn new(number: u64, close: CancellationToken) -> Self {
        Self {
            number,
            phase: AtomicU8::new(Phase::Opening as u8),
            since_ms: AtomicU64::new(now_ms()),
            began_ms: AtomicU64::new(now_ms()),
            progress: AtomicU64::new(0),
            wire: Wire::default(),
            has_accepted: AtomicBool::new(false),
            is_head_proved: AtomicBool::new(false),
            noted_ms: AtomicU64::new(0),
            head: AtomicU64::new(0),
            filed: Filed::nowhere(),
            buffer: AtomicU64::new(0),
            gives_way: AtomicBool::new(false),
            close,
        }
    }

    /// Marks the start of serving. On a busy machine the task may start long after the connection
    /// was accepted, and that delay is not the peer's silence.
    pub(in crate::net) fn begin_serving(&self) {
        self.since_ms.store(now_ms(), Ordering::Release);
    }

    pub(in crate::net) fn phase(&self) -> Phase {
        // Only phases are stored, so the default is never used.
        Phase::from_repr(self.phase.load(Ordering::Acquire)).unwrap_or(Phase::Opening)
    }

    /// When the phase began.
    pub(in crate::net) fn since(&self) -> Instant {
        instant(self.since_ms())
    }

    /// The same, in ms of [`now_ms`].
    pub(super) fn since_ms(&self) -> u64 {
        self.since_ms.load(Ordering::Acquire)
    }

    /// The HTTP library reads into a buffer of this size, in bytes.
    pub(in crate::net) fn note_buffer(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        // Not one atomic operation: only the stream of this connection stores here.
        if bytes > self.buffer.load(Ordering::Relaxed) {
            self.buffer.store(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes have arrived. Between two requests they begin a head, unless they are only line
    /// breaks, which a peer may send after a body (RFC 9112, 2.2).
    pub(in crate::net) fn note_read(&self, bytes: &[u8]) {
        let phase = self.phase();
        match phase {
            Phase::Opening | Phase::Idle | Phase::Behind => {
                if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                    return;
                }
                // Bytes that were read after the last request are still in memory.
                let behind = if phase == Phase::Behind {
                    self.wire.behind()
                } else {
                    0
                };
                self.wire.begin();
                self.enter(Phase::Head);
                self.progress.store(behind, Ordering::Relaxed);
                self.began_ms.store(self.since_ms(), Ordering::Release);
            }
            Phase::Head
            | Phase::Body
            | Phase::Whole
            | Phase::Commit
            | Phase::Stream
            | Phase::Answer
            | Phase::Closing => {}
        }
        self.progress.fetch_add(length(bytes), Ordering::Relaxed);
        if !self.has_accepted() {
            self.wire.note(bytes, self.phase() == Phase::Head);
        }
    }

    /// A head is complete. `body` is the announced length of its body, in bytes. Returns the time
    /// of the request's first byte.
    pub(in crate::net) fn begin_request(&self, body: Option<u64>) -> Instant {
        let first_byte = match self.phase() {
            Phase::Head => {
                self.head
                    .store(self.progress.load(Ordering::Relaxed), Ordering::Relaxed);
                self.since()
            }
            // Pipelined: its bytes arrived together with the previous request.
            Phase::Opening
            | Phase::Idle
            | Phase::Behind
            | Phase::Body
            | Phase::Whole
            | Phase::Commit
            | Phase::Stream
            | Phase::Answer
            | Phase::Closing => {
                self.head.store(self.wire.begin_behind(), Ordering::Relaxed);
                Instant::now()
            }
        };
        self.wire.announce(body);
        // Before the phase: a search that reads `Body` must not also read the proof of the previous
        // request.
        self.is_head_proved.store(false, Ordering::Release);
        self.enter(Phase::Body);
        first_byte
    }

    /// The current request is complete.
    pub(in crate::net) fn note_whole(&self) {
        // Not `enter`: the time that the peer took for the body must still count against it.
        self.phase.store(Phase::Whole as u8, Ordering::Release);
    }

    /// MNS signed the head of the current request, and its body is still incomplete.
    pub(in crate::net) fn note_proved_head(&self) {
        self.is_head_proved.store(true, Ordering::Release);
    }

    /// The current request is a push that waits for the disk.
    pub(in crate::net) fn note_admitted(&self) {
        self.enter(Phase::Commit);
    }

    /// The push is on disk and was not there before. Returns `true` for the first one of this
    /// connection, which is proved from now on.
    pub(in crate::net) fn note_accepted(&self) -> bool {
        !self.has_accepted.swap(true, Ordering::AcqRel)
    }

    /// Returns whether to record the peer as a sender of verified pushes: at the first one, and
    /// then every [`RECORD_PEER_EVERY`].
    pub(in crate::net) fn records_peer(&self) -> bool {
        // At least 1, because 0 means never.
        let (now, noted) = (
            self.since_ms().max(1),
            self.noted_ms.load(Ordering::Relaxed),
        );
        let is_due = noted == 0 || now.saturating_sub(noted) >= millis(RECORD_PEER_EVERY);
        if is_due {
            self.noted_ms.store(now, Ordering::Relaxed);
        }
        is_due
    }

    /// Whether it has carried a push that was accepted.
    pub(in crate::net) fn has_accepted(&self) -> bool {
        self.has_accepted.load(Ordering::Acquire)
    }

    /// The answer is a stream. It ends with [`Self::end_request`], like any other.
    pub(in crate::net) fn begin_stream(&self) {
        self.enter(Phase::Stream);
    }

    /// The whole answer is ready.
    pub(in crate::net) fn end_request(&self) {
        self.enter(Phase::Answer);
    }

    /// The peer has read what was written.
    pub(in crate::net) fn note_flushed(&self) {
        if self.phase() == Phase::Answer {
            // `Wire` is not maintained once the connection has carried a push: silence then counts
            // as a pause between two requests.
            let ends_here = self.has_accepted() || self.wire.behind() == 0;
            self.enter(if ends_here {
                Phase::Idle
            } else {
                Phase::Behind
            });
        }
    }

    /// The connection is closing: its last answer is sent.
    pub(in crate::net) fn note_closing(&self) {
        if self.phase() != Phase::Closing {
            self.enter(Phase::Closing);
        }
    }

    /// Marks that another connection gets the slot, and asks this one to end.
    pub(in crate::net) fn give_way(&self) {
        self.gives_way.store(true, Ordering::Release);
        self.close.cancel();
    }

    /// Whether another connection has the slot.
    pub(in crate::net) fn gives_way(&self) -> bool {
        self.gives_way.load(Ordering::Acquire)
    }

    /// Whether the connection ends unless more arrives at once. During a stop a new connection
    /// still has its [`FIRST_REQUEST_GRACE`], because its peer cannot know of the stop.
    pub(in crate::net) fn ends_while_idle(&self) -> bool {
        let is_idle = matches!(self.phase(), Phase::Opening | Phase::Idle | Phase::Behind);
        self.close.is_cancelled() && is_idle && !self.is_waited_for()
    }

    /// Whether this is a new connection that has not been asked to give way.
    pub(in crate::net) fn is_waited_for(&self) -> bool {
        !self.gives_way()
            && self.phase() == Phase::Opening
            && self.since().elapsed() < FIRST_REQUEST_GRACE
    }

    /// When the phase has lasted for `allowed`. Never too early: the start is stored in whole ms,
    /// rounded down.
    pub(in crate::net) fn deadline(&self, allowed: Duration) -> Instant {
        let since = self.since();
        let allowed = allowed.saturating_add(TICK);
        since.checked_add(allowed).unwrap_or(since)
    }

    /// Completes when a connection without any request has to end.
    pub(in crate::net) async fn end_of_silence(&self) {
        self.close.cancelled().await;
        if !self.gives_way() {
            let since = self.since();
            sleep_until(since.checked_add(FIRST_REQUEST_GRACE).unwrap_or(since)).await;
        }
    }

    fn enter(&self, phase: Phase) {
        // The phase last, with Release: whoever reads the new phase also reads its start.
        self.progress.store(0, Ordering::Relaxed);
        self.since_ms.store(now_ms(), Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
