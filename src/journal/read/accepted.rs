//! Reads the identity of an accepted notification from its record.

use std::sync::Arc;

use serde_json::Value;

use crate::journal::read::records::{split_attribute, title};
use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED, unescape, unescape_bytes};

/// The titles (in JSON: `event`) of the records that report a notification as accepted.
const ACCEPTED: [&str; 3] = [SUCCEED, DUPLICATE, RECOVERED];

/// Identifies a notification: owner, topic, subscription and message id. A clone copies nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NotificationKey {
    /// The four parts, one after the other.
    parts: Arc<[u8]>,
    /// The ends of the first three.
    ends: [usize; 3],
}

impl NotificationKey {
    /// Creates the key from owner, topic, subscription and message id.
    #[must_use]
    pub fn of(parts: [&[u8]; 4]) -> Self {
        let [first, second, third, _] = parts.map(<[u8]>::len);
        let second = first.saturating_add(second);
        Self {
            parts: parts.concat().into(),
            ends: [first, second, second.saturating_add(third)],
        }
    }

    /// The owner, topic, subscription and message id.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 4] {
        let [first, second, third] = self.ends;
        let part = |from: usize, to: usize| self.parts.get(from..to).unwrap_or_default();
        [
            part(0, first),
            part(first, second),
            part(second, third),
            part(third, self.parts.len()),
        ]
    }
}

/// The parts of a key, as they are found.
#[derive(Default)]
struct Found {
    owner: Vec<u8>,
    topic: Vec<u8>,
    subscription: Vec<u8>,
    message: Vec<u8>,
}

impl Found {
    fn slot(&mut self, attribute: &[u8]) -> Option<&mut Vec<u8>> {
        match attribute {
            b"TopicOwner" => Some(&mut self.owner),
            b"TopicName" => Some(&mut self.topic),
            b"SubscriptionName" => Some(&mut self.subscription),
            b"MessageId" => Some(&mut self.message),
            _ => None,
        }
    }

    fn key(&self) -> NotificationKey {
        NotificationKey::of([&self.owner, &self.topic, &self.subscription, &self.message])
    }
}

/// The key of the notification that a record of the endpoint log reports as accepted. `None` if the
/// record accepts no notification.
///
/// A log may change its format from one record to the next, so text and JSON are distinguished by
/// the first byte. Also returns `None` for a record that has none of the four attributes: such a
/// record is not complete. An attribute with an empty value counts as present.
#[must_use]
pub fn accepted(record: &[u8]) -> Option<NotificationKey> {
    if record.starts_with(b"{") {
        accepted_json(record)
    } else {
        accepted_text(record)
    }
}

fn accepted_text(record: &[u8]) -> Option<NotificationKey> {
    let mut lines = record.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    if !ACCEPTED.contains(&title(std::str::from_utf8(first).ok()?)?) {
        return None;
    }
    let mut key = Found::default();
    let mut value = None;
    let mut is_named = false;
    for line in lines {
        if let Some(more) = line.strip_prefix(b"    ") {
            if let Some((_, text)) = &mut value {
                Vec::extend_from_slice(text, b"\n    ");
                text.extend_from_slice(more);
            }
            continue;
        }
        set(&mut key, value.take());
        value = split_attribute(line)
            .filter(|(name, _)| key.slot(name).is_some())
            .map(|(name, text)| (name, text.to_vec()));
        is_named |= value.is_some();
    }
    set(&mut key, value);
    is_named.then(|| key.key())
}

fn set(key: &mut Found, attribute: Option<(&[u8], Vec<u8>)>) {
    if let Some((name, text)) = attribute
        && let Some(slot) = key.slot(name)
    {
        *slot = unescape(&text);
    }
}

fn accepted_json(record: &[u8]) -> Option<NotificationKey> {
    let Value::Object(record) = serde_json::from_slice(record).ok()? else {
        return None;
    };
    if !ACCEPTED.contains(&record.get("event")?.as_str()?) {
        return None;
    }
    let mut key = Found::default();
    let mut is_named = false;
    for (name, value) in &record {
        if let (Some(slot), Some(text)) = (key.slot(name.as_bytes()), value.as_str()) {
            *slot = unescape_bytes(text.as_bytes());
            is_named = true;
        }
    }
    is_named.then(|| key.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back_whatever_the_values_hold() {
        let head =
            "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n";
        let text = format!(
            "{head}{:<30}: 1\n{:<30}: a\n    b\\x0d\n{:<30}: x\n    MessageId                     \
             : no\n{:<30}: t\n\n",
            "TopicOwner", "MessageId", "Message", "TopicName"
        );
        let key = accepted(text.as_bytes()).unwrap();
        assert_eq!(key.parts(), [&b"1"[..], b"t", b"", b"a\nb\r"]);
        let json = b"{\"event\":\"Notify Message Succeed!\",\"TopicOwner\":\"1\",\
            \"MessageId\":\"a\\nb\\\\x0d\",\"TopicName\":\"t\"}\n";
        assert_eq!(accepted(json).unwrap().parts(), key.parts());
        let recovered = text.replace(SUCCEED, RECOVERED);
        assert_eq!(accepted(recovered.as_bytes()).unwrap(), key);
        let refused = text.replace(SUCCEED, "Access Forbidden!");
        assert!(accepted(refused.as_bytes()).is_none());
        // A peer may write the text of an outcome into the first header of a request.
        let request = text.replace(
            SUCCEED,
            "Headers:a: [x] [x] [x] [x] [x] Notify Message Succeed!",
        );
        assert!(accepted(request.as_bytes()).is_none());
    }
}
