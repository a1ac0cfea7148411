//! The values of an envelope by name, collected while it is read.

use std::borrow::Cow;

use crate::mns::content_format::ContentFormat;
use crate::mns::notification::{ATTRIBUTES, InvalidNotification, Notification};

/// The values of an envelope by name, collected while it is read.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    values: [Option<Cow<'a, str>>; ATTRIBUTES.len()],
}

impl<'a> Envelope<'a> {
    /// Sets a value. Names that are not attributes are ignored.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Cow<'a, str>,
    ) -> Result<(), InvalidNotification> {
        for (known, slot) in ATTRIBUTES.iter().zip(&mut self.values) {
            if *known == name {
                // Of two values some readers take the first and some the last, so there is no right
                // one.
                return match slot.replace(value) {
                    None => Ok(()),
                    Some(_) => Err(InvalidNotification::ElementDoubled(known)),
                };
            }
        }
        Ok(())
    }

    /// Leaves absent values empty.
    pub(super) fn into_partial(self, format: ContentFormat) -> Notification<'a> {
        let [
            md5,
            owner,
            time,
            subscriber,
            tag,
            subscription,
            id,
            message,
            topic,
        ] = self
            .values
            .map(|value| value.map(into_bytes).unwrap_or_default());
        Notification {
            format,
            message_md5: md5,
            topic_owner: owner,
            publish_time: time,
            subscriber,
            message_tag: tag,
            subscription_name: subscription,
            message_id: id,
            message,
            topic_name: topic,
        }
    }

    /// Requires the eight mandatory elements. One that is present but empty counts as present.
    pub(super) fn into_notification(
        self,
        format: ContentFormat,
    ) -> Result<Notification<'a>, InvalidNotification> {
        let [
            md5,
            owner,
            time,
            subscriber,
            tag,
            subscription,
            id,
            message,
            topic,
        ] = self.values;
        let needed = |value: Option<Cow<'a, str>>, name| {
            value
                .map(into_bytes)
                .ok_or(InvalidNotification::ElementMissing(name))
        };
        Ok(Notification {
            format,
            topic_owner: needed(owner, "TopicOwner")?,
            topic_name: needed(topic, "TopicName")?,
            subscriber: needed(subscriber, "Subscriber")?,
            subscription_name: needed(subscription, "SubscriptionName")?,
            message_id: needed(id, "MessageId")?,
            message_md5: needed(md5, "MessageMD5")?,
            message: needed(message, "Message")?,
            publish_time: needed(time, "PublishTime")?,
            message_tag: tag.map(into_bytes).unwrap_or_default(),
        })
    }
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
