//! Records in a push's trace which notification it carries and how it was answered.

use crate::mns::Notification;
use crate::server::push::Push;
use crate::traces::{Answered, Subject};

impl Push<'_> {
    /// Sets the names of the verified notification in the trace, if there is one.
    pub(super) fn name_trace(&self, notification: &Notification<'_>) {
        let Some(trace) = &self.trace else { return };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let subject = Subject {
            topic: text(&notification.topic_name),
            subscription: text(&notification.subscription_name),
            message_id: text(&notification.message_id),
        };
        // A refusal after admission sets the names a second time, to the same values, which is
        // ignored.
        trace.subject.set(subject).ok();
    }

    /// Makes the trace, if there is one, continue the trace that the sender named. The sender's
    /// trace is trusted from here on.
    pub(super) fn continue_trace(&self) {
        if let Some(trace) = &self.trace {
            trace.trust_parent();
        }
    }

    /// Queues the trace, if there is one. Never blocks, because the answer is already decided.
    pub(super) fn finish_trace(&self, status: u16, reason: Option<&'static str>) {
        let Some(trace) = &self.trace else { return };
        let clock = &self.endpoint.clock;
        let answered = Answered {
            first_byte: self.arrival.first_byte.into_std(),
            end: clock.instant(),
            now: clock.now(),
            status,
            reason,
        };
        self.endpoint.traces.finish(trace.clone(), answered);
    }
}
