//! The JSON form of a notification (protocol.md 1.4). The only user of `serde_json` in this layer.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::mns::content_format::ContentFormat;
use crate::mns::envelope::Envelope;
use crate::mns::notification::{ATTRIBUTES, InvalidNotification, Notification};

/// Reads a JSON object with the names of the XML elements.
///
/// Keys may be in any order, and unknown ones are ignored. A whole number counts as its text,
/// because some envelopes write `PublishTime` that way. `null` counts as absent. Control characters
/// in strings may be unescaped.
pub(super) fn decode(text: &str) -> Result<Notification<'_>, InvalidNotification> {
    // First as received: escaping copies the text, and hardly any text needs it.
    let error = match read::<true>(text) {
        Err(error @ InvalidNotification::Malformed(_)) => error,
        envelope => return envelope?.into_notification(ContentFormat::Json),
    };
    let Some(escaped) = with_controls_escaped(text) else {
        return Err(error);
    };
    // The error must describe the text that was received.
    let envelope = read::<true>(&escaped).or(Err(error))?;
    Ok(envelope
        .into_notification(ContentFormat::Json)?
        .into_owned())
}

/// Reads the attributes around a message that cannot be decoded.
pub(super) fn decode_around_message(
    text: &str,
) -> Result<Notification<'static>, InvalidNotification> {
    let escaped = with_controls_escaped(text);
    Ok(read::<false>(escaped.as_deref().unwrap_or(text))?
        .into_partial(ContentFormat::Json)
        .into_owned())
}

fn read<const WITH_MESSAGE: bool>(text: &str) -> Result<Envelope<'_>, InvalidNotification> {
    let members: Members<'_, WITH_MESSAGE> = serde_json::from_str(text)
        .map_err(|error| InvalidNotification::Malformed(error.to_string()))?;
    let mut envelope = Envelope::default();
    let mut seen = Vec::with_capacity(ATTRIBUTES.len());
    for (name, value) in members.0 {
        // A `null` counts here: of two values some readers take the first and some the last.
        if seen.contains(&name) {
            return Err(InvalidNotification::ElementDoubled(name));
        }
        seen.push(name);
        if let Some(value) = value {
            envelope.set(name, value)?;
        }
    }
    Ok(envelope)
}

/// Escapes each control character in a string as JSON requires. `None` if there is no such
/// character.
///
/// RFC 8259 forbids them there, but some serialisers write them unescaped. They have only one
/// possible meaning.
fn with_controls_escaped(text: &str) -> Option<String> {
    if !text.bytes().any(|byte| byte < b' ') {
        return None;
    }
    let mut escaped = String::with_capacity(text.len());
    let (mut is_in_string, mut is_after_backslash) = (false, false);
    for character in text.chars() {
        // After a backslash some readers drop the character, so it stays and is refused
        // (protocol.md 1.6).
        if is_in_string && !is_after_backslash && character < ' ' {
            #[expect(
                clippy::let_underscore_must_use,
                reason = "writing to a String cannot fail"
            )]
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            continue;
        }
        escaped.push(character);
        is_in_string ^= character == '"' && !is_after_backslash;
        is_after_backslash = is_in_string && character == '\\' && !is_after_backslash;
    }
    Some(escaped)
}

/// The known members of the object, duplicates included. Without `WITH_MESSAGE` the value of the
/// message is skipped.
struct Members<'a, const WITH_MESSAGE: bool>(Vec<(&'static str, Option<Cow<'a, str>>)>);

/// A string, a whole number as its text, or null.
struct Value<'a>(Option<Cow<'a, str>>);

impl<'de, const WITH_MESSAGE: bool> Deserialize<'de> for Members<'de, WITH_MESSAGE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor<const WITH_MESSAGE: bool>;

impl<'de, const WITH_MESSAGE: bool> Visitor<'de> for MembersVisitor<WITH_MESSAGE> {
    type Value = Members<'de, WITH_MESSAGE>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(ATTRIBUTES.len());
        while let Some(Value(key)) = map.next_key()? {
            match ATTRIBUTES
                .iter()
                .find(|known| key.as_deref() == Some(**known))
            {
                // A duplicate ends the reading soon, so the list cannot grow past its bound.
                Some(name) if members.len() <= ATTRIBUTES.len() => {
                    let value = if WITH_MESSAGE || *name != "Message" {
                        map.next_value::<Value<'_>>()?
                    } else {
                        // Skipped, but listed as present, so that a second one is still an error.
                        let IgnoredAny = map.next_value()?;
                        Value(Some(Cow::Borrowed("")))
                    };
                    members.push((*name, value.0));
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

/// Encodes a notification as in the real envelope of 2022: compact, with its order of keys.
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
            members.push(format!(
                "\"{name}\":{}",
                serde_json::Value::from(String::from_utf8_lossy(value))
            ));
        }
    }
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = concat!(
        r#""TopicOwner":"1","TopicName":"t","Subscriber":"1","#,
        r#""SubscriptionName":"s","MessageId":"i","MessageMD5":"m""#,
    );

    #[test]
    fn publish_time_may_be_a_number_and_unknown_keys_are_ignored() {
        let message = r#""Message":"a\u0001\"\\""#;
        let others = r#""PublishTime":1449556920975,"MessageTag":null"#;
        let text = format!(r#" {{"x":[{{"Message":"no"}}],{REST},{message},{others}}} "#);
        let notification = decode(&text).unwrap();
        assert_eq!(notification.publish_time.as_ref(), b"1449556920975");
        assert_eq!(notification.message.as_ref(), b"a\x01\"\\");
        assert_eq!(notification.message_tag.as_ref(), b"");
    }

    #[test]
    fn a_raw_control_character_in_a_string_is_accepted_and_nothing_else_changes() {
        for (value, message) in [
            ("a\tb", "a\tb"),
            ("\r\n\0\u{1f}", "\r\n\0\u{1f}"),
            ("\\\\\n", "\\\n"),
            ("\\\"\n\\\"", "\"\n\""),
            ("{\\\"Message\\\":\n\\\"x\\\"}", "{\"Message\":\n\"x\"}"),
        ] {
            let text = format!("{{\n{REST},\r\n\t\"Message\":\"{value}\",\"PublishTime\":1}}\n");
            assert_eq!(
                decode(&text).unwrap().message,
                message.as_bytes(),
                "{value:?}"
            );
        }
        // A backslash and a line end may mean both of them, the line end, or nothing.
        for value in ["\\\n", "a\\\tb", "\u{1}\",\"Message\":\""] {
            let text = format!("{{{REST},\"Message\":\"{value}\",\"PublishTime\":1}}");
            assert!(decode(&text).is_err(), "{value:?}");
        }
    }

    #[test]
    fn everything_else_is_rejected() {
        for text in [
            "{".to_owned(),
            "{}".to_owned(),
            "{}{}".to_owned(),
            format!(r#"{{{REST},"Message":"","PublishTime":1.5}}"#),
            format!(r#"{{{REST},"Message":{{}},"PublishTime":1}}"#),
            format!(r#"{{{REST},"Message":"","PublishTime":1}} x"#),
            format!(r#"{{{REST},"Message":"\ud800","PublishTime":1}}"#),
            // Depth must not overflow the stack, neither at the root nor in a member that is
            // skipped.
            "[".repeat(100_000),
            format!(r#"{{"x":{}"#, "[".repeat(100_000)),
        ] {
            assert!(decode(&text).is_err(), "{text:.80}");
        }
        let without = format!(r#"{{{REST},"Message":null,"PublishTime":1}}"#);
        assert_eq!(
            decode(&without),
            Err(InvalidNotification::ElementMissing("Message"))
        );
        let doubled = format!(r#"{{{REST},"Message":"","PublishTime":1,"Message":""}}"#);
        assert_eq!(
            decode(&doubled),
            Err(InvalidNotification::ElementDoubled("Message"))
        );
        for two in [
            r#""Message":null,"Message":"x""#,
            r#""Message":"x","Message":null"#,
        ] {
            let text = format!(r#"{{{REST},{two},"PublishTime":1}}"#);
            assert_eq!(
                decode(&text),
                Err(InvalidNotification::ElementDoubled("Message")),
                "{two}"
            );
        }
    }
}
