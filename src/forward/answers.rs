//! The pushes whose 201 waits for a destination.
//!
//! A push is registered before its entry goes to the journal, under the key of its notification. It
//! is answered when a destination has acknowledged that notification, through this push's own entry
//! or through an earlier one that was still in flight. It does not wait for the cursor, because an
//! unacknowledged neighbour may keep the cursor back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, timeout_at};

use crate::forward::Delivered;
use crate::journal::NotificationKey;
use crate::meter::DurationHistogram;
use crate::waiting::{self, Answered, answer_all};

/// Proof that no destination withholds the 201: the one that the push waits for has acknowledged
/// the notification, or the push waits for no destination.
///
/// Only a wait makes one:
///
/// ```compile_fail,E0451
/// let forged = mns_endpoint::forward::Forwarded { _by_a_wait: () };
/// ```
///
/// This one compiles, so the one above fails for its private field and not for a wrong name:
///
/// ```
/// fn of(forwarded: &mns_endpoint::forward::Forwarded) {}
/// ```
#[derive(Debug)]
pub struct Forwarded {
    _by_a_wait: (),
}

/// Why a push gets no 201 because of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotForwarded {
    /// The backlog of a destination has reached its bound.
    #[error("as much waits for a destination as max_backlog or max_backlog_age allows")]
    BacklogFull,
    /// The destination has acknowledged nothing for some time although notifications are in flight.
    #[error("the destination does not answer")]
    Unavailable,
    /// The destination has not acknowledged the notification in time. It is still forwarded.
    #[error("the destination has not acknowledged it in time")]
    Late,
    /// The notification became a dead letter.
    #[error("the destination does not take it: it is a dead letter")]
    DeadLetter,
}

impl Forwarded {
    /// No destination is waited for.
    pub(in crate::forward) fn not_asked_for() -> Self {
        Self { _by_a_wait: () }
    }
}

/// The waiting pushes, by notification. Bounded by the limit of pushes in flight.
#[derive(Debug, Default)]
pub struct Answers {
    // Several senders for a key: MNS may send a notification again while its first push waits.
    waiting: Mutex<HashMap<NotificationKey, Vec<Sender>>>,
    /// How long pushes that were acknowledged in time waited for that.
    waits: DurationHistogram,
}

type Answer = Result<Forwarded, NotForwarded>;

/// A push that waits.
#[derive(Debug)]
struct Sender {
    waiting: waiting::Waiting<Answer>,
    /// Whether its task waits for this answer already. Before that it waits for the journal, maybe
    /// for long, and must not hold the answers for others.
    is_ready: Arc<AtomicBool>,
}

/// A waiting push. Dropping it removes it from [`Answers`].
#[derive(Debug)]
pub struct Waiting<'a> {
    answers: &'a Answers,
    key: NotificationKey,
    answer: Answered<Answer>,
    is_ready: Arc<AtomicBool>,
}

impl Answers {
    /// Registers a push. The next outcome of its notification answers it.
    pub fn expect(&self, key: NotificationKey) -> Waiting<'_> {
        let (waiting, answer) = waiting::Waiting::new();
        let is_ready = Arc::new(AtomicBool::new(false));
        let sender = Sender {
            waiting,
            is_ready: is_ready.clone(),
        };
        self.lock().entry(key.clone()).or_default().push(sender);
        Waiting {
            answers: self,
            key,
            answer,
            is_ready,
        }
    }

    /// A destination has acknowledged notifications.
    pub(in crate::forward) fn delivered<'k>(
        &self,
        keys: impl Iterator<Item = (&'k NotificationKey, Delivered)>,
    ) {
        self.answer(keys.map(|(key, _proof)| key), || {
            Ok(Forwarded { _by_a_wait: () })
        });
    }

    /// A notification is in the file of dead letters.
    pub(in crate::forward) fn dead_lettered(&self, key: &NotificationKey) {
        self.answer([key].into_iter(), || Err(NotForwarded::DeadLetter));
    }

    /// How long pushes waited between the commit of their entry and the acknowledgement. Those that
    /// got none in time are not in it: they are counted as refusals.
    #[must_use]
    pub fn waits(&self) -> &DurationHistogram {
        &self.waits
    }

    /// How many pushes wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    fn answer<'k>(
        &self,
        keys: impl Iterator<Item = &'k NotificationKey>,
        answer: impl Fn() -> Answer,
    ) {
        let mut all = self.lock();
        let waiting: Vec<Vec<Sender>> = keys.filter_map(|key| all.remove(key)).collect();
        // The lock is released here, because what follows wakes threads that take it.
        drop(all);
        let (ready, others): (Vec<Sender>, Vec<Sender>) = waiting
            .into_iter()
            .flatten()
            .partition(|sender| sender.is_ready.load(Ordering::Acquire));
        // The answer is a closure because a proof cannot be cloned.
        answer_all(ready.into_iter().map(|sender| (sender.waiting, answer())));
        for sender in others {
            sender.waiting.answer(answer());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NotificationKey, Vec<Sender>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// [`NotForwarded`]
    pub async fn forwarded(mut self, deadline: Instant) -> Result<Forwarded, NotForwarded> {
        let begun = Instant::now();
        self.is_ready.store(true, Ordering::Release);
        match timeout_at(deadline, self.answer.answer()).await {
            Ok(Some(answer)) => answer.inspect(|_| self.answers.waits.observe(begun.elapsed())),
            // A sender that is dropped without an answer proves nothing, just as a timeout.
            Ok(None) | Err(_) => Err(NotForwarded::Late),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Closed first, so that `is_closed` finds this push's own sender below.
        self.answer.close();
        let mut all = self.answers.lock();
        if let Some(waiting) = all.get_mut(&self.key) {
            waiting.retain(|sender| !sender.waiting.is_closed());
            if waiting.is_empty() {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(id: &str) -> NotificationKey {
        NotificationKey::of([b"1", b"t", b"s", id.as_bytes()])
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_is_answered_by_its_own_notification_and_by_no_other() {
        let answers = Answers::default();
        let (one, same) = (answers.expect(key("1")), answers.expect(key("1")));
        let other = answers.expect(key("2"));
        let dead = answers.expect(key("3"));
        assert_eq!(answers.waiting(), 4);
        answers.delivered([(&key("1"), Delivered::stored())].into_iter());
        answers.dead_lettered(&key("3"));
        // At the same time, as tasks do: one of them hands the other its answer.
        let (one, same) = tokio::join!(one.forwarded(soon()), same.forwarded(soon()));
        one.and(same).unwrap();
        let refused = dead.forwarded(soon()).await.unwrap_err();
        assert_eq!(refused, NotForwarded::DeadLetter);
        assert_eq!(
            other.forwarded(soon()).await.unwrap_err(),
            NotForwarded::Late
        );
        assert_eq!(answers.waiting(), 0);
        // Of the two that were acknowledged, and none of those that were not.
        let waits = answers.waits().counted();
        assert_eq!(waits.buckets.iter().map(|(_, count)| count).sum::<u64>(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_that_still_waits_for_the_journal_delays_no_other() {
        let answers = Answers::default();
        let (waits, busy) = (answers.expect(key("1")), answers.expect(key("2")));
        let acknowledged = [key("1"), key("2")];
        let (waits, ()) = tokio::join!(waits.forwarded(soon()), async {
            let all = acknowledged.iter().map(|key| (key, Delivered::stored()));
            answers.delivered(all);
        });
        waits.unwrap();
        busy.forwarded(soon()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_leaves_takes_no_other_along() {
        let answers = Answers::default();
        let (leaves, stays) = (answers.expect(key("1")), answers.expect(key("1")));
        drop(leaves);
        assert_eq!(answers.waiting(), 1);
        // Answered before it waits.
        answers.delivered([(&key("1"), Delivered::duplicate())].into_iter());
        stays.forwarded(soon()).await.unwrap();
        assert_eq!(answers.waiting(), 0);
    }
}
