//! One notification in flight, and the verdict on it when it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::forward::backoff::Backoff;
use crate::forward::{Failure, Outgoing, Reason};

/// So often a notification is refused before that can be a verdict on it.
pub(super) const REFUSALS: u32 = 20;

/// The bounds of a window.
#[derive(Debug, Clone, Copy)]
pub(in crate::forward) struct Limits {
    pub(in crate::forward) notifications: usize,
    pub(in crate::forward) bytes: usize,
    pub(in crate::forward) give_up: Option<Duration>,
    pub(in crate::forward) backoff: Backoff,
}

/// One that was sent.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) bytes: usize,
    /// The length of its row in the log.
    pub(super) row_bytes: u64,
    pub(super) state: State,
    pub(super) first_sent: Instant,
    pub(super) failures: u32,
    pub(super) refusals: u32,
    /// A later one was delivered since this one was refused first.
    pub(super) is_overtaken: bool,
    /// Why it failed last, and what the destination said.
    pub(super) last: Option<(Reason, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// `is_probe`: alone, while the destination takes nothing.
    Sending { is_probe: bool },
    /// Sent again at this time.
    Waiting(Instant),
    /// On its way to the file of dead letters.
    Burying,
}

/// What becomes of a notification that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forward) enum Next {
    /// It is sent again, and the window says when.
    Again,
    /// It is to become a dead letter.
    Bury,
    /// The destination wants nothing ever again.
    Stop,
}

impl Entry {
    /// Whether it was refused so often that a later delivery is a verdict on it.
    pub(super) fn is_suspect(&self) -> bool {
        self.refusals >= REFUSALS
    }

    fn is_over(&self, give_up: Option<Duration>, now: Instant) -> bool {
        let tried_for = now.saturating_duration_since(self.first_sent);
        give_up.is_some_and(|give_up| tried_for >= give_up)
    }

    /// It failed: what becomes of it.
    pub(super) fn fail(&mut self, failure: &Failure, limits: &Limits, now: Instant) -> Next {
        self.failures = self.failures.saturating_add(1);
        let has_given_up = self.is_over(limits.give_up, now);
        let mut reason = failure.reason();
        let mut wait = limits.backoff.wait(self.failures);
        let next = match failure {
            Failure::Gone { .. } => Next::Stop,
            Failure::Poison { .. } => Next::Bury,
            Failure::Refused { after, .. } => {
                wait = after.unwrap_or(wait);
                self.refusals = self.refusals.saturating_add(1);
                if self.is_suspect() && self.is_overtaken {
                    Next::Bury
                } else {
                    given_up(has_given_up, &mut reason)
                }
            }
            Failure::Retry { after, .. } => {
                wait = after.unwrap_or(wait);
                given_up(has_given_up, &mut reason)
            }
            Failure::Down { .. } => {
                // As soon as the destination takes something again.
                wait = Duration::ZERO;
                Next::Again
            }
        };
        self.state = match next {
            Next::Again | Next::Stop => State::Waiting(later(now, wait)),
            Next::Bury => State::Burying,
        };
        self.last = Some((reason, failure.detail().to_owned()));
        next
    }
}

fn given_up(has_given_up: bool, reason: &mut Reason) -> Next {
    if !has_given_up {
        return Next::Again;
    }
    *reason = Reason::GivenUp;
    Next::Bury
}

/// `now` itself if there is no such instant.
pub(super) fn later(now: Instant, span: Duration) -> Instant {
    now.checked_add(span).unwrap_or(now)
}
