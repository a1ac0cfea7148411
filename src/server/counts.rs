//! Counts requests with atomics, so that counting costs a push next to nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use strum::{EnumCount as _, IntoEnumIterator as _};

use crate::journal::escaped;
use crate::meter::DurationHistogram;
use crate::mns::Notification;
use crate::server::reason::Reason;

/// How many subscriptions are counted separately. Later ones are counted together as [`OTHERS`].
/// An account can subscribe this address to any number of topics: this limit and that of the
/// owners bound the memory and the number of metric series.
const SUBSCRIPTIONS_MAX: usize = 200;
/// How many owners of topics are listed. Later owners are not listed.
const OWNERS_MAX: usize = 50;
/// The name under which the remaining subscriptions are counted.
const OTHERS: &str = "other";

/// The counts of an endpoint.
///
/// Each count is independent and publishes no other memory, so all orderings are relaxed.
#[derive(Debug)]
pub struct Counts {
    /// Requests answered 201.
    pub accepted: AtomicU64,
    /// The time from the arrival of the whole request to the verdict on its signature, including
    /// any fetch of the certificate.
    pub verify: DurationHistogram,
    /// The time from the hand-over of the entry until the journal answers.
    pub commit: DurationHistogram,
    /// The time from the first byte of an accepted request to its answer.
    pub answer: DurationHistogram,
    /// Our clock minus the Date of the last verified push, in seconds; [`NO_SKEW`] before the
    /// first.
    skew_seconds: AtomicI64,
    /// Refused requests that MNS signed.
    pub refused_signed: AtomicU64,
    /// Refused requests that are not proved to be signed by MNS.
    pub refused_unsigned: AtomicU64,
    reasons: [AtomicU64; Reason::COUNT],
    subscriptions: ArcSwap<Subscriptions>,
    owners: ArcSwap<BTreeSet<Vec<u8>>>,
}

/// The value of `skew_seconds` before the first verified push.
const NO_SKEW: i64 = i64::MIN;

/// By topic, then by subscription.
type Subscriptions = HashMap<Vec<u8>, HashMap<Vec<u8>, Arc<SubscriptionTotals>>>;

/// The counts of one subscription.
#[derive(Debug, Default)]
struct SubscriptionTotals {
    accepted: AtomicU64,
    last_second: AtomicU64,
    /// Whether the last push of the subscription was refused, so that MNS waits before it sends the
    /// next.
    is_backing_off: AtomicBool,
}

/// A copy of the counts of one subscription, with its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionCount {
    /// The topic.
    pub topic: String,
    /// The subscription.
    pub subscription: String,
    /// Notifications answered 201.
    pub accepted: u64,
    /// When the last notification that was answered 201 arrived, in seconds of Unix time.
    pub last_second: u64,
    /// Whether the last push of this subscription was refused and none was accepted since.
    pub is_backing_off: bool,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::default(),
            verify: DurationHistogram::default(),
            commit: DurationHistogram::default(),
            answer: DurationHistogram::default(),
            skew_seconds: AtomicI64::new(NO_SKEW),
            refused_signed: AtomicU64::default(),
            refused_unsigned: AtomicU64::default(),
            reasons: std::array::from_fn(|_| AtomicU64::default()),
            subscriptions: ArcSwap::default(),
            owners: ArcSwap::default(),
        }
    }
}

impl Counts {
    /// Counts a refusal, or a remark on an accepted request, under its reason.
    pub(super) fn count(&self, reason: Reason) {
        // The array has an element for each variant, so the index is always valid.
        if let Some(count) = self.reasons.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a refusal by its reason and by whether MNS signed the request.
    pub(super) fn count_refusal(&self, reason: Reason, is_signed: bool) {
        // Count signed and unsigned requests separately, because strangers can raise the number of
        // unsigned requests at will.
        let (signed, unsigned) = (&self.refused_signed, &self.refused_unsigned);
        let count = if is_signed { signed } else { unsigned };
        count.fetch_add(1, Ordering::Relaxed);
        self.count(reason);
    }

    /// Stores the difference between our clock and the date of a verified push.
    pub(super) fn note_skew(&self, seconds: i64) {
        self.skew_seconds.store(seconds, Ordering::Relaxed);
    }

    /// Our clock minus the Date of the last verified push, in seconds. `None` before the first.
    #[must_use]
    pub fn skew_seconds(&self) -> Option<i64> {
        Some(self.skew_seconds.load(Ordering::Relaxed)).filter(|seconds| *seconds != NO_SKEW)
    }

    /// Counts a notification that was committed to disk.
    pub(super) fn note_accepted(&self, notification: &Notification<'_>, now: SystemTime) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.note_owner(&notification.topic_owner);
        let totals = self.totals(&notification.topic_name, &notification.subscription_name);
        let second = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        totals.accepted.fetch_add(1, Ordering::Relaxed);
        // Pushes finish out of order, so keep the latest time.
        totals.last_second.fetch_max(second, Ordering::Relaxed);
        totals.is_backing_off.store(false, Ordering::Relaxed);
    }

    /// Records that a push that MNS signed was refused: MNS now waits before it sends the next
    /// push. Only a subscription that has had an accepted push is in the table: otherwise anyone
    /// could fill it by subscribing this address to their own topics.
    pub(super) fn note_refused(&self, notification: &Notification<'_>) {
        let all = self.subscriptions.load();
        let totals = all
            .get(notification.topic_name.as_ref())
            .and_then(|of_topic| of_topic.get(notification.subscription_name.as_ref()));
        if let Some(totals) = totals {
            totals.is_backing_off.store(true, Ordering::Relaxed);
        }
    }

    fn note_owner(&self, owner: &[u8]) {
        let is_settled =
            |owners: &BTreeSet<Vec<u8>>| owners.contains(owner) || owners.len() >= OWNERS_MAX;
        // The usual case: a load without a lock or a copy.
        if is_settled(&self.owners.load()) {
            return;
        }
        // Copying the whole set is cheap enough, because it happens once for each owner.
        self.owners.rcu(|owners| {
            let mut owners = BTreeSet::clone(owners);
            // Check again: another push may have added the owner meanwhile.
            if !is_settled(&owners) {
                owners.insert(owner.to_vec());
            }
            owners
        });
    }

    /// The owners of the topics whose notifications were accepted, in sorted order.
    #[must_use]
    pub fn owners(&self) -> Vec<String> {
        self.owners
            .load()
            .iter()
            .map(|owner| escaped(owner))
            .collect()
    }

    fn totals(&self, topic: &[u8], subscription: &[u8]) -> Arc<SubscriptionTotals> {
        let find = |all: &Subscriptions, topic: &[u8], subscription: &[u8]| {
            all.get(topic)
                .and_then(|of_topic| of_topic.get(subscription))
                .cloned()
        };
        if let Some(totals) = find(&self.subscriptions.load(), topic, subscription) {
            return totals;
        }
        // Look for the entry of the others before the map is copied: once the map is full, pushes
        // must not cost a copy each.
        if let Some(others) = self.others() {
            return others;
        }
        // Copying the whole map is cheap enough, because it happens once for each subscription.
        self.subscriptions.rcu(|all| {
            let mut all = Subscriptions::clone(all);
            let is_full = all.values().map(HashMap::len).sum::<usize>() >= SUBSCRIPTIONS_MAX;
            let (topic, subscription) = if is_full {
                (OTHERS.as_bytes(), OTHERS.as_bytes())
            } else {
                (topic, subscription)
            };
            all.entry(topic.to_vec())
                .or_default()
                .entry(subscription.to_vec())
                .or_default();
            all
        });
        // Look the subscription up again, because another push may have filled the map meanwhile.
        let all = self.subscriptions.load();
        let found = find(&all, topic, subscription);
        // Either the subscription or the entry of the others is found, because entries are never
        // removed.
        found
            .or_else(|| find(&all, OTHERS.as_bytes(), OTHERS.as_bytes()))
            .unwrap_or_default()
    }

    /// The entry that counts the remaining subscriptions, once [`SUBSCRIPTIONS_MAX`] are counted.
    fn others(&self) -> Option<Arc<SubscriptionTotals>> {
        self.subscriptions
            .load()
            .get(OTHERS.as_bytes())?
            .get(OTHERS.as_bytes())
            .cloned()
    }

    /// How many times each reason was given.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::iter()
            .zip(&self.reasons)
            .map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }

    /// The counts of each subscription, with its names.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<SubscriptionCount> {
        let all = self.subscriptions.load();
        let mut counts = Vec::new();
        #[expect(clippy::iter_over_hash_type, reason = "sorted right below")]
        for (topic, of_topic) in all.iter() {
            counts.extend(
                of_topic
                    .iter()
                    .map(|(subscription, totals)| SubscriptionCount {
                        topic: escaped(topic),
                        subscription: escaped(subscription),
                        accepted: totals.accepted.load(Ordering::Relaxed),
                        last_second: totals.last_second.load(Ordering::Relaxed),
                        is_backing_off: totals.is_backing_off.load(Ordering::Relaxed),
                    }),
            );
        }
        counts.sort_by(|a, b| (&a.topic, &a.subscription).cmp(&(&b.topic, &b.subscription)));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_past_the_bound_are_counted_together() {
        let counts = Counts::default();
        for number in 0..SUBSCRIPTIONS_MAX + 50 {
            let name = number.to_string();
            // Twice: the first use of a name adds it, and the second finds it.
            for _ in 0..2 {
                counts
                    .totals(b"t", name.as_bytes())
                    .accepted
                    .fetch_add(1, Ordering::Relaxed);
            }
        }
        let all = counts.subscriptions();
        assert_eq!(all.len(), SUBSCRIPTIONS_MAX + 1);
        let others = all.iter().find(|count| count.topic == OTHERS).unwrap();
        assert_eq!((others.accepted, all[1].accepted), (100, 2));
    }

    #[test]
    fn owners_are_listed_once_each_up_to_the_bound() {
        let counts = Counts::default();
        for number in (0..OWNERS_MAX + 10).chain([0, 1]) {
            counts.note_owner(format!("{number:03}").as_bytes());
        }
        assert_eq!(
            counts.owners(),
            (0..OWNERS_MAX)
                .map(|number| format!("{number:03}"))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let counts = Counts::default();
        for reason in Reason::iter() {
            counts.count(reason);
        }
        assert!(counts.reasons().all(|(_, count)| count == 1));
    }
}
