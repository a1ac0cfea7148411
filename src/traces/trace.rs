//! What is recorded of one push: when it arrived, was verified, was committed and was answered.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::traces::TraceContext;

/// The trace of a push being answered.
#[derive(Debug)]
pub struct Trace {
    /// Its span if it starts a new trace, and whether `telemetry.sample` selected it.
    own: TraceContext,
    /// The span that the request names. Not trusted until the request is verified, because anyone
    /// can name any span.
    claimed: Option<TraceContext>,
    is_verified: AtomicBool,
    /// The verification of its signature.
    pub verify: OnceLock<Stage>,
    /// From the hand-over to the journal to the journal's answer.
    pub commit: OnceLock<Stage>,
    /// Whose notification it carries, once that is verified.
    pub subject: OnceLock<Subject>,
}

/// A stage of answering a push.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// When it started.
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
    /// When its first byte arrived.
    pub first_byte: Instant,
    /// When the answer was decided.
    pub end: Instant,
    /// The time of day at `end`.
    pub now: SystemTime,
    /// The status of the answer.
    pub status: u16,
    /// The reason key of a refusal.
    pub reason: Option<&'static str>,
}

impl Trace {
    /// Creates the trace of a request. `is_sampled` decides whether it is recorded, unless a
    /// verified request names a trace: then that trace's flag decides.
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

    /// Continues the trace that the request names, because its signature was verified. Otherwise a
    /// stranger could have all its requests recorded, in the traces of others.
    pub fn trust_parent(&self) {
        // Relaxed: this task wrote it, and the exporter reads it after taking the trace out of a
        // locked queue.
        self.is_verified.store(true, Ordering::Relaxed);
    }

    /// The sender's span, if the request is verified and names one.
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
    /// Records a stage that has ended.
    pub fn enter(stage: &OnceLock<Self>, begun: Instant, took: Duration) {
        // `set` fails only on a second call, and each stage ends once.
        stage.set(Self { begun, took }).ok();
    }
}
