//! Reads a log record by record, and an accepted notification's identity out of its record.

use std::io::{self, BufRead};

use serde_json::Value;

use crate::journal::escape::{unescape, unescape_bytes};
use crate::journal::record::{DUPLICATE, NAME_WIDTH, RECOVERED, SUCCEED};
use crate::journal::{Log, SeenKey};

/// What the outcome of an accepted notification begins with.
const ACCEPTED: [&str; 3] = [SUCCEED, DUPLICATE, RECOVERED];

/// The records of one file, one after the other.
pub struct Records<R> {
    input: R,
    log: Log,
    record: Vec<u8>,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record of the endpoint log or a line of the access log, with what ends it.
    Whole(&'a [u8]),
    /// The file ends within a record.
    Torn(&'a [u8]),
    /// The file ends.
    End,
}

impl<R: BufRead> Records<R> {
    /// Reads from where `input` stands, which is the beginning of a record.
    pub fn new(log: Log, input: R) -> Self {
        Self { input, log, record: Vec::new() }
    }

    /// The next record.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&mut self) -> io::Result<Found<'_>> {
        self.record.clear();
        loop {
            let before = self.record.len();
            let read = self.input.read_until(b'\n', &mut self.record)?;
            let line = self.record.get(before..).unwrap_or_default();
            if !line.ends_with(b"\n") {
                let is_end = read == 0 && self.record.is_empty();
                return Ok(if is_end { Found::End } else { Found::Torn(&self.record) });
            }
            // A line is a record in the access log and in JSON; in text an empty one ends it.
            if self.log == Log::Access || self.record.starts_with(b"{") || line == b"\n" {
                return Ok(Found::Whole(&self.record));
            }
        }
    }
}

/// Which notification a record of the endpoint log tells of, where it says that one was accepted.
///
/// A log may change its form from one record to the next: text and JSON are told apart by the first byte.
#[must_use]
pub fn accepted(record: &[u8]) -> Option<SeenKey> {
    if record.starts_with(b"{") { accepted_json(record) } else { accepted_text(record) }
}

fn accepted_text(record: &[u8]) -> Option<SeenKey> {
    let mut lines = record.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    if !ACCEPTED.contains(&title(std::str::from_utf8(first).ok()?)?) {
        return None;
    }
    let mut key = SeenKey::default();
    let mut value = None;
    for line in lines {
        if let Some(more) = line.strip_prefix(b"    ") {
            if let Some((_, text)) = &mut value {
                Vec::extend_from_slice(text, b"\n    ");
                text.extend_from_slice(more);
            }
            continue;
        }
        set(&mut key, value.take());
        value = split_attribute(line).filter(|(name, _)| key.slot(name).is_some());
    }
    set(&mut key, value);
    Some(key)
}

/// What stands behind the five bracketed fields of a record's first line. In the record of a request a peer chose it,
/// so where it ends proves nothing.
pub(super) fn title(first: &str) -> Option<&str> {
    first.splitn(6, "] ").nth(5)
}

fn split_attribute(line: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let (name, rest) = line.split_at_checked(NAME_WIDTH)?;
    Some((name.trim_ascii_end(), rest.strip_prefix(b": ")?.to_vec()))
}

fn set(key: &mut SeenKey, attribute: Option<(&[u8], Vec<u8>)>) {
    if let Some((name, text)) = attribute
        && let Some(slot) = key.slot(name)
    {
        *slot = unescape(&text);
    }
}

fn accepted_json(record: &[u8]) -> Option<SeenKey> {
    let Value::Object(record) = serde_json::from_slice(record).ok()? else { return None };
    if !ACCEPTED.contains(&record.get("event")?.as_str()?) {
        return None;
    }
    let mut key = SeenKey::default();
    for (name, value) in &record {
        if let (Some(slot), Some(text)) = (key.slot(name.as_bytes()), value.as_str()) {
            *slot = unescape_bytes(text.as_bytes());
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(log: Log, text: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut records = Records::new(log, text);
        let mut found = Vec::new();
        loop {
            match records.read().unwrap() {
                Found::Whole(record) => found.push((true, record.to_vec())),
                Found::Torn(record) => found.push((false, record.to_vec())),
                Found::End => return found,
            }
        }
    }

    #[test]
    fn records_of_both_forms_are_told_apart_from_a_torn_end() {
        let found = all(Log::Endpoint, b"[a]\nx\n\n{\"b\":1}\n{\"c\":2}\n[d]\n\n[e]\ny\n");
        let whole: Vec<&[u8]> = vec![b"[a]\nx\n\n", b"{\"b\":1}\n", b"{\"c\":2}\n", b"[d]\n\n"];
        assert_eq!(found[..4].iter().map(|(_, text)| text.as_slice()).collect::<Vec<_>>(), whole);
        assert_eq!(found[4..], [(false, b"[e]\ny\n".to_vec())]);
        assert_eq!(all(Log::Access, b"a\nb"), [(true, b"a\n".to_vec()), (false, b"b".to_vec())]);
        assert_eq!(all(Log::Access, b""), []);
    }

    #[test]
    fn an_identity_is_read_back_whatever_the_values_hold() {
        let head = "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n";
        let text = format!(
            "{head}{:<30}: 1\n{:<30}: a\n    b\\x0d\n{:<30}: x\n    MessageId                     : no\n{:<30}: t\n\n",
            "TopicOwner", "MessageId", "Message", "TopicName"
        );
        let key = accepted(text.as_bytes()).unwrap();
        assert_eq!(key.parts(), [&b"1"[..], b"t", b"", b"a\nb\r"]);
        let json = b"{\"event\":\"Notify Message Succeed!\",\"TopicOwner\":\"1\",\"MessageId\":\"a\\nb\\\\x0d\",\"TopicName\":\"t\"}\n";
        assert_eq!(accepted(json).unwrap().parts(), key.parts());
        let recovered = text.replace(SUCCEED, RECOVERED);
        assert_eq!(accepted(recovered.as_bytes()).unwrap(), key);
        let refused = text.replace(SUCCEED, "Access Forbidden!");
        assert!(accepted(refused.as_bytes()).is_none());
        // What a peer wrote into the first header of a request.
        let request = text.replace(SUCCEED, "Headers:a: [x] [x] [x] [x] [x] Notify Message Succeed!");
        assert!(accepted(request.as_bytes()).is_none());
    }
}
