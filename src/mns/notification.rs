//! A notification: the content of a push, whichever of the three formats it has.

use std::borrow::Cow;

use crate::mns::content_format::ContentFormat;
use crate::mns::content_md5::ContentMd5;

/// The nine attributes, in the order in which the manual's endpoint prints them.
pub const ATTRIBUTES: [&str; 9] = [
    "MessageMD5",
    "TopicOwner",
    "PublishTime",
    "Subscriber",
    "MessageTag",
    "SubscriptionName",
    "MessageId",
    "Message",
    "TopicName",
];

/// The attributes of a notification as they were published: decoded once, never trimmed.
///
/// Values are bytes, because the message of a SIMPLIFIED push and its header values may be
/// arbitrary bytes. An absent optional attribute is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification<'a> {
    /// The format of the push.
    pub format: ContentFormat,
    /// Upper-case hex MD5 of the message, as MNS states it. For a SIMPLIFIED push, that of its
    /// body.
    pub message_md5: Cow<'a, [u8]>,
    /// Account id of the topic's owner.
    pub topic_owner: Cow<'a, [u8]>,
    /// Milliseconds since 1970, as text.
    pub publish_time: Cow<'a, [u8]>,
    /// Account id of the subscription's owner.
    pub subscriber: Cow<'a, [u8]>,
    /// The publisher's tag, or empty.
    pub message_tag: Cow<'a, [u8]>,
    /// The subscription's name.
    pub subscription_name: Cow<'a, [u8]>,
    /// Opaque; the same on every retry.
    pub message_id: Cow<'a, [u8]>,
    /// The message. Base64 is not decoded: nothing in a push says whether the publisher meant it.
    pub message: Cow<'a, [u8]>,
    /// The topic's name.
    pub topic_name: Cow<'a, [u8]>,
}

/// A body that is not a notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNotification {
    /// Neither XML nor JSON, and no `x-mns-message-id` that would make it SIMPLIFIED.
    #[error("the body is neither XML nor JSON, and there is no x-mns-message-id header")]
    NotRecognised,
    /// Not well-formed, or the root is not a notification.
    #[error("the body is malformed: {0}")]
    Malformed(String),
    /// An XML or JSON body that is not UTF-8, or that declares another encoding.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// There is a document type. MNS never sends one, and entity bombs need one.
    #[error("the body has a document type declaration")]
    DocumentType,
    /// A required element is absent.
    #[error("the element {0} is missing")]
    ElementMissing(&'static str),
    /// An element occurs twice.
    #[error("the element {0} is there more than once")]
    ElementDoubled(&'static str),
}

impl<'a> Notification<'a> {
    /// The same, owning its values.
    #[must_use]
    pub fn into_owned(self) -> Notification<'static> {
        let owned = |value: Cow<'a, [u8]>| Cow::Owned(value.into_owned());
        Notification {
            format: self.format,
            message_md5: owned(self.message_md5),
            topic_owner: owned(self.topic_owner),
            publish_time: owned(self.publish_time),
            subscriber: owned(self.subscriber),
            message_tag: owned(self.message_tag),
            subscription_name: owned(self.subscription_name),
            message_id: owned(self.message_id),
            message: owned(self.message),
            topic_name: owned(self.topic_name),
        }
    }

    /// The identity of a notification: owner, topic, subscription and message id. Two deliveries
    /// with the same identity are duplicates.
    #[must_use]
    pub fn identity(&self) -> [&[u8]; 4] {
        [
            &self.topic_owner,
            &self.topic_name,
            // Two subscriptions may push the same message to one endpoint, and neither is a
            // duplicate.
            &self.subscription_name,
            &self.message_id,
        ]
    }

    /// The attributes with their names, in the order of [`ATTRIBUTES`].
    #[must_use]
    pub fn attributes(&self) -> [(&'static str, &[u8]); 9] {
        let values: [&[u8]; 9] = [
            &self.message_md5,
            &self.topic_owner,
            &self.publish_time,
            &self.subscriber,
            &self.message_tag,
            &self.subscription_name,
            &self.message_id,
            &self.message,
            &self.topic_name,
        ];
        std::array::from_fn(|place| match (ATTRIBUTES.get(place), values.get(place)) {
            (Some(name), Some(value)) => (*name, *value),
            // Both arrays have nine places, so this never happens.
            (None, _) | (_, None) => ("", &[][..]),
        })
    }

    /// Whether `MessageMD5` is the digest of the message, in upper or lower case.
    #[must_use]
    pub fn message_md5_holds(&self) -> bool {
        // In this format MNS states no digest of the message: ours is computed from the body.
        self.format == ContentFormat::Simplified
            || ContentMd5::of(&self.message)
                .upper_hex()
                .as_bytes()
                .eq_ignore_ascii_case(&self.message_md5)
    }
}

/// A notification that the tests of this layer share.
#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(crate) fn notification(
        format: ContentFormat,
        message: &str,
        tag: &str,
    ) -> Notification<'static> {
        let owned = |text: &str| Cow::Owned(text.as_bytes().to_vec());
        Notification {
            format,
            message_md5: owned(&ContentMd5::of(message.as_bytes()).upper_hex()),
            topic_owner: owned("1269128356620446"),
            publish_time: owned("1463476256857"),
            subscriber: owned("1269128356620446"),
            message_tag: owned(tag),
            subscription_name: owned("MyTopic1-Sub1"),
            // The form used before 2019, with a time and a counter.
            message_id: owned("F6EA56633844DBFC-1-154BDFB8059-200000004"),
            message: owned(message),
            topic_name: owned("MyTopic1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::notification;
    use super::*;

    #[test]
    fn a_wrong_message_md5_is_noticed() {
        let mut notification = notification(ContentFormat::Xml, "hello", "");
        assert!(notification.message_md5_holds());
        notification.message_md5 = Cow::Borrowed(b"00000000000000000000000000000000");
        assert!(!notification.message_md5_holds());
    }
}
