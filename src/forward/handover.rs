//! What a push asks of all destinations: whether it may come, and whether its 201 waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::forward::answers::{Answers, Forwarded, NotForwarded, Waiting};
use crate::forward::gate::Gate;
use crate::forward::{Ack, Settings, WhenFull};
use crate::journal::NotificationKey;

/// All destinations, as the handlers of pushes see them.
#[derive(Debug, Default)]
pub struct Handover {
    gates: Vec<(Arc<Gate>, WhenFull)>,
    awaited: Option<Awaited>,
}

/// The destination that pushes wait for.
#[derive(Debug)]
struct Awaited {
    settings: Settings,
    timeout: Duration,
    gate: Arc<Gate>,
    answers: Arc<Answers>,
}

/// What a push waits for before its 201: an acknowledgement, or nothing.
#[derive(Debug)]
pub struct Expected<'a> {
    waiting: Option<(Waiting<'a>, Duration)>,
}

impl Handover {
    /// Adds a destination. If pushes wait for it, returns the registry of those pushes.
    pub fn add(&mut self, settings: &Settings, gate: Arc<Gate>) -> Option<Arc<Answers>> {
        self.gates.push((gate.clone(), settings.when_full));
        let Ack::Forward { timeout } = settings.ack else {
            return None;
        };
        let answers = Arc::new(Answers::default());
        // Replaces nothing: the configuration allows `ack = "forward"` in one table only.
        self.awaited = Some(Awaited {
            settings: settings.clone(),
            timeout,
            gate,
            answers: answers.clone(),
        });
        Some(answers)
    }

    /// Checks, before its body is read, whether a push can be accepted.
    ///
    /// # Errors
    /// [`NotForwarded`]
    pub fn check(&self) -> Result<(), NotForwarded> {
        if self.gates.is_empty() {
            return Ok(());
        }
        // With `when_full = "skip"` the forwarder makes room itself, so no push is refused.
        let is_full =
            |(gate, when_full): &(Arc<Gate>, _)| *when_full == WhenFull::Refuse && gate.is_full();
        // Before `turns_away`, which counts the push that it lets through: a full backlog would
        // waste that probe.
        if self.gates.iter().any(is_full) {
            return Err(NotForwarded::BacklogFull);
        }
        // The clock of the runtime, which tests can pause.
        let now = Instant::now().into_std();
        match &self.awaited {
            Some(awaited) if awaited.gate.turns_away(now) => Err(NotForwarded::Unavailable),
            Some(_) | None => Ok(()),
        }
    }

    /// Registers a push. Must precede the hand-over of its entry to the journal, because its
    /// notification may be acknowledged at any time afterwards. `notification` is owner, topic,
    /// subscription and message id.
    #[must_use]
    pub fn expect(&self, notification: [&[u8]; 4]) -> Expected<'_> {
        let [_, topic, ..] = notification;
        let awaited = self.awaited.as_ref();
        // A topic that is not selected is never acknowledged, so its push must not wait.
        let awaited = awaited.filter(|awaited| awaited.settings.selects(topic));
        Expected {
            waiting: awaited.map(|awaited| {
                let key = NotificationKey::of(notification);
                (awaited.answers.expect(key), awaited.timeout)
            }),
        }
    }
}

impl Expected<'_> {
    /// Waits until the destination has acknowledged the notification, but not beyond `deadline`.
    ///
    /// # Errors
    /// [`NotForwarded`]
    pub async fn forwarded(self, deadline: Instant) -> Result<Forwarded, NotForwarded> {
        let Some((waiting, timeout)) = self.waiting else {
            return Ok(Forwarded::not_asked_for());
        };
        let now = Instant::now();
        // The request may have spent most of its time before the commit, so the earlier deadline
        // counts.
        let own = now.checked_add(timeout).unwrap_or(now);
        waiting.forwarded(deadline.min(own)).await
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]
mod tests {
    use super::*;
    use crate::forward::Delivered;
    use crate::forward::tests::support::settings;

    const PUSH: [&[u8]; 4] = [b"1", b"orders", b"s", b"M1"];

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_waits_only_for_a_destination_that_it_goes_to_and_that_says_so() {
        let none = Handover::default();
        none.check().unwrap();
        none.expect(PUSH).forwarded(later()).await.unwrap();

        let timeout = Duration::from_secs(2);
        let mut handover = Handover::default();
        let gate = Arc::new(Gate::new(Instant::now().into_std()));
        assert!(handover.add(&settings(), gate.clone()).is_none());
        let waited_for = Settings {
            ack: Ack::Forward { timeout },
            topics: vec!["orders".to_owned()],
            ..settings()
        };
        let answers = handover.add(&waited_for, gate.clone()).unwrap();
        handover
            .expect([b"1", b"others", b"s", b"M"])
            .forwarded(later())
            .await
            .unwrap();
        let begun = Instant::now();
        let late = handover.expect(PUSH).forwarded(later()).await.unwrap_err();
        assert_eq!((late, begun.elapsed().as_secs()), (NotForwarded::Late, 2));
        // The time of the request may end sooner.
        let begun = Instant::now();
        let soon = begun + Duration::from_secs(1);
        let late = handover.expect(PUSH).forwarded(soon).await.unwrap_err();
        assert_eq!((late, begun.elapsed().as_secs()), (NotForwarded::Late, 1));
        let expected = handover.expect(PUSH);
        answers.delivered([(&NotificationKey::of(PUSH), Delivered::stored())].into_iter());
        expected.forwarded(later()).await.unwrap();

        handover.check().unwrap();
        gate.is_silent_since(Some(Instant::now().into_std()));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(handover.check(), Err(NotForwarded::Unavailable));
        gate.is_silent_since(None);
        handover.check().unwrap();
        gate.fill(true);
        assert_eq!(handover.check(), Err(NotForwarded::BacklogFull));
    }

    #[test]
    fn where_the_oldest_are_skipped_no_push_is_refused_for_the_backlog() {
        let mut handover = Handover::default();
        let gate = Arc::new(Gate::new(std::time::Instant::now()));
        let skips = Settings {
            when_full: WhenFull::Skip,
            ..settings()
        };
        handover.add(&skips, gate.clone());
        gate.fill(true);
        handover.check().unwrap();
    }
}
