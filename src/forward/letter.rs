//! A dead letter: one line of JSON with all that its notification was made of.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::forward::{Outgoing, Reason};
use crate::journal::{LoggedNotification, NotificationKey, json_text};

/// Why a notification became a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The reason that decided.
    pub reason: Reason,
    /// How often it was sent.
    pub attempts: u32,
    /// What the destination said last.
    pub detail: String,
    /// When that was decided.
    pub at: Timestamp,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What could not be delivered.
    pub outgoing: Outgoing,
    /// Why.
    pub verdict: Verdict,
}

impl DeadLetter {
    /// Its line, without a line feed.
    pub(super) fn line(outgoing: &Outgoing, verdict: &Verdict) -> String {
        let notification = &*outgoing.notification;
        let [owner, topic, subscription, message_id] = notification.key.parts();
        let mut object = Map::new();
        object.insert("time".to_owned(), json!(verdict.at.to_string()));
        object.insert("reason".to_owned(), json!(verdict.reason.key()));
        object.insert("attempts".to_owned(), json!(verdict.attempts));
        object.insert("detail".to_owned(), json!(verdict.detail));
        object.insert("position".to_owned(), json!(outgoing.position.to_string()));
        object.insert("sequence".to_owned(), json!(outgoing.sequence));
        let received = outgoing.received.map(|received| received.to_string());
        object.insert("received".to_owned(), json!(received));
        let request_id = notification.request_id.as_deref();
        for (name, value) in [
            ("RequestId", request_id),
            ("MessageMD5", Some(&*notification.message_md5)),
            ("TopicOwner", Some(owner)),
            ("PublishTime", Some(&*notification.publish_time)),
            ("Subscriber", Some(&*notification.subscriber)),
            ("MessageTag", Some(&*notification.message_tag)),
            ("SubscriptionName", Some(subscription)),
            ("MessageId", Some(message_id)),
            ("Message", Some(&*notification.message)),
            ("TopicName", Some(topic)),
        ] {
            let Some(value) = value else { continue };
            // A value that is not UTF-8 gets another name, so that each name has one meaning.
            match std::str::from_utf8(value) {
                Ok(text) => object.insert(name.to_owned(), json!(text)),
                Err(_) => object.insert(
                    format!("{name}Base64"),
                    json!(BASE64_STANDARD.encode(value)),
                ),
            };
        }
        json_text(&Value::Object(object))
    }

    /// Reads a line. `None` if it is torn or damaged.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Option<Self> {
        let object: Value = serde_json::from_slice(line).ok()?;
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let value = |name: &str| match text(name) {
            Some(text) => Some(text.as_bytes().to_vec()),
            None => BASE64_STANDARD.decode(text(&format!("{name}Base64"))?).ok(),
        };
        let key = [
            value("TopicOwner")?,
            value("TopicName")?,
            value("SubscriptionName")?,
            value("MessageId")?,
        ];
        let notification = LoggedNotification {
            key: NotificationKey::of(key.each_ref().map(Vec::as_slice)),
            message: Bytes::from(value("Message")?),
            message_md5: value("MessageMD5")?.into(),
            message_tag: value("MessageTag")?.into(),
            publish_time: value("PublishTime")?.into(),
            subscriber: value("Subscriber")?.into(),
            // Not an error: a push may have had none that was logged.
            request_id: value("RequestId").map(Bytes::from),
            time: None,
        };
        Some(Self {
            verdict: Verdict {
                reason: text("reason")?.parse().ok()?,
                attempts: number("attempts")?.try_into().ok()?,
                detail: text("detail")?.to_owned(),
                at: text("time")?.parse().ok()?,
            },
            outgoing: Outgoing {
                notification: Arc::new(notification),
                received: text("received").and_then(|text| text.parse().ok()),
                position: text("position")?.parse().ok()?,
                sequence: number("sequence")?,
                // The old id, so that the destination drops the notification if it has stored it
                // meanwhile.
                again: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forward::identity::samples::{changed, outgoing, usual};

    fn verdict() -> Verdict {
        Verdict {
            reason: Reason::TooLarge,
            attempts: 3,
            detail: "message size exceeds maximum allowed".to_owned(),
            at: "2026-11-24T10:40:36.5Z".parse().unwrap(),
        }
    }

    #[test]
    fn one_that_is_torn_anywhere_is_none() {
        let line = DeadLetter::line(&usual(), &verdict());
        let letter = DeadLetter::of_line(line.as_bytes()).unwrap();
        assert_eq!((letter.outgoing, letter.verdict), (usual(), verdict()));
        for end in 0..line.len() {
            assert_eq!(DeadLetter::of_line(&line.as_bytes()[..end]), None, "{end}");
        }
        let other = line.replace("too_large", "too_small");
        assert_eq!(DeadLetter::of_line(other.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn it_has_all_that_the_notification_was_made_of(
            values in proptest::array::uniform6(proptest::collection::vec(any::<u8>(), 0..30)),
            is_bare in any::<bool>(),
        ) {
            let [owner, topic, subscription, id, tag, message] = &values;
            let outgoing = outgoing([owner, topic, subscription, id]);
            let mut outgoing = changed(outgoing, |it| {
                (it.message_tag, it.message) = (tag.clone().into(), message.clone().into());
            });
            if is_bare {
                outgoing = changed(outgoing, |it| it.request_id = None);
                outgoing.received = None;
            }
            let line = DeadLetter::line(&outgoing, &verdict());
            prop_assert!(!line.contains('\n'));
            let letter = DeadLetter::of_line(line.as_bytes()).unwrap();
            prop_assert_eq!(letter, DeadLetter { outgoing, verdict: verdict() });
        }
    }
}
