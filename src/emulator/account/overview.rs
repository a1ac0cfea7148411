//! An overview of all topics and their undelivered messages, and making those messages due at once.

use redb::{ReadTransaction, ReadableTable as _};

use crate::emulator::account::account::Account;
use crate::emulator::account::books::Commit;
use crate::emulator::account::error::AccountError;
use crate::emulator::account::messages::milliseconds;
use crate::emulator::account::names::Key;
use crate::emulator::account::tables::{
    DELIVERIES, SUBSCRIPTIONS, TOPICS, document, subscriptions_of,
};
use crate::emulator::refusal::Refusal;
use crate::mns::api::Subscription;

/// The maximum count of a subscription's undelivered messages. An overview is requested repeatedly,
/// and pushes wait for the same thread.
pub(in crate::emulator) const COUNTED_MAX: usize = 1000;
/// The maximum number of subscriptions in an overview.
const LISTED_MAX: usize = 200;
/// The maximum number of messages that one request makes due.
// Bounded, because all other requests wait for this transaction.
const HASTENED_MAX: usize = 10_000;

/// A topic and the undelivered messages of its subscriptions.
pub(in crate::emulator) struct TopicOverview {
    pub(in crate::emulator) name: String,
    pub(in crate::emulator) subscriptions: Vec<Waiting>,
}

/// The undelivered messages of a subscription.
pub(in crate::emulator) struct Waiting {
    pub(in crate::emulator) subscription: Subscription,
    /// How many there are; [`COUNTED_MAX`] for that many or more.
    pub(in crate::emulator) undelivered: usize,
    /// When the first of them is due, in milliseconds since 1970.
    pub(in crate::emulator) due_ms: Option<u64>,
    /// How many pushes of the first one failed.
    pub(in crate::emulator) failures: u32,
}

/// All topics, and the first subscriptions of them.
pub(in crate::emulator) struct Overview {
    pub(in crate::emulator) topics: Vec<TopicOverview>,
    /// Whether there are more subscriptions than listed.
    pub(in crate::emulator) is_cut: bool,
}

impl Account {
    /// Reads all topics in one transaction, so that nothing changes in the meantime.
    pub(in crate::emulator) async fn overview(&self) -> Result<Overview, AccountError> {
        self.read(|transaction| {
            let subscriptions = transaction.open_table(SUBSCRIPTIONS)?;
            let mut topics = Vec::new();
            let (mut listed, mut is_cut) = (0_usize, false);
            for row in transaction.open_table(TOPICS)?.iter()? {
                let name = row?.0.value().to_owned();
                let mut found = Vec::new();
                subscriptions_of(&subscriptions, &name, |_, text| {
                    // The topic itself is listed all the same, so that one can publish to it.
                    if listed >= LISTED_MAX {
                        is_cut = true;
                        return Ok(());
                    }
                    listed = listed.saturating_add(1);
                    let subscription = document(text, Subscription::of_element)?;
                    found.push(waiting(transaction, subscription)?);
                    Ok(())
                })?;
                topics.push(TopicOverview {
                    name,
                    subscriptions: found,
                });
            }
            Ok(Overview { topics, is_cut })
        })
        .await
    }

    /// Makes the messages that wait for a retry due now. Returns their number. Messages that are
    /// due already are not changed: they may be in flight, and the outcome of a push is stored
    /// under the time at which it was due.
    pub(in crate::emulator) async fn hasten(&self, key: Key) -> Result<usize, AccountError> {
        let now = milliseconds(self.unix_time());
        // Lazy: after a crash these messages wait for their retries again, and none is lost.
        self.write(Commit::Lazy, move |transaction| {
            let (topic, name) = (key.topic.as_str(), key.name.as_str());
            if transaction
                .open_table(SUBSCRIPTIONS)?
                .get((topic, name))?
                .is_none()
            {
                return Err(Refusal::SubscriptionNotExist.into());
            }
            let mut deliveries = transaction.open_table(DELIVERIES)?;
            let later = (topic, name, now.saturating_add(1), 0)..=(topic, name, u64::MAX, u64::MAX);
            let mut found = Vec::new();
            for row in deliveries.range(later)?.take(HASTENED_MAX) {
                let (at, failures) = row?;
                let (_, _, due_ms, number) = at.value();
                found.push((due_ms, number, failures.value()));
            }
            // After the loop, because the iterator borrows the table.
            for (due_ms, number, failures) in &found {
                deliveries.remove((topic, name, *due_ms, *number))?;
                deliveries.insert((topic, name, now, *number), *failures)?;
            }
            Ok(found.len())
        })
        .await
    }
}

fn waiting(
    transaction: &ReadTransaction,
    subscription: Subscription,
) -> Result<Waiting, AccountError> {
    let (topic, name) = (subscription.topic_name.as_str(), subscription.name.as_str());
    let all = (topic, name, 0, 0)..=(topic, name, u64::MAX, u64::MAX);
    let (mut undelivered, mut first) = (0_usize, None);
    for row in transaction
        .open_table(DELIVERIES)?
        .range(all)?
        .take(COUNTED_MAX)
    {
        let (at, failures) = row?;
        // Rows are in the order of their due times, so the first one is due next.
        first = first.or(Some((at.value().2, failures.value())));
        undelivered = undelivered.saturating_add(1);
    }
    Ok(Waiting {
        undelivered,
        due_ms: first.map(|(due_ms, _)| due_ms),
        failures: first.map_or(0, |(_, failures)| failures),
        subscription,
    })
}
