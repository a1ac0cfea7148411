//! What one connection is doing, seen from its stream, its requests and the accept loop.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use strum::FromRepr;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::net::limits::{
    FIRST_REQUEST_GRACE, PROGRESS_BYTES_PER_SECOND, PROGRESS_GRACE, READ_BUFFER_BYTES,
};
use crate::net::slots::{Group, Slots};

/// Shared by the parts of one connection; changed without a lock.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) number: u64,
    slots: Arc<Slots>,
    phase: AtomicU8,
    /// When the phase began, in ms of [`now_ms`].
    since_ms: AtomicU64,
    /// When the current request began, or the connection, in ms of [`now_ms`].
    began_ms: AtomicU64,
    /// What the peer has sent in this phase, in bytes.
    progress: AtomicU64,
    wire: Wire,
    /// It has carried a push that was accepted, and was none that had come before: anyone can send
    /// a copy again.
    has_accepted: AtomicBool,
    /// MNS signed the head of the current request, and no other connection is waiting for the body
    /// of that head.
    is_head_proved: AtomicBool,
    /// When its peer was last noted as one that sends verified pushes, in ms of [`now_ms`]; 0
    /// before the first.
    noted_ms: AtomicU64,
    /// Bytes read by the time the head of the current request was complete.
    head: AtomicU64,
    /// The group under which [`Slots`] has it, or [`UNFILED`].
    filed: AtomicU8,
    /// The place that it has there.
    filed_at: AtomicU64,
    /// The largest read buffer that the HTTP library has made, in bytes.
    buffer: AtomicU64,
    /// What [`Slots`] counts as held by its head, in bytes.
    counted: AtomicU64,
    /// Another connection has its slot.
    gives_way: AtomicBool,
    /// Asks the connection to end after what it is doing.
    pub(super) close: CancellationToken,
}

/// Finds the end of a request in the bytes read. Maintained until the connection has carried a
/// verified push.
#[derive(Debug, Default)]
struct Wire {
    /// Since the first byte of the head, in bytes.
    read: AtomicU64,
    /// How many of them are the head; 0 while its end has not been seen.
    head: AtomicU64,
    /// The last bytes that were read, oldest in the highest place: the end of a head may come in
    /// two reads.
    tail: AtomicU64,
    /// The body as announced, in bytes; [`UNKNOWN`] in chunks.
    body: AtomicU64,
}

/// No group: [`Slots`] is reading the phase.
const UNFILED: u8 = u8::MAX;
/// A length that is not announced.
const UNKNOWN: u64 = u64::MAX;
/// What ends a head.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing has come yet, but for what a proxy or TLS says first.
    Opening,
    /// Nothing of the next request has come.
    Idle,
    /// A request is answered, and more bytes had arrived with it: the start of the next head, or
    /// only line breaks.
    Behind,
    /// Some of a head has come.
    Head,
    /// A head is complete; its body may be still to come.
    Body,
    /// The request is whole, and it is not known yet whether MNS sent it: its certificate is being
    /// fetched.
    Whole,
    /// It is a push that is meant for us and waits for the disk.
    Commit,
    /// The answer is made; the peer has not taken all of it.
    Answer,
    /// The last answer is sent; what still comes is swallowed.
    Closing,
}

impl Activity {
    pub(super) fn new(number: u64, slots: Arc<Slots>, close: CancellationToken) -> Self {
        Self {
            number,
            slots,
            phase: AtomicU8::new(Phase::Opening as u8),
            since_ms: AtomicU64::new(now_ms()),
            began_ms: AtomicU64::new(now_ms()),
            progress: AtomicU64::new(0),
            wire: Wire::default(),
            has_accepted: AtomicBool::new(false),
            is_head_proved: AtomicBool::new(false),
            noted_ms: AtomicU64::new(0),
            head: AtomicU64::new(0),
            filed: AtomicU8::new(UNFILED),
            filed_at: AtomicU64::new(0),
            buffer: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            gives_way: AtomicBool::new(false),
            close,
        }
    }

    /// The connection is served from now on. On a busy machine its task may start long after the
    /// connection was accepted, and that time is not silence of the peer.
    pub(super) fn begin_serving(&self) {
        self.since_ms.store(now_ms(), Ordering::Release);
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::from_repr(self.phase.load(Ordering::Acquire)).unwrap_or(Phase::Opening)
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        instant(self.since_ms())
    }

    /// The same, in ms of [`now_ms`].
    pub(super) fn since_ms(&self) -> u64 {
        self.since_ms.load(Ordering::Acquire)
    }

    /// When the current request began, or the connection, in ms of [`now_ms`]. Only another request
    /// makes it later.
    pub(super) fn began_ms(&self) -> u64 {
        self.began_ms.load(Ordering::Acquire)
    }

    /// From when on it counts as making no progress, in ms of [`now_ms`]. Grows with what the peer
    /// sends.
    fn slow_at_ms(&self) -> u64 {
        // In the last phase it has its answer.
        let grace = if self.phase() == Phase::Closing {
            Duration::ZERO
        } else {
            PROGRESS_GRACE
        };
        let earned_ms =
            self.progress.load(Ordering::Relaxed).saturating_mul(1000) / PROGRESS_BYTES_PER_SECOND;
        self.since_ms()
            .saturating_add(millis(grace))
            .saturating_add(earned_ms)
    }

    /// Where it belongs among those that may give way.
    pub(super) fn group(&self) -> Group {
        let phase = self.phase();
        let is_proved = match phase {
            Phase::Commit => return Group::Committing,
            // Only the current request counts: a connection that has carried a push may stall like
            // any other.
            Phase::Body | Phase::Whole => self.is_head_proved.load(Ordering::Acquire),
            Phase::Opening
            | Phase::Idle
            | Phase::Behind
            | Phase::Head
            | Phase::Answer
            | Phase::Closing => self.has_accepted(),
        };
        match (is_proved, phase == Phase::Idle) {
            (false, false) => Group::UnprovedWorking,
            (false, true) => Group::UnprovedIdle,
            (true, false) => Group::ProvedWorking,
            (true, true) => Group::ProvedIdle,
        }
    }

    /// [`Slots`] is about to read the phase. Of this fence and that in [`wait`](Self::wait) one
    /// comes first: either `Slots` reads the new phase, or `wait` finds that the connection is not
    /// filed and files it again.
    pub(super) fn begin_filing(&self) {
        self.filed.store(UNFILED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// [`Slots`] has it in this group, at this place, and counts these bytes for its head.
    pub(super) fn set_filed(&self, group: Group, place: u64, head_bytes: u64) {
        self.filed_at.store(place, Ordering::Relaxed);
        self.counted.store(head_bytes, Ordering::Relaxed);
        self.filed.store(group as u8, Ordering::Release);
    }

    /// The connection waits for its peer. Reports to [`Slots`] where it belongs now; takes no lock
    /// if that has not changed, or if it only belongs further back.
    pub(super) fn wait(&self) {
        fence(Ordering::SeqCst);
        let group = self.group();
        let is_filed = self.filed.load(Ordering::Acquire) == group as u8
            && self.counted.load(Ordering::Relaxed) == self.head_bytes()
            && self.filed_at.load(Ordering::Relaxed) <= self.place(group);
        if !is_filed {
            self.slots.file(self.number);
        }
    }

    /// What orders it in its group, in ms of [`now_ms`]: the first gives way first.
    pub(super) fn place(&self, group: Group) -> u64 {
        match group {
            Group::UnprovedWorking | Group::ProvedWorking => self.slow_at_ms(),
            Group::UnprovedIdle | Group::ProvedIdle => self.since_ms(),
            Group::Committing => u64::MAX,
        }
    }

    /// The memory for heads, in bytes: what was read of those that are not answered, or the buffer
    /// that was made for them, which stays. The buffer of a connection that has carried a push is
    /// not counted.
    pub(super) fn head_bytes(&self) -> u64 {
        let buffer = self.buffer.load(Ordering::Relaxed);
        let buffer = if buffer > READ_BUFFER_BYTES && !self.has_accepted() {
            buffer
        } else {
            0
        };
        let read = match self.phase() {
            Phase::Head => self.progress.load(Ordering::Relaxed),
            Phase::Body | Phase::Whole => self.head.load(Ordering::Relaxed),
            Phase::Behind => self.wire.behind(),
            Phase::Opening | Phase::Idle | Phase::Commit | Phase::Answer | Phase::Closing => 0,
        };
        read.max(buffer)
    }

    /// The HTTP library has room for so many bytes to be read.
    pub(super) fn note_buffer(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if bytes > self.buffer.load(Ordering::Relaxed) {
            self.buffer.store(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes arrived. Between two requests they start a head, unless they are only line breaks,
    /// which a peer may send after a body (RFC 9112, 2.2).
    pub(super) fn note_read(&self, bytes: &[u8]) {
        let phase = self.phase();
        match phase {
            Phase::Opening | Phase::Idle | Phase::Behind => {
                if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                    return;
                }
                // What was read behind the last request is held still.
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
    pub(super) fn begin_request(&self, body: Option<u64>) -> Instant {
        let first_byte = match self.phase() {
            Phase::Head => {
                self.head
                    .store(self.progress.load(Ordering::Relaxed), Ordering::Relaxed);
                self.since()
            }
            // Pipelined: its bytes came with those of the last request.
            Phase::Opening
            | Phase::Idle
            | Phase::Behind
            | Phase::Body
            | Phase::Whole
            | Phase::Commit
            | Phase::Answer
            | Phase::Closing => {
                self.head.store(self.wire.begin_behind(), Ordering::Relaxed);
                Instant::now()
            }
        };
        self.wire
            .body
            .store(body.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.is_head_proved.store(false, Ordering::Release);
        self.enter(Phase::Body);
        first_byte
    }

    /// The current request is whole. The time that it has used for its body counts on.
    pub(super) fn note_whole(&self) {
        self.phase.store(Phase::Whole as u8, Ordering::Release);
    }

    /// MNS signed the head of the current request, and its body is still to come.
    pub(super) fn note_proved_head(&self) {
        self.is_head_proved.store(true, Ordering::Release);
        self.wait();
    }

    /// The current request is a push that waits for the disk.
    pub(super) fn note_admitted(&self) {
        self.enter(Phase::Commit);
    }

    /// It is on disk, a push of `peer`, which is recorded now and then ([`NOTE_PEER_EVERY`]).
    pub(super) fn note_accepted(&self, peer: IpAddr) {
        if !self.has_accepted.swap(true, Ordering::AcqRel) {
            self.slots.file(self.number);
        }
        let (now, noted) = (
            self.since_ms().max(1),
            self.noted_ms.load(Ordering::Relaxed),
        );
        if noted == 0 || now.saturating_sub(noted) >= millis(NOTE_PEER_EVERY) {
            self.noted_ms.store(now, Ordering::Relaxed);
            self.slots.note_verified_peer(peer);
        }
    }

    /// Whether it has carried a push that was accepted.
    pub(super) fn has_accepted(&self) -> bool {
        self.has_accepted.load(Ordering::Acquire)
    }

    /// The answer is made.
    pub(super) fn end_request(&self) {
        self.enter(Phase::Answer);
    }

    /// What was written is taken.
    pub(super) fn note_flushed(&self) {
        if self.phase() == Phase::Answer {
            // Of a connection that has carried a push that is not kept: its silence is that between
            // two requests.
            let ends_here = self.has_accepted() || self.wire.behind() == 0;
            self.enter(if ends_here {
                Phase::Idle
            } else {
                Phase::Behind
            });
        }
    }

    /// The last answer is sent.
    pub(super) fn note_closing(&self) {
        if self.phase() != Phase::Closing {
            self.enter(Phase::Closing);
        }
    }

    /// Its slot is another connection's.
    pub(super) fn give_way(&self) {
        self.gives_way.store(true, Ordering::Release);
        self.close.cancel();
    }

    /// Whether its slot is another connection's.
    pub(super) fn gives_way(&self) -> bool {
        self.gives_way.load(Ordering::Acquire)
    }

    /// Whether the connection ends if nothing more comes at once. At a stop a new one still has its
    /// [`FIRST_REQUEST_GRACE`]: its peer has every reason to think that it is served.
    pub(super) fn ends_while_idle(&self) -> bool {
        let is_idle = matches!(self.phase(), Phase::Opening | Phase::Idle | Phase::Behind);
        self.close.is_cancelled() && is_idle && !self.is_waited_for()
    }

    /// A new connection that need not give way.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.gives_way()
            && self.phase() == Phase::Opening
            && self.since().elapsed() < FIRST_REQUEST_GRACE
    }

    /// Done when a connection that is not spoken on yet has to end.
    pub(super) async fn end_of_silence(&self) {
        self.close.cancelled().await;
        if !self.gives_way() {
            let since = self.since();
            sleep_until(since.checked_add(FIRST_REQUEST_GRACE).unwrap_or(since)).await;
        }
    }

    fn enter(&self, phase: Phase) {
        self.progress.store(0, Ordering::Relaxed);
        self.since_ms.store(now_ms(), Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }
}

/// How often a connection notes that its peer sends verified pushes: far more often than that is
/// forgotten.
const NOTE_PEER_EVERY: Duration = Duration::from_secs(60);

impl Wire {
    fn begin(&self) {
        for count in [&self.read, &self.head, &self.tail] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// The next request arrived with the last one, and its end is unknown. Returns the most that
    /// was read of it.
    fn begin_behind(&self) -> u64 {
        let behind = self.behind();
        self.begin();
        self.read.store(behind, Ordering::Relaxed);
        behind
    }

    fn note(&self, bytes: &[u8], is_head: bool) {
        let before = self.read.fetch_add(length(bytes), Ordering::Relaxed);
        if !is_head || self.head.load(Ordering::Relaxed) > 0 {
            return;
        }
        // The end of the head, with up to three of its bytes in the read before.
        let mut last = u32::try_from(self.tail.load(Ordering::Relaxed)).unwrap_or_default();
        for (at, byte) in (1..).zip(bytes) {
            last = (last << 8) | u32::from(*byte);
            if last == u32::from_be_bytes(*HEAD_END) {
                self.head
                    .store(before.saturating_add(at), Ordering::Relaxed);
                return;
            }
        }
        self.tail.store(u64::from(last), Ordering::Relaxed);
    }

    /// How much was read behind the request that was answered, in bytes; all of it if the end of
    /// the request is not known.
    fn behind(&self) -> u64 {
        let [read, head, body] =
            [&self.read, &self.head, &self.body].map(|count| count.load(Ordering::Relaxed));
        if head > 0 {
            head.checked_add(body)
                .map_or(read, |end| read.saturating_sub(end))
        } else {
            read
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The zero of [`now_ms`].
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since the first connection, in ms.
pub(super) fn now_ms() -> u64 {
    millis(EPOCH.elapsed())
}

fn instant(ms: u64) -> Instant {
    EPOCH
        .checked_add(Duration::from_millis(ms))
        .unwrap_or(*EPOCH)
}
