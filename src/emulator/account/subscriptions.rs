//! Subscriptions: created, changed, described, listed and deleted.

use redb::ReadableTable;

use crate::emulator::account::account::{Account, Creation};
use crate::emulator::account::books::Commit;
use crate::emulator::account::copies;
use crate::emulator::account::error::AccountError;
use crate::emulator::account::names::{self, Key, Of, Page, Pages};
use crate::emulator::account::tables::{
    DELIVERIES, SUBSCRIPTIONS, TOPICS, document, subscriptions_of,
};
use crate::emulator::account::topics::topic_of;
use crate::emulator::delivery::Target;
use crate::emulator::refusal::Refusal;
use crate::mns::api::{Subscription, SubscriptionAttributes, SubscriptionChange};

/// The maximum number of subscriptions of a topic (`docs/emulator.md`).
const SUBSCRIPTIONS_MAX: usize = 100;
/// Endpoints of the service that the emulator only stores: queues, mail and short messages.
const OTHER_ENDPOINTS: [&str; 3] = ["acs:mns:", "mail:directmail:", "sms:directsms:"];
/// Host names that the service reserves for itself, in its own spelling.
const RESERVED_HOST: &str = "mns-reserverd-";

impl Account {
    /// Creates a subscription, unless it exists with the same attributes.
    pub(in crate::emulator) async fn subscribe(
        &self,
        key: Key,
        owner: String,
        attributes: SubscriptionAttributes,
    ) -> Result<Creation, AccountError> {
        names::check(&key.name, Of::Subscription)?;
        check_endpoint(&attributes.endpoint)?;
        names::check_tag(&attributes.filter_tag)?;
        let now = self.unix_time().as_secs();
        self.write(Commit::Durable, move |transaction| {
            // Fails if there is no such topic.
            topic_of(&transaction.open_table(TOPICS)?, &key.topic)?;
            let mut subscriptions = transaction.open_table(SUBSCRIPTIONS)?;
            let mut count: usize = 0;
            subscriptions_of(&subscriptions, &key.topic, |_, _| {
                count = count.saturating_add(1);
                Ok(())
            })?;
            let row = (key.topic.as_str(), key.name.as_str());
            if let Some(found) = subscriptions.get(row)? {
                let found = document(found.value(), Subscription::of_element)?;
                let is_same = found.attributes == attributes;
                return if is_same {
                    Ok(Creation::Unchanged)
                } else {
                    Err(Refusal::SubscriptionAlreadyExist.into())
                };
            }
            // After the look-up, so that a full topic still confirms a subscription that exists.
            if count >= SUBSCRIPTIONS_MAX {
                let text = format!("A topic has at most {SUBSCRIPTIONS_MAX} subscriptions.");
                return Err(Refusal::InvalidArgument(text).into());
            }
            let made = Subscription {
                name: key.name.clone(),
                topic_name: key.topic.clone(),
                // There is only one account, so the owner of the topic is the subscriber.
                topic_owner: owner.clone(),
                subscriber: owner,
                attributes,
                create_time: now,
                last_modify_time: now,
            };
            subscriptions.insert(row, made.to_element().document().as_str())?;
            Ok(Creation::New)
        })
        .await
    }

    /// Changes the given attributes.
    pub(in crate::emulator) async fn set_subscription(
        &self,
        key: Key,
        change: SubscriptionChange,
    ) -> Result<(), AccountError> {
        let now = self.unix_time().as_secs();
        self.write(Commit::Durable, move |transaction| {
            let mut subscriptions = transaction.open_table(SUBSCRIPTIONS)?;
            let row = (key.topic.as_str(), key.name.as_str());
            // The topic is not looked up: without one this operation answers SubscriptionNotExist
            // too (`docs/emulator.md`). The text is copied, because the table is written below.
            let found = subscriptions
                .get(row)?
                .ok_or(Refusal::SubscriptionNotExist)?
                .value()
                .to_owned();
            let mut changed = document(&found, Subscription::of_element)?;
            if let Some(strategy) = change.notify_strategy {
                changed.attributes.notify_strategy = strategy;
            }
            if let Some(queue) = change.dead_letter_queue {
                // An empty name disables the queue.
                changed.attributes.dead_letter_queue = (!queue.is_empty()).then_some(queue);
            }
            changed.last_modify_time = now;
            subscriptions.insert(row, changed.to_element().document().as_str())?;
            Ok(())
        })
        .await
    }

    /// Describes a subscription.
    pub(in crate::emulator) async fn subscription(
        &self,
        key: Key,
    ) -> Result<Subscription, AccountError> {
        self.read(move |transaction| {
            topic_of(&transaction.open_table(TOPICS)?, &key.topic)?;
            let subscriptions = transaction.open_table(SUBSCRIPTIONS)?;
            let found = subscriptions.get((key.topic.as_str(), key.name.as_str()))?;
            document(
                found.ok_or(Refusal::SubscriptionNotExist)?.value(),
                Subscription::of_element,
            )
        })
        .await
    }

    /// Lists the subscriptions of a topic.
    pub(in crate::emulator) async fn subscriptions(
        &self,
        topic: String,
        page: Page,
    ) -> Result<Pages<Subscription>, AccountError> {
        self.read(move |transaction| {
            topic_of(&transaction.open_table(TOPICS)?, &topic)?;
            let mut found = Vec::new();
            subscriptions_of(
                &transaction.open_table(SUBSCRIPTIONS)?,
                &topic,
                |name, text| {
                    found.push((name.to_owned(), document(text, Subscription::of_element)?));
                    Ok(())
                },
            )?;
            Ok(page.of(found.into_iter()))
        })
        .await
    }

    /// Lists every subscription of the account.
    pub(in crate::emulator) async fn all_subscriptions(
        &self,
    ) -> Result<Vec<Subscription>, AccountError> {
        self.read(|transaction| {
            let mut found = Vec::new();
            for row in transaction.open_table(SUBSCRIPTIONS)?.iter()? {
                found.push(document(row?.1.value(), Subscription::of_element)?);
            }
            Ok(found)
        })
        .await
    }

    /// Deletes a subscription with its undelivered messages.
    pub(in crate::emulator) async fn unsubscribe(&self, key: Key) -> Result<(), AccountError> {
        self.write(Commit::Durable, move |transaction| {
            let (topic, name) = (key.topic.as_str(), key.name.as_str());
            transaction
                .open_table(SUBSCRIPTIONS)?
                // Whether it existed does not matter: the answer is 204 in both cases.
                .remove((topic, name))?;
            // Collected, because the closure of `retain_in` cannot return an error of `drop_one`.
            let mut numbers = Vec::new();
            let all = (topic, name, 0, 0)..=(topic, name, u64::MAX, u64::MAX);
            transaction
                .open_table(DELIVERIES)?
                .retain_in(all, |(_, _, _, number), _| {
                    numbers.push(number);
                    false
                })?;
            numbers
                .into_iter()
                .try_for_each(|number| copies::drop_one(transaction, topic, number))
        })
        .await
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), Refusal> {
    if OTHER_ENDPOINTS
        .iter()
        .any(|scheme| endpoint.starts_with(scheme))
    {
        return Ok(());
    }
    let target =
        Target::parse(endpoint).map_err(|error| Refusal::EndpointInvalid(error.to_string()))?;
    if target.host().starts_with(RESERVED_HOST) {
        return Err(Refusal::EndpointInvalid(format!(
            "hosts that begin with {RESERVED_HOST} are the service's own"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_those_that_the_service_knows() {
        for endpoint in [
            "http://a.example",
            "https://a.example:8443/x?y",
            "acs:mns:cn-hangzhou:1:queues/q",
            "mail:directmail:a@b",
            "sms:directsms:anonymous",
        ] {
            assert_eq!(check_endpoint(endpoint), Ok(()), "{endpoint}");
        }
        for endpoint in [
            "",
            "a.example",
            "ftp://a",
            "http://mns-reserverd-a.example/",
            "http://u@a/",
        ] {
            assert!(
                matches!(check_endpoint(endpoint), Err(Refusal::EndpointInvalid(_))),
                "{endpoint}"
            );
        }
    }
}
