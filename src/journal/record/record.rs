//! A record of the endpoint log.
//!
//! In text a record is a first line with five bracketed fields, further lines, and one empty line:
//! the empty line ends it, and nothing inside can contain one. In JSON it is one object on one
//! line.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::journal::record::escape::{INDENT, escape_into, json_string, json_text};
use crate::journal::record::{Format, Stamp};

/// The width to which the names of attributes are padded.
pub(in crate::journal) const NAME_WIDTH: usize = 30;
/// The title of an accepted notification.
pub const SUCCEED: &str = "Notify Message Succeed!";
/// The title of one that is durable already.
pub(in crate::journal) const DUPLICATE: &str = "Notify Message Duplicate!";
/// The title of one that was refused by mistake and taken back.
pub const RECOVERED: &str = "Notify Message Recovered!";

/// What happened, as the endpoint log tells it.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When and by which thread.
    pub stamp: &'a Stamp,
    /// How bad it is.
    pub level: Level,
    /// Which kind of record it is.
    pub place: Place,
    /// The text of the first line; `None` where the request stands there.
    pub title: Option<&'a str>,
    /// Names and values, in order.
    pub attributes: &'a [(&'a str, &'a [u8])],
    /// The request, or what is shown of it.
    pub request: Option<RecordRequest<'a>>,
}

/// A request in a record.
#[derive(Debug, Clone, Copy)]
pub struct RecordRequest<'a> {
    /// All headers, in order.
    pub headers: &'a HeaderMap,
    /// The peer, where no attribute names it.
    pub peer: Option<&'a str>,
    /// The body or its first bytes; `None` leaves it out.
    pub body: Option<&'a [u8]>,
}

/// The level of a record: a word of its format, not of the diagnostic log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Odd or refused.
    Warning,
}

/// The place of a record: one constant for each kind, so that no pattern breaks at an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A request that was accepted.
    Request,
    /// Its outcome.
    Succeed,
    /// 403
    Forbidden,
    /// 400
    Invalid,
    /// 503
    Unavailable,
    /// The outcome of a request whose notification is on disk already.
    Duplicate,
    /// Refusals that are only counted.
    LeftOut,
    /// A push was verified under a key that was not expected.
    KeyChanged,
    /// Any other refusal.
    Refused,
    /// A notification that was refused by mistake and taken back.
    Recovered,
    /// The start of the program.
    Start,
}

impl Record<'_> {
    /// Appends the record in a format.
    pub fn write(&self, out: &mut Vec<u8>, format: Format) {
        match format {
            Format::Text => self.write_text(out),
            Format::Json => self.write_json(out),
        }
    }

    fn write_text(&self, out: &mut Vec<u8>) {
        for field in [
            self.stamp.endpoint.as_str(),
            "root",
            self.level.name(),
            self.place.name(),
            &self.stamp.thread,
        ] {
            out.push(b'[');
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"] ");
        }
        if let Some(title) = self.title {
            out.extend_from_slice(title.as_bytes());
            out.push(b'\n');
        }
        for (name, value) in self.attributes {
            out.extend_from_slice(name.as_bytes());
            out.resize(
                out.len()
                    .saturating_add(NAME_WIDTH.saturating_sub(name.len())),
                b' ',
            );
            out.extend_from_slice(b": ");
            escape_into(out, value);
            out.push(b'\n');
        }
        if let Some(request) = self.request {
            request.write_text(out);
        }
        out.push(b'\n');
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let mut record = Map::new();
        record.insert("time".to_owned(), Value::from(self.stamp.rfc3339.as_str()));
        record.insert("logger".to_owned(), Value::from("root"));
        record.insert("level".to_owned(), Value::from(self.level.name()));
        record.insert("place".to_owned(), Value::from(self.place.name()));
        record.insert("thread".to_owned(), Value::from(self.stamp.thread.as_str()));
        record.insert(
            "event".to_owned(),
            Value::from(self.title.unwrap_or("Request")),
        );
        for (name, value) in self.attributes {
            record.insert((*name).to_owned(), json_string(value));
        }
        if let Some(request) = self.request {
            request.write_json(&mut record);
        }
        out.extend_from_slice(json_text(&Value::Object(record)).as_bytes());
        out.push(b'\n');
    }
}

impl RecordRequest<'_> {
    fn write_text(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Headers:");
        for (place, (name, value)) in self.headers.iter().enumerate() {
            if place > 0 {
                out.extend_from_slice(INDENT);
            }
            // A name is a token (RFC 9110, 5.6.2): nothing in it is ever escaped.
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            escape_into(out, value.as_bytes());
        }
        out.push(b'\n');
        if let Some(peer) = self.peer {
            out.extend_from_slice(b"Peer: ");
            out.extend_from_slice(peer.as_bytes());
            out.push(b'\n');
        }
        if let Some(body) = self.body {
            out.extend_from_slice(b"Body:");
            escape_into(out, body);
            out.push(b'\n');
        }
    }

    fn write_json(&self, record: &mut Map<String, Value>) {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let mut values: Vec<Value> = self
                .headers
                .get_all(name)
                .iter()
                .map(|value| json_string(value.as_bytes()))
                .collect();
            let value = if values.len() == 1 {
                values.remove(0)
            } else {
                Value::Array(values)
            };
            headers.insert(name.as_str().to_owned(), value);
        }
        record.insert("Headers".to_owned(), Value::Object(headers));
        if let Some(peer) = self.peer {
            record.insert("Peer".to_owned(), Value::from(peer));
        }
        if let Some(body) = self.body {
            record.insert("Body".to_owned(), json_string(body));
        }
    }
}

/// Turns the record of a success, which begins at `start`, into that of a duplicate: only place and
/// title differ, and both stand before anything that a peer chose.
pub(in crate::journal) fn make_duplicate(records: &mut Vec<u8>, start: usize) {
    for (old, new) in [
        (Place::Succeed.name(), Place::Duplicate.name()),
        (SUCCEED, DUPLICATE),
    ] {
        let outcome = records.get(start..).unwrap_or_default();
        if let Some(found) = outcome
            .windows(old.len())
            .position(|bytes| bytes == old.as_bytes())
        {
            let place = start.saturating_add(found);
            records.splice(place..place.saturating_add(old.len()), new.bytes());
        }
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
        }
    }
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "receive.rs:1",
            Self::Succeed => "receive.rs:2",
            Self::Forbidden => "receive.rs:3",
            Self::Invalid => "receive.rs:4",
            Self::Unavailable => "receive.rs:5",
            Self::Duplicate => "receive.rs:6",
            Self::Refused => "receive.rs:7",
            Self::LeftOut => "receive.rs:8",
            Self::Recovered => "recover.rs:1",
            Self::KeyChanged => "receive.rs:9",
            Self::Start => "serve.rs:1",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{HeaderName, HeaderValue};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::journal::record::{unescape, unescape_bytes};

    /// What a peer may put anywhere, with a taste for what looks like a record.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<String>().prop_map(String::into_bytes),
            Just(b"\n\n".to_vec()),
            Just(b"\nMessage                       : forged".to_vec()),
            Just(
                b"\n\n[2016-05-17 17:10:56] [root] [INFO] [receive.rs:2] [1] Notify Message \
                Succeed!\n"
                    .to_vec()
            ),
            Just(b"\\x41\\x0a".to_vec()),
        ];
        proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    fn written(message: &[u8], tag: &[u8], headers: &HeaderMap, format: Format) -> String {
        let stamp = Stamp::new(SystemTime::UNIX_EPOCH, &TimeZone::UTC);
        let level = Level::Info;
        let request = RecordRequest {
            headers,
            peer: Some("127.0.0.1:1"),
            body: Some(message),
        };
        let first = Record {
            stamp: &stamp,
            level,
            place: Place::Request,
            title: None,
            attributes: &[],
            request: Some(request),
        };
        let attributes: [(&str, &[u8]); 2] = [("MessageTag", tag), ("Message", message)];
        let title = Some("Notify Message Succeed!");
        let second = Record {
            stamp: &stamp,
            level,
            place: Place::Succeed,
            title,
            attributes: &attributes,
            request: None,
        };
        let mut out = Vec::new();
        first.write(&mut out, format);
        second.write(&mut out, format);
        String::from_utf8(out).unwrap()
    }

    /// The value behind a name that stands at the start of a line, up to the next line at the
    /// margin.
    fn value<'a>(record: &'a str, name: &str) -> &'a str {
        let (_, rest) = record.split_once(&format!("\n{name}")).unwrap();
        let mut breaks = rest
            .match_indices('\n')
            .map(|(place, _)| rest.split_at(place));
        breaks
            .find(|(_, after)| !after.starts_with("\n    "))
            .map_or(rest, |(value, _)| value)
    }

    #[test]
    fn a_duplicate_differs_from_a_success_in_its_place_and_title_only() {
        let stamp = Stamp::new(SystemTime::UNIX_EPOCH, &TimeZone::UTC);
        for format in [Format::Text, Format::Json] {
            let write = |place, title, out: &mut Vec<u8>| {
                let attributes: [(&str, &[u8]); 1] =
                    [("Message", b"Notify Message Succeed! receive.rs:2")];
                let (level, title) = (Level::Info, Some(title));
                Record {
                    stamp: &stamp,
                    level,
                    place,
                    title,
                    attributes: &attributes,
                    request: None,
                }
                .write(out, format);
            };
            let (mut made, mut wanted) = (b"request\n\n".to_vec(), b"request\n\n".to_vec());
            write(Place::Succeed, SUCCEED, &mut made);
            write(Place::Duplicate, DUPLICATE, &mut wanted);
            make_duplicate(&mut made, 9);
            assert_eq!(
                String::from_utf8(made).unwrap(),
                String::from_utf8(wanted).unwrap()
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_forges_a_record_or_a_line_and_every_text_turns_back(
            message in hostile(),
            tag in hostile(),
            header in "[ -~\\x80-\\xff\t]{0,40}",
        ) {
            let mut headers = HeaderMap::new();
            let header = HeaderValue::from_bytes(header.trim().as_bytes()).unwrap();
            headers.insert(HeaderName::from_static("x-mns-message-tag"), header.clone());
            headers.insert(HeaderName::from_static("user-agent"), header.clone());
            let text = written(&message, &tag, &headers, Format::Text);
            let records: Vec<&str> = text.split_terminator("\n\n").collect();
            prop_assert_eq!(records.len(), 2);
            let at_margin: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("    ")).collect();
            prop_assert_eq!(at_margin.len(), 6, "{}", text);
            prop_assert_eq!(unescape(value(records[0], "Body:").as_bytes()), &message[..]);
            let padded = |name: &str| format!("{name:<30}: ");
            prop_assert_eq!(unescape(value(records[1], &padded("Message")).as_bytes()), &message[..]);
            prop_assert_eq!(unescape(value(records[1], &padded("MessageTag")).as_bytes()), &tag[..]);
            let lines = unescape(records[0].split_once("Headers:").unwrap().1.split_once("\nPeer: \
                ").unwrap().0.as_bytes());
            let expected = [b"x-mns-message-tag: ", header.as_bytes(), b"\nuser-agent: \
                ", header.as_bytes()].concat();
            prop_assert_eq!(lines, expected);

            let json = written(&message, &tag, &headers, Format::Json);
            let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            prop_assert_eq!(objects.len(), 2);
            prop_assert_eq!(unescape_bytes(objects[0]["Body"].as_str().unwrap().as_bytes()), &message[..]);
            prop_assert_eq!(unescape_bytes(objects[1]["Message"].as_str().unwrap().as_bytes()), message);
            prop_assert_eq!(unescape_bytes(objects[1]["MessageTag"].as_str().unwrap().as_bytes()), tag);
        }
    }
}
