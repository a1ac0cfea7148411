//! One notification in flight, and the verdict on it when it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::forward::backoff::Backoff;
use crate::forward::{Failure, Outgoing, Reason};

/// How many refusals it takes before a refusal can be a verdict on the notification. With the
/// back-off of HTTP the 19 waits between them take about 30 to 60 minutes.
pub(super) const REFUSALS: u32 = 20;

/// The bounds of a window.
#[derive(Debug, Clone, Copy)]
pub(in crate::forward) struct Limits {
    pub(in crate::forward) notifications: usize,
    pub(in crate::forward) bytes: usize,
    pub(in crate::forward) give_up: Option<Duration>,
    pub(in crate::forward) backoff: Backoff,
}

impl Limits {
    /// Whether one more fits after this many notifications and bytes. Its own size is not counted:
    /// a notification larger than the rest of the window must be sent some time, so one may exceed
    /// the bound.
    pub(super) fn fit(&self, notifications: usize, bytes: usize) -> bool {
        notifications < self.notifications && bytes < self.bytes
    }
}

/// A notification that was sent and is not settled.
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
    /// A later one was delivered after this one was refused for the first time.
    pub(super) is_overtaken: bool,
    /// The reason of the last failure, and what the destination said.
    pub(super) last: Option<(Reason, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// `is_probe`: sent alone, while the destination accepts nothing.
    Sending { is_probe: bool },
    /// To be sent again at this time.
    Waiting(Instant),
    /// Being written to the file of dead letters.
    Burying,
}

/// What follows for a notification that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forward) enum Next {
    /// It is sent again, when the window says so.
    Again,
    /// It becomes a dead letter.
    Bury,
    /// The destination refuses everything permanently.
    Stop,
}

impl Entry {
    /// Whether it was refused often enough for a later delivery to be a verdict on it.
    pub(super) fn is_suspect(&self) -> bool {
        self.refusals >= REFUSALS
    }

    fn is_over(&self, give_up: Option<Duration>, now: Instant) -> bool {
        let tried_for = now.saturating_duration_since(self.first_sent);
        give_up.is_some_and(|give_up| tried_for >= give_up)
    }

    /// Records a failure, and returns what follows.
    pub(super) fn fail(&mut self, failure: &Failure, limits: &Limits, now: Instant) -> Next {
        self.failures = self.failures.saturating_add(1);
        let has_given_up = self.is_over(limits.give_up, now);
        let mut reason = failure.reason();
        let mut wait = limits.backoff.wait(self.failures);
        let next = match failure {
            Failure::Gone { .. } => Next::Stop,
            Failure::Poison { .. } => Next::Bury,
            Failure::Refused { after, .. } => {
                // What the destination asks for takes precedence over the back-off.
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
                // No wait of its own: it is sent as soon as the window is open again. An outage is
                // not the fault of the notification, so it is never given up here.
                wait = Duration::ZERO;
                Next::Again
            }
        };
        self.state = match next {
            // After a stop it stays open, so that the next start sends it again.
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
