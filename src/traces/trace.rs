//! What is recorded of one push: when it came, was verified, was committed and was answered.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::traces::TraceContext;

/// A push while it is answered.
#[derive(Debug)]
pub struct Trace {
    /// Its span, in a trace that it begins, and whether `telemetry.sample` records it.
    own: TraceContext,
    /// The span that the request names. Anyone may name any.
    claimed: Option<TraceContext>,
    is_verified: AtomicBool,
    /// The check of its signature.
    pub verify: OnceLock<Stage>,
    /// From the hand-over to the journal to its answer.
    pub commit: OnceLock<Stage>,
    /// What it is about, once that is verified.
    pub subject: OnceLock<Subject>,
}

/// A part of the time that a push took.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// When it began.
    pub begun: Instant,
    /// How long it took.
    pub took: Duration,
}

/// Whose notification a push carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The topic's name.
    pub topic: String,
    /// The subscription's name.
    pub subscription: String,
    /// The message's id.
    pub message_id: String,
}

/// How a push was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// When its first byte came.
    pub first_byte: Instant,
    /// When the answer was decided.
    pub end: Instant,
    /// The time of day then.
    pub now: SystemTime,
    /// The status.
    pub status: u16,
    /// The key of a refusal.
    pub reason: Option<&'static str>,
}

impl Trace {
    /// A trace of a request that names a span, or none. `is_sampled` decides whether it is
    /// recorded, unless a verified request has decided that.
    pub(super) fn new(is_sampled: bool, claimed: Option<TraceContext>) -> Self {
        Self {
            own: TraceContext {
                is_sampled,
                ..TraceContext::new()
            },
            claimed,
            is_verified: AtomicBool::new(false),
            verify: OnceLock::new(),
            commit: OnceLock::new(),
            subject: OnceLock::new(),
        }
    }

    /// Continues the trace that the request names, because its signature was verified. A stranger
    /// could otherwise have every request of its own recorded, in traces of others.
    pub fn trust_parent(&self) {
        self.is_verified.store(true, Ordering::Relaxed);
    }

    /// The span of the sender, if it may name one.
    pub(super) fn parent(&self) -> Option<&TraceContext> {
        let claimed = self.claimed.as_ref();
        claimed.filter(|_| self.is_verified.load(Ordering::Relaxed))
    }

    pub(super) fn span_id(&self) -> u64 {
        self.own.span_id
    }

    pub(super) fn trace_id(&self) -> u128 {
        self.parent().unwrap_or(&self.own).trace_id
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.parent().unwrap_or(&self.own).is_sampled
    }
}

impl Stage {
    /// Enters a stage that has ended.
    pub fn enter(stage: &OnceLock<Self>, begun: Instant, took: Duration) {
        // Each stage is entered once.
        stage.set(Self { begun, took }).ok();
    }
}
