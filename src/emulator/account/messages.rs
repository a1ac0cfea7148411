//! Messages: published once, stored until every subscription has them.

use std::collections::BTreeSet;
use std::time::Duration;

use redb::{ReadableTable, WriteTransaction};

use crate::emulator::account::account::Account;
use crate::emulator::account::books::Commit;
use crate::emulator::account::copies;
use crate::emulator::account::error::AccountError;
use crate::emulator::account::names::{self, Key};
use crate::emulator::account::tables::{
    COPIES, DELIVERIES, MESSAGES, NUMBERS, SUBSCRIPTIONS, TOPICS, document, subscriptions_of,
};
use crate::emulator::account::topics::topic_of;
use crate::emulator::delivery::Target;
use crate::emulator::push::new_message_id;
use crate::emulator::refusal::Refusal;
use crate::mns::api::Subscription;

/// The maximum number of undelivered messages of all subscriptions. Beyond it nothing is published.
const DELIVERIES_MAX: u64 = 1_000_000;

/// A message from a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct NewMessage {
    /// The text, unchanged.
    pub(in crate::emulator) body: String,
    /// Its tag, or nothing.
    pub(in crate::emulator) tag: String,
}

/// A published message, and the subscriptions for which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct Queued {
    /// The message's id.
    pub(in crate::emulator) message_id: String,
    /// The subscriptions' names.
    pub(in crate::emulator) subscriptions: Vec<String>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct Message {
    /// Its id.
    pub(in crate::emulator) id: String,
    /// Its tag, or nothing.
    pub(in crate::emulator) tag: String,
    /// The message.
    pub(in crate::emulator) body: String,
    /// Milliseconds since 1970.
    pub(in crate::emulator) publish_time: u64,
}

/// One undelivered message of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct Delivery {
    /// The message's number in its topic, from 0.
    pub(in crate::emulator) number: u64,
    /// When its next push is due, in milliseconds since 1970.
    due_ms: u64,
    /// How many pushes of it failed.
    pub(in crate::emulator) failures: u32,
    /// The message.
    pub(in crate::emulator) message: Message,
}

/// What a subscription has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct Due {
    /// The subscription.
    pub(in crate::emulator) subscription: Subscription,
    /// The deliveries that are due, the oldest first.
    pub(in crate::emulator) deliveries: Vec<Delivery>,
    /// The time until the next one is due, if there is one.
    pub(in crate::emulator) next: Option<Duration>,
}

/// The outcome of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emulator) enum Outcome {
    /// The subscription has the message, or will never get it.
    Done,
    /// Another push is due after this time.
    Again(Duration),
}

impl Account {
    /// Stores a message for every subscription whose filter it passes.
    pub(in crate::emulator) async fn publish(
        &self,
        topic: String,
        new: NewMessage,
    ) -> Result<Queued, AccountError> {
        names::check_tag(&new.tag)?;
        let now = milliseconds(self.unix_time());
        self.write(Commit::Durable, move |transaction| {
            let bytes_max =
                topic_of(&transaction.open_table(TOPICS)?, &topic)?.maximum_message_size;
            // A length that does not fit in `u32` is too large as well.
            if u32::try_from(new.body.len()).map_or(true, |bytes| bytes > bytes_max) {
                return Err(Refusal::InvalidArgument(format!(
                    "The message has more than {bytes_max} bytes."
                ))
                .into());
            }
            let message_id = new_message_id();
            // Assigned even if no subscription takes the message, so that the numbers, and with
            // them chaos, depend only on the order of publishing.
            let number = next_number(transaction, &topic)?;
            let mut subscriptions = Vec::new();
            subscriptions_of(
                &transaction.open_table(SUBSCRIPTIONS)?,
                &topic,
                |name, text| {
                    let attributes = document(text, Subscription::of_element)?.attributes;
                    let passes =
                        attributes.filter_tag.is_empty() || attributes.filter_tag == new.tag;
                    // The emulator stores subscriptions to queues, mail and short messages, but
                    // delivers nothing to them.
                    if passes && Target::parse(&attributes.endpoint).is_ok() {
                        subscriptions.push(name.to_owned());
                    }
                    Ok(())
                },
            )?;
            let mut deliveries = transaction.open_table(DELIVERIES)?;
            for name in &subscriptions {
                deliveries.insert((topic.as_str(), name.as_str(), now, number), 0)?;
            }
            // After the insertion: the error rolls the whole transaction back.
            if redb::ReadableTableMetadata::len(&deliveries)? > DELIVERIES_MAX {
                let text = format!(
                    "More than {DELIVERIES_MAX} messages are not delivered: nothing more is taken."
                );
                return Err(Refusal::InvalidArgument(text).into());
            }
            // Nobody would ever receive it or delete it otherwise.
            if !subscriptions.is_empty() {
                let row = (topic.as_str(), number);
                let copies = u32::try_from(subscriptions.len()).unwrap_or(u32::MAX);
                transaction.open_table(COPIES)?.insert(row, copies)?;
                let message = (
                    message_id.as_str(),
                    new.tag.as_str(),
                    new.body.as_str(),
                    now,
                );
                transaction.open_table(MESSAGES)?.insert(row, message)?;
            }
            Ok(Queued {
                message_id,
                subscriptions,
            })
        })
        .await
    }

    /// Returns what is due for a subscription: at most `limit` deliveries, without the messages in
    /// `in_flight`. `None` if the subscription does not exist.
    pub(in crate::emulator) async fn due(
        &self,
        key: Key,
        in_flight: BTreeSet<u64>,
        limit: usize,
    ) -> Result<Option<Due>, AccountError> {
        let now = milliseconds(self.unix_time());
        self.read(move |transaction| {
            let (topic, name) = (key.topic.as_str(), key.name.as_str());
            let subscriptions = transaction.open_table(SUBSCRIPTIONS)?;
            let Some(found) = subscriptions.get((topic, name))? else {
                return Ok(None);
            };
            let subscription = document(found.value(), Subscription::of_element)?;
            let messages = transaction.open_table(MESSAGES)?;
            let mut due = Due {
                subscription,
                deliveries: Vec::new(),
                next: None,
            };
            let all = (topic, name, 0, 0)..=(topic, name, u64::MAX, u64::MAX);
            for row in transaction.open_table(DELIVERIES)?.range(all)? {
                let (at, failures) = row?;
                let (_, _, due_ms, number) = at.value();
                // A delivery stays in the table while it is in flight, so that a crash cannot lose
                // it.
                if in_flight.contains(&number) {
                    continue;
                }
                // The rows are in the order of their due times, so no later row is due earlier.
                if due_ms > now || due.deliveries.len() >= limit {
                    due.next = Some(Duration::from_millis(due_ms.saturating_sub(now)));
                    break;
                }
                // `copies::drop_one` deletes a message after its last delivery, so it is always
                // found.
                let Some(message) = messages.get((topic, number))? else {
                    continue;
                };
                let (id, tag, body, publish_time) = message.value();
                let message = Message {
                    id: id.to_owned(),
                    tag: tag.to_owned(),
                    body: body.to_owned(),
                    publish_time,
                };
                due.deliveries.push(Delivery {
                    number,
                    due_ms,
                    failures: failures.value(),
                    message,
                });
            }
            Ok(Some(due))
        })
        .await
    }

    /// Stores the outcome of a push. A delivery that was deleted in the meantime stays deleted.
    pub(in crate::emulator) async fn settle(
        &self,
        key: Key,
        delivery: &Delivery,
        outcome: Outcome,
    ) -> Result<(), AccountError> {
        let (number, due_ms, failures) = (delivery.number, delivery.due_ms, delivery.failures);
        let now = self.unix_time();
        // Lazy, because delivery is at least once: if a crash loses the outcome, the message is
        // pushed again.
        self.write(Commit::Lazy, move |transaction| {
            let (topic, name) = (key.topic.as_str(), key.name.as_str());
            let mut deliveries = transaction.open_table(DELIVERIES)?;
            // Deleted with its subscription, or its due time was changed meanwhile.
            if deliveries.remove((topic, name, due_ms, number))?.is_none() {
                return Ok(());
            }
            match outcome {
                Outcome::Done => copies::drop_one(transaction, topic, number),
                Outcome::Again(after) => {
                    let due_ms = milliseconds(now.saturating_add(after));
                    deliveries.insert((topic, name, due_ms, number), failures.saturating_add(1))?;
                    Ok(())
                }
            }
        })
        .await
    }

    /// Counts the undelivered messages of a subscription.
    pub(in crate::emulator) async fn undelivered(&self, key: Key) -> Result<u64, AccountError> {
        self.read(move |transaction| {
            let (topic, name) = (key.topic.as_str(), key.name.as_str());
            let all = (topic, name, 0, 0)..=(topic, name, u64::MAX, u64::MAX);
            let mut count: u64 = 0;
            for row in transaction.open_table(DELIVERIES)?.range(all)? {
                // An unreadable row is an error. Skipping it would report an undelivered message as
                // delivered.
                row?;
                count = count.saturating_add(1);
            }
            Ok(count)
        })
        .await
    }
}

fn next_number(transaction: &WriteTransaction, topic: &str) -> Result<u64, AccountError> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    let number = numbers.get(topic)?.map_or(0, |number| number.value());
    numbers.insert(topic, number.saturating_add(1))?;
    Ok(number)
}

/// A time since 1970 in the unit of the tables.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
