//! The place that follows from an activity, and whether the connection is filed there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::net::activity::activity::Activity;
use crate::net::activity::epoch::millis;
use crate::net::activity::phase::Phase;
use crate::net::activity::place::{Group, Place};
use crate::net::limits::{PROGRESS_BYTES_PER_SECOND, PROGRESS_GRACE, READ_BUFFER_BYTES};

impl Activity {
    /// When it starts to count as making no progress, in ms of `now_ms`. Every byte from the peer
    /// postpones it.
    fn slow_at_ms(&self) -> u64 {
        // The peer already has its answer, so it gets no more time.
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

    /// Returns the group.
    pub(in crate::net) fn group(&self) -> Group {
        let phase = self.phase();
        let is_proved = match phase {
            // The service that answers with a stream limits the number of streams.
            Phase::Commit | Phase::Stream => return Group::Lasting,
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

    /// Reads the place.
    fn place(&self) -> Place {
        let group = self.group();
        Place {
            group,
            at: match group {
                Group::UnprovedWorking | Group::ProvedWorking => self.slow_at_ms(),
                Group::UnprovedIdle | Group::ProvedIdle => self.since_ms(),
                Group::Lasting => u64::MAX,
            },
            began: self.began_ms.load(Ordering::Acquire),
            head_bytes: self.head_bytes(),
        }
    }

    /// Files the connection where it now belongs, and returns where. Call it only under the lock of
    /// the slots.
    pub(in crate::net) fn file(&self) -> Place {
        self.filed.file(|| self.place())
    }

    /// Whether the connection is filed where it belongs, or in front of that. Called before each
    /// wait for the peer; takes no lock.
    pub(in crate::net) fn is_filed_well(&self) -> bool {
        self.filed.serves_for(|| self.place())
    }

    /// Returns the memory for heads, in bytes: the unanswered ones that were read, or the buffer
    /// that was allocated for them and never shrinks. The buffer of a connection that has carried a
    /// push does not count.
    pub(in crate::net) fn head_bytes(&self) -> u64 {
        let buffer = self.buffer.load(Ordering::Relaxed);
        // Every connection has a buffer of the initial size, so only a larger one counts.
        let buffer = if buffer > READ_BUFFER_BYTES && !self.has_accepted() {
            buffer
        } else {
            0
        };
        let read = match self.phase() {
            Phase::Head => self.progress.load(Ordering::Relaxed),
            Phase::Body | Phase::Whole => self.head.load(Ordering::Relaxed),
            Phase::Behind => self.wire.behind(),
            Phase::Opening
            | Phase::Idle
            | Phase::Commit
            | Phase::Stream
            | Phase::Answer
            | Phase::Closing => 0,
        };
        read.max(buffer)
    }
}
