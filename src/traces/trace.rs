//! What is recorded of one push: when it came, was verified, was committed and was answered.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use crate::traces::TraceContext;
use crate::traces::context::new_span_id;

/// A push while it is answered.
#[derive(Debug)]
pub struct Trace {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    /// The span of the sender, if it names one.
    pub(super) parent: Option<u64>,
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
    /// The trace of a request that belongs to a span, or to none.
    pub(super) fn new(parent: Option<TraceContext>) -> Self {
        let TraceContext { trace_id, .. } = parent.unwrap_or_default();
        Self {
            trace_id,
            span_id: new_span_id(),
            parent: parent.map(|parent| parent.span_id),
            verify: OnceLock::new(),
            commit: OnceLock::new(),
            subject: OnceLock::new(),
        }
    }
}

impl Stage {
    /// Enters a stage that has ended.
    pub fn enter(stage: &OnceLock<Self>, begun: Instant, took: Duration) {
        // Each stage is entered once.
        stage.set(Self { begun, took }).ok();
    }
}
