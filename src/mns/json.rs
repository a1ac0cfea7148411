//! The JSON form of a notification (protocol.md 1.4). The only user of `serde_json` in this layer.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::mns::ATTRIBUTES;
use crate::mns::notification::{ContentFormat, Envelope, InvalidNotification, Notification};

/// Reads a JSON object with the names of the XML elements.
///
/// Keys may come in any order and unknown ones are ignored. A whole number counts as its text, since
/// some envelopes write `PublishTime` so. `null` counts as absent.
pub(super) fn decode(text: &str) -> Result<Notification<'_>, InvalidNotification> {
    let members: Members<'_> =
        serde_json::from_str(text).map_err(|error| InvalidNotification::Malformed(error.to_string()))?;
    let mut envelope = Envelope::default();
    for (name, value) in members.0 {
        envelope.set(name, value)?;
    }
    envelope.into_notification(ContentFormat::Json)
}

/// The known members of the object, doubled ones included.
struct Members<'a>(Vec<(&'static str, Cow<'a, str>)>);

/// A string, or a whole number as its text, or null.
struct Value<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(ATTRIBUTES.len());
        while let Some(Value(key)) = map.next_key()? {
            match ATTRIBUTES.iter().find(|known| key.as_deref() == Some(**known)) {
                // A doubled member ends the reading soon: the list cannot grow past its bound.
                Some(name) if members.len() <= ATTRIBUTES.len() => {
                    if let Value(Some(value)) = map.next_value()? {
                        members.push((*name, value));
                    }
                }
                Some(_) | None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Members(members))
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Value(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Value(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value(None))
    }
}

/// Lays a notification out as the real envelope of 2022 is: compact, in its order of keys.
pub(super) fn encode(notification: &Notification<'_>) -> String {
    let mut members: Vec<String> = Vec::with_capacity(ATTRIBUTES.len());
    for (name, value) in [
        ("TopicOwner", &notification.topic_owner),
        ("Message", &notification.message),
        ("Subscriber", &notification.subscriber),
        ("PublishTime", &notification.publish_time),
        ("SubscriptionName", &notification.subscription_name),
        ("MessageMD5", &notification.message_md5),
        ("TopicName", &notification.topic_name),
        ("MessageId", &notification.message_id),
        ("MessageTag", &notification.message_tag),
    ] {
        if name != "MessageTag" || !value.is_empty() {
            members.push(format!("\"{name}\":{}", serde_json::Value::from(String::from_utf8_lossy(value))));
        }
    }
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str =
        r#""TopicOwner":"1","TopicName":"t","Subscriber":"1","SubscriptionName":"s","MessageId":"i","MessageMD5":"m""#;

    #[test]
    fn publish_time_may_be_a_number_and_unknown_keys_are_ignored() {
        let text = format!(
            r#" {{"x":[{{"Message":"no"}}],{REST},"Message":"a\u0001\"\\","PublishTime":1449556920975,"MessageTag":null}} "#
        );
        let notification = decode(&text).unwrap();
        assert_eq!(notification.publish_time.as_ref(), b"1449556920975");
        assert_eq!(notification.message.as_ref(), b"a\x01\"\\");
        assert_eq!(notification.message_tag.as_ref(), b"");
    }

    #[test]
    fn what_is_no_notification_is_refused() {
        for text in [
            "{".to_owned(),
            "{}".to_owned(),
            "{}{}".to_owned(),
            format!(r#"{{{REST},"Message":"","PublishTime":1.5}}"#),
            format!(r#"{{{REST},"Message":{{}},"PublishTime":1}}"#),
            format!(r#"{{{REST},"Message":"","PublishTime":1}} x"#),
            format!(r#"{{{REST},"Message":"\ud800","PublishTime":1}}"#),
            "[".repeat(100_000),
            format!(r#"{{"x":{}"#, "[".repeat(100_000)),
        ] {
            assert!(decode(&text).is_err(), "{text:.80}");
        }
        let without = format!(r#"{{{REST},"Message":null,"PublishTime":1}}"#);
        assert_eq!(decode(&without), Err(InvalidNotification::ElementMissing("Message")));
        let doubled = format!(r#"{{{REST},"Message":"","PublishTime":1,"Message":""}}"#);
        assert_eq!(decode(&doubled), Err(InvalidNotification::ElementDoubled("Message")));
    }
}
