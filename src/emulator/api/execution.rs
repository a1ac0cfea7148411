//! Executes an operation: calls the account, and wakes the pusher if there is something to push.

use bytes::Bytes;
use http::{Request, StatusCode};

use crate::emulator::account::{AccountError, NewMessage};
use crate::emulator::api::answer::Answer;
use crate::emulator::api::operation::Operation;
use crate::emulator::api::request::{Attributes, page, read, wants_attributes};
use crate::emulator::emulator::Emulator;
use crate::mns::api::{
    self, SubscriptionAttributes, SubscriptionChange, TopicAttributes, UnexpectedDocument,
};
use crate::mns::{ContentMd5, Element};

/// The prefix of addresses in answers.
// The emulator has no TLS.
pub(super) const SCHEME: &str = "http://";

/// Executes the operation of a request. `base` is the address that the client used.
pub(super) async fn carry_out(
    emulator: &Emulator,
    base: &str,
    operation: Operation,
    request: &Request<Bytes>,
) -> Result<Answer, AccountError> {
    let account = &emulator.account;
    match operation {
        Operation::CreateTopic(topic) => {
            let attributes = read(request, TopicAttributes::of_element)?;
            let location = format!("{base}/topics/{topic}");
            Ok(Answer::created(
                account.create_topic(topic, attributes).await?,
                location,
            ))
        }
        Operation::SetTopicAttributes(topic) => {
            account
                .set_topic(topic, read(request, TopicAttributes::of_element)?)
                .await?;
            Ok(Answer::done())
        }
        Operation::GetTopicAttributes(topic) => {
            Ok(Answer::found(account.topic(topic).await?.to_element()))
        }
        Operation::DeleteTopic(topic) => {
            // Whether it existed does not matter: the answer is 204 in both cases
            // (`docs/emulator.md`).
            account.delete_topic(topic.clone()).await?;
            // The tasks find that their subscriptions are gone, and end.
            emulator.pusher.wake_all_of(&topic);
            Ok(Answer::done())
        }
        Operation::ListTopic => {
            let topics = account.topics(page(request)?).await?;
            let entry = |topic: api::Topic| {
                let url = Element::of_text("TopicURL", format!("{base}/topics/{}", topic.name));
                entry(url, topic.to_element(), wants_attributes(request))
            };
            Ok(Answer::list("Topics", topics, entry))
        }
        Operation::Subscribe(key) => {
            let attributes = read(request, SubscriptionAttributes::of_element)?;
            // The service omits the scheme here, unlike for a topic.
            let host = base.strip_prefix(SCHEME).unwrap_or(base);
            let location = format!("{host}/topics/{}/subscriptions/{}", key.topic, key.name);
            let owner = emulator.account_of(base).to_owned();
            let made = account.subscribe(key.clone(), owner, attributes).await?;
            // After the account has stored it: a task that finds no subscription ends.
            emulator.pusher.wake(key);
            Ok(Answer::created(made, location))
        }
        Operation::SetSubscriptionAttributes(key) => {
            account
                .set_subscription(key, read(request, SubscriptionChange::of_element)?)
                .await?;
            Ok(Answer::done())
        }
        Operation::GetSubscriptionAttributes(key) => {
            Ok(Answer::found(account.subscription(key).await?.to_element()))
        }
        Operation::Unsubscribe(key) => {
            account.unsubscribe(key.clone()).await?;
            emulator.pusher.wake(key);
            Ok(Answer::done())
        }
        Operation::ListSubscriptionByTopic(topic) => {
            let subscriptions = account.subscriptions(topic.clone(), page(request)?).await?;
            let entry = |subscription: api::Subscription| {
                let url = format!("{base}/topics/{topic}/subscriptions/{}", subscription.name);
                let url = Element::of_text("SubscriptionURL", url);
                entry(url, subscription.to_element(), wants_attributes(request))
            };
            Ok(Answer::list("Subscriptions", subscriptions, entry))
        }
        Operation::PublishMessage(topic) => publish(emulator, topic, request).await,
    }
}

async fn publish(
    emulator: &Emulator,
    topic: String,
    request: &Request<Bytes>,
) -> Result<Answer, AccountError> {
    let new = read(request, |message| {
        // Without this check any document with a MessageBody would be published.
        if message.name != "Message" {
            return Err(UnexpectedDocument::Root {
                found: message.name.clone(),
                wanted: "Message",
            });
        }
        let body = api::text(message, "MessageBody")?
            .ok_or(UnexpectedDocument::Missing("MessageBody"))?
            .to_owned();
        Ok(NewMessage {
            body,
            tag: api::text(message, "MessageTag")?
                .unwrap_or_default()
                .to_owned(),
        })
    })?;
    // Before `publish`, which consumes the message.
    let md5 = ContentMd5::of(new.body.as_bytes()).upper_hex();
    let queued = emulator.publish(topic, new).await?;
    let texts = [("MessageId", queued.message_id), ("MessageBodyMD5", md5)];
    let children = texts
        .map(|(name, text)| Element::of_text(name, text))
        .into();
    Ok(Answer::of(
        StatusCode::CREATED,
        Element::of_children("Message", children),
    ))
}

/// Makes an entry of a list from its address and its description.
fn entry(address: Element, description: Element, attributes: Attributes) -> Element {
    let attributes = match attributes {
        Attributes::LeftOut => Vec::new(),
        Attributes::Listed => description.children,
    };
    Element::of_children(
        &description.name,
        std::iter::once(address).chain(attributes).collect(),
    )
}
