//! The pushes whose 201 waits for a destination.
//!
//! A push is entered before its entry is handed to the journal, under what identifies its
//! notification, and answered when a destination has acknowledged that notification: through the
//! entry of this push, or through an earlier one that was still on its way. It does not wait for
//! the cursor, which a neighbour may keep back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::forward::Delivered;
use crate::journal::NotificationKey;
use crate::meter::DurationHistogram;

/// Proof that a 201 may be given as far as destinations go: the one that it waits for has
/// acknowledged the notification, or it waits for none.
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

/// Why a push gets no 201 as far as destinations go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotForwarded {
    /// As much waits for a destination as may.
    #[error("as much waits for a destination as max_backlog or max_backlog_age allows")]
    BacklogFull,
    /// The destination has acknowledged nothing for some time, with something in flight.
    #[error("the destination does not answer")]
    Unavailable,
    /// The destination has not acknowledged it in time. It is sent all the same.
    #[error("the destination has not acknowledged it in time")]
    Late,
    /// It is a dead letter.
    #[error("the destination does not take it: it is a dead letter")]
    DeadLetter,
}

impl Forwarded {
    /// No destination is waited for.
    pub(in crate::forward) fn not_asked_for() -> Self {
        Self { _by_a_wait: () }
    }
}

/// Pushes that wait, by their notification. Bounded by the pushes that may be in flight.
#[derive(Debug, Default)]
pub struct Answers {
    waiting: Mutex<HashMap<NotificationKey, Vec<Sender>>>,
    /// How long pushes that were acknowledged in time waited for that.
    waits: DurationHistogram,
}

type Sender = oneshot::Sender<Result<Forwarded, NotForwarded>>;

/// A push that waits. If it is dropped nobody waits any more.
#[derive(Debug)]
pub struct Waiting<'a> {
    answers: &'a Answers,
    key: NotificationKey,
    answer: oneshot::Receiver<Result<Forwarded, NotForwarded>>,
}

impl Answers {
    /// Enters a push. Whatever becomes of its notification from now on answers it.
    pub fn expect(&self, key: NotificationKey) -> Waiting<'_> {
        let (waiting, answer) = oneshot::channel();
        self.lock().entry(key.clone()).or_default().push(waiting);
        Waiting {
            answers: self,
            key,
            answer,
        }
    }

    /// A destination has acknowledged a notification.
    pub(in crate::forward) fn delivered(&self, key: &NotificationKey, _proof: Delivered) {
        self.answer(key, || Ok(Forwarded { _by_a_wait: () }));
    }

    /// A notification is in the file of dead letters.
    pub(in crate::forward) fn dead_lettered(&self, key: &NotificationKey) {
        self.answer(key, || Err(NotForwarded::DeadLetter));
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

    fn answer(&self, key: &NotificationKey, answer: impl Fn() -> Result<Forwarded, NotForwarded>) {
        // Outside of the lock: each wakes a task.
        let waiting = self.lock().remove(key);
        for waiting in waiting.into_iter().flatten() {
            drop(waiting.send(answer()));
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
        match timeout_at(deadline, &mut self.answer).await {
            Ok(Ok(answer)) => answer.inspect(|_| self.answers.waits.observe(begun.elapsed())),
            Ok(Err(_)) | Err(_) => Err(NotForwarded::Late),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // So that its own sender counts as one that nobody waits for.
        self.answer.close();
        let mut all = self.answers.lock();
        if let Some(waiting) = all.get_mut(&self.key) {
            waiting.retain(|waiting| !waiting.is_closed());
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
        answers.delivered(&key("1"), Delivered::stored());
        answers.dead_lettered(&key("3"));
        one.forwarded(soon()).await.unwrap();
        same.forwarded(soon()).await.unwrap();
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
    async fn one_that_leaves_takes_no_other_along() {
        let answers = Answers::default();
        let (leaves, stays) = (answers.expect(key("1")), answers.expect(key("1")));
        drop(leaves);
        assert_eq!(answers.waiting(), 1);
        // Answered before it waits.
        answers.delivered(&key("1"), Delivered::duplicate());
        stays.forwarded(soon()).await.unwrap();
        assert_eq!(answers.waiting(), 0);
    }
}
