//! Topics: created, changed, described, listed and deleted.

use redb::{ReadTransaction, ReadableTable};

use crate::emulator::account::account::{Account, Creation};
use crate::emulator::account::books::Commit;
use crate::emulator::account::error::AccountError;
use crate::emulator::account::names::{self, Of, Page, Pages};
use crate::emulator::account::tables::{
    COPIES, DELIVERIES, MESSAGES, NUMBERS, SUBSCRIPTIONS, TOPICS, document,
};
use crate::emulator::refusal::Refusal;
use crate::mns::api::{Topic, TopicAttributes};

/// The maximum number of topics of an account (`docs/emulator.md`).
const TOPICS_MAX: u64 = 1000;
/// The allowed values for the size of a topic's largest message, in bytes.
const MESSAGE_SIZES: std::ops::RangeInclusive<u32> = 1024..=65_536;
/// The largest message of a topic that was created without a size, in bytes.
const MESSAGE_SIZE_DEFAULT: u32 = 65_536;
/// How long the service stores a message, in seconds.
// Only reported. The strategy of the subscription alone ends the retries of a message.
const RETENTION_SECONDS: u64 = 86_400;

impl Account {
    /// Creates a topic, unless it exists with the same attributes.
    pub(in crate::emulator) async fn create_topic(
        &self,
        name: String,
        attributes: TopicAttributes,
    ) -> Result<Creation, AccountError> {
        names::check(&name, Of::Topic)?;
        let now = self.unix_time().as_secs();
        let topic = with(
            Topic {
                name,
                maximum_message_size: MESSAGE_SIZE_DEFAULT,
                message_retention_period: RETENTION_SECONDS,
                message_count: 0,
                logging_enabled: false,
                create_time: now,
                last_modify_time: now,
            },
            attributes,
        )?;
        self.write(Commit::Durable, move |transaction| {
            let mut topics = transaction.open_table(TOPICS)?;
            if let Some(found) = topics.get(topic.name.as_str())? {
                let found = document(found.value(), Topic::of_element)?;
                // Only what a client can set. The times and the count are the service's own.
                let is_same = found.maximum_message_size == topic.maximum_message_size
                    && found.logging_enabled == topic.logging_enabled;
                return if is_same {
                    Ok(Creation::Unchanged)
                } else {
                    Err(Refusal::TopicAlreadyExist.into())
                };
            }
            // After the look-up, so that a full account still confirms a topic that exists.
            if redb::ReadableTableMetadata::len(&topics)? >= TOPICS_MAX {
                return Err(Refusal::InvalidArgument(format!(
                    "An account has at most {TOPICS_MAX} topics."
                ))
                .into());
            }
            topics.insert(topic.name.as_str(), topic.to_element().document().as_str())?;
            Ok(Creation::New)
        })
        .await
    }

    /// Changes the given attributes.
    pub(in crate::emulator) async fn set_topic(
        &self,
        name: String,
        attributes: TopicAttributes,
    ) -> Result<(), AccountError> {
        let now = self.unix_time().as_secs();
        self.write(Commit::Durable, move |transaction| {
            let mut topics = transaction.open_table(TOPICS)?;
            let topic = with(topic_of(&topics, &name)?, attributes)?;
            let topic = Topic {
                last_modify_time: now,
                ..topic
            };
            topics.insert(name.as_str(), topic.to_element().document().as_str())?;
            Ok(())
        })
        .await
    }

    /// Describes a topic. Its message count is the number of undelivered messages.
    pub(in crate::emulator) async fn topic(&self, name: String) -> Result<Topic, AccountError> {
        self.read(move |transaction| {
            counted(
                transaction,
                topic_of(&transaction.open_table(TOPICS)?, &name)?,
            )
        })
        .await
    }

    /// Lists topics.
    pub(in crate::emulator) async fn topics(
        &self,
        page: Page,
    ) -> Result<Pages<Topic>, AccountError> {
        self.read(move |transaction| {
            let mut found = Vec::new();
            for row in transaction.open_table(TOPICS)?.iter()? {
                let (name, text) = row?;
                found.push((
                    name.value().to_owned(),
                    document(text.value(), Topic::of_element)?,
                ));
            }
            let page = page.of(found.into_iter());
            // Counted for this page only, because a count reads every message of the topic.
            let entries = page
                .entries
                .into_iter()
                .map(|topic| counted(transaction, topic));
            Ok(Pages {
                entries: entries.collect::<Result<_, _>>()?,
                next_marker: page.next_marker,
            })
        })
        .await
    }

    /// Deletes a topic with everything that belongs to it. Returns whether it existed.
    pub(in crate::emulator) async fn delete_topic(
        &self,
        name: String,
    ) -> Result<bool, AccountError> {
        self.write(Commit::Durable, move |transaction| {
            let topic = name.as_str();
            transaction.open_table(NUMBERS)?.remove(topic)?;
            transaction
                .open_table(SUBSCRIPTIONS)?
                .retain(|key, _| key.0 != topic)?;
            transaction
                .open_table(MESSAGES)?
                .retain(|key, _| key.0 != topic)?;
            transaction
                .open_table(COPIES)?
                .retain(|key, _| key.0 != topic)?;
            transaction
                .open_table(DELIVERIES)?
                .retain(|key, _| key.0 != topic)?;
            Ok(transaction.open_table(TOPICS)?.remove(topic)?.is_some())
        })
        .await
    }
}

/// A topic of the account.
pub(super) fn topic_of(
    topics: &impl ReadableTable<&'static str, &'static str>,
    name: &str,
) -> Result<Topic, AccountError> {
    let found = topics.get(name)?.ok_or(Refusal::TopicNotExist)?;
    document(found.value(), Topic::of_element)
}

fn with(topic: Topic, attributes: TopicAttributes) -> Result<Topic, Refusal> {
    let maximum_message_size = attributes
        .maximum_message_size
        .unwrap_or(topic.maximum_message_size);
    if !MESSAGE_SIZES.contains(&maximum_message_size) {
        return Err(Refusal::InvalidArgument(format!(
            "MaximumMessageSize must be from {} to {}.",
            MESSAGE_SIZES.start(),
            MESSAGE_SIZES.end()
        )));
    }
    let logging_enabled = attributes.logging_enabled.unwrap_or(topic.logging_enabled);
    Ok(Topic {
        maximum_message_size,
        logging_enabled,
        ..topic
    })
}

fn counted(transaction: &ReadTransaction, topic: Topic) -> Result<Topic, AccountError> {
    let messages = transaction.open_table(MESSAGES)?;
    let name = topic.name.as_str();
    let mut message_count: u64 = 0;
    for row in messages.range((name, 0)..=(name, u64::MAX))? {
        row?;
        message_count = message_count.saturating_add(1);
    }
    Ok(Topic {
        message_count,
        ..topic
    })
}
