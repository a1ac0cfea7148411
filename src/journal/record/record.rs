//! A record of the endpoint log.
//!
//! A text record is a first line with five bracketed fields, further lines, and one empty line,
//! which ends the record and never occurs inside it. A JSON record is one object on one line.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::journal::record::escape::{INDENT, escape_into, json_string, json_text_into};
use crate::journal::record::{Format, Stamp};

/// Names of attributes are padded to this width.
pub(in crate::journal) const NAME_WIDTH: usize = 30;
/// The title of an accepted notification.
pub const SUCCEED: &str = "Notify Message Succeed!";
/// The title of a notification that the log has already.
pub(in crate::journal) const DUPLICATE: &str = "Notify Message Duplicate!";
/// The title of a notification that was refused by mistake and recovered.
pub const RECOVERED: &str = "Notify Message Recovered!";

/// What happened, as the endpoint log records it.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When, and by which thread, it was made.
    pub stamp: &'a Stamp,
    /// The severity.
    pub level: Level,
    /// The kind of record.
    pub place: Place,
    /// The text of the first line. `None` for a record whose headers begin on that line.
    pub title: Option<&'a str>,
    /// Names and values, in order.
    pub attributes: &'a [(&'a str, &'a [u8])],
    /// The request, or the part of it that is logged.
    pub request: Option<RecordRequest<'a>>,
}

/// A request in a record.
#[derive(Debug, Clone, Copy)]
pub struct RecordRequest<'a> {
    /// All headers, in order.
    pub headers: &'a HeaderMap,
    /// The peer and the target, unless an attribute contains them.
    pub origin: Option<RecordOrigin<'a>>,
    /// The body or its first bytes. `None` omits it.
    pub body: Option<&'a [u8]>,
}

/// Who made a request, and for what.
#[derive(Debug, Clone, Copy)]
pub struct RecordOrigin<'a> {
    /// The peer.
    pub peer: &'a str,
    /// Method and target, without a secret path.
    pub target: &'a [u8],
    /// The value of x-mns-request-id.
    pub request_id: Option<&'a [u8]>,
}

/// The level of a record. It is part of the log's format, and not a level of the diagnostic log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Normal.
    Info,
    /// Odd or refused.
    Warning,
}

/// The kind of a record. Its name is constant, so that a user's log patterns survive an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A request that was accepted.
    Request,
    /// The outcome of a request that was accepted.
    Succeed,
    /// The outcome of a request that was answered 403.
    Forbidden,
    /// The outcome of a request that was answered 400.
    Invalid,
    /// The outcome of a request that was answered 503.
    Unavailable,
    /// The outcome of a request whose notification the log has already.
    Duplicate,
    /// Refusals that were counted instead of logged.
    LeftOut,
    /// A push was verified with a key that was not expected.
    KeyChanged,
    /// Any other refusal.
    Refused,
    /// A notification that was refused by mistake and recovered.
    Recovered,
    /// The start of the program.
    Start,
}

/// The head of a success record: the offsets of its place and its title in the buffer to which it
/// was written. The record of a duplicate differs only in these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The offset of [`Place::Succeed`].
    pub place: usize,
    /// The offset of [`SUCCEED`].
    pub title: usize,
}

impl Head {
    /// Appends `records`, but replaces this head in them by that of a duplicate.
    pub(in crate::journal) fn write_duplicate(self, records: &[u8], out: &mut Vec<u8>) {
        let mut written = 0;
        for (place, old, new) in [
            (self.place, Place::Succeed.name(), Place::Duplicate.name()),
            (self.title, SUCCEED, DUPLICATE),
        ] {
            out.extend_from_slice(records.get(written..place).unwrap_or_default());
            out.extend_from_slice(new.as_bytes());
            written = place.saturating_add(old.len());
        }
        out.extend_from_slice(records.get(written..).unwrap_or_default());
    }
}

impl Record<'_> {
    /// Appends the record in a format. Returns the head of a success record, which the journal
    /// rewrites if the notification is a duplicate.
    pub fn write(&self, out: &mut Vec<u8>, format: Format) -> Option<Head> {
        let head = match format {
            Format::Text => self.write_text(out),
            Format::Json => self.write_json(out),
        };
        (self.place == Place::Succeed).then_some(head)
    }

    fn write_text(&self, out: &mut Vec<u8>) -> Head {
        let field = |out: &mut Vec<u8>, field: &str| {
            out.push(b'[');
            let offset = out.len();
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"] ");
            offset
        };
        field(out, self.stamp.endpoint());
        field(out, "root");
        field(out, self.level.name());
        let place = field(out, self.place.name());
        field(out, self.stamp.thread());
        let head = Head {
            place,
            title: out.len(),
        };
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
        head
    }

    fn write_json(&self, out: &mut Vec<u8>) -> Head {
        let member = |out: &mut Vec<u8>, name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            // Skip the opening quote of the value.
            let offset = out.len().saturating_add(1);
            json_text_into(out, value);
            offset
        };
        member(out, "{\"time\":", &self.stamp.rfc3339());
        member(out, ",\"logger\":", "root");
        member(out, ",\"level\":", self.level.name());
        let place = member(out, ",\"place\":", self.place.name());
        member(out, ",\"thread\":", self.stamp.thread());
        let title = member(out, ",\"event\":", self.title.unwrap_or("Request"));
        let mut record = Map::new();
        for (name, value) in self.attributes {
            record.insert((*name).to_owned(), json_string(value));
        }
        if let Some(request) = self.request {
            request.write_json(&mut record);
        }
        if record.is_empty() {
            out.push(b'}');
        } else {
            let brace = out.len();
            json_text_into(out, &record);
            // Merge the two objects: these members follow those of the head.
            if let Some(brace) = out.get_mut(brace) {
                *brace = b',';
            }
        }
        out.push(b'\n');
        Head { place, title }
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
        // The peer comes first, because readers take `Peer: ` for the end of the headers.
        for (name, value) in self.origin.iter().flat_map(RecordOrigin::named) {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            escape_into(out, value);
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
        for (name, value) in self.origin.iter().flat_map(RecordOrigin::named) {
            record.insert(name.to_owned(), json_string(value));
        }
        if let Some(body) = self.body {
            record.insert("Body".to_owned(), json_string(body));
        }
    }
}

impl<'a> RecordOrigin<'a> {
    fn named(&self) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        let values = [
            Some(("Peer", self.peer.as_bytes())),
            Some(("Target", self.target)),
            self.request_id.map(|id| ("RequestId", id)),
        ];
        values.into_iter().flatten()
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
    use crate::journal::record::{Stamps, unescape, unescape_bytes};

    /// What a peer may send, biased towards what looks like a record.
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
        let stamp = Stamps::new(TimeZone::UTC).at(SystemTime::UNIX_EPOCH);
        let level = Level::Info;
        let request = RecordRequest {
            headers,
            origin: Some(RecordOrigin {
                peer: "127.0.0.1:1",
                target: message,
                request_id: Some(tag),
            }),
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

    /// The value of a name at the start of a line, up to the next line that is not indented.
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
        let stamp = Stamps::new(TimeZone::UTC).at(SystemTime::UNIX_EPOCH);
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
                .write(out, format)
            };
            let (mut first, mut wanted) = (b"request\n\n".to_vec(), b"request\n\n".to_vec());
            let head = write(Place::Succeed, SUCCEED, &mut first).unwrap();
            assert_eq!(write(Place::Duplicate, DUPLICATE, &mut wanted), None);
            let mut made = Vec::new();
            head.write_duplicate(&first, &mut made);
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
            let is_at_margin = |line: &&str| !line.is_empty() && !line.starts_with("    ");
            let at_margin: Vec<&str> = text.lines().filter(is_at_margin).collect();
            prop_assert_eq!(at_margin.len(), 8, "{}", text);
            let sent = [("Body:", &message), ("Target: ", &message), ("RequestId: ", &tag)];
            for (name, sent) in sent {
                prop_assert_eq!(&unescape(value(records[0], name).as_bytes()), sent, "{}", name);
            }
            let padded = |name: &str| format!("{name:<30}: ");
            let attribute = |name: &str| unescape(value(records[1], &padded(name)).as_bytes());
            prop_assert_eq!(attribute("Message"), &message[..]);
            prop_assert_eq!(attribute("MessageTag"), &tag[..]);
            let lines = unescape(records[0].split_once("Headers:").unwrap().1.split_once("\nPeer: \
                ").unwrap().0.as_bytes());
            let expected = [b"x-mns-message-tag: ", header.as_bytes(), b"\nuser-agent: \
                ", header.as_bytes()].concat();
            prop_assert_eq!(lines, expected);

            let json = written(&message, &tag, &headers, Format::Json);
            let object = |line| serde_json::from_str(line).unwrap();
            let objects: Vec<Value> = json.lines().map(object).collect();
            prop_assert_eq!(objects.len(), 2);
            let member = |of: usize, name: &str| {
                unescape_bytes(objects[of][name].as_str().unwrap().as_bytes())
            };
            prop_assert_eq!(member(0, "Body"), &message[..]);
            prop_assert_eq!(member(1, "Message"), message);
            prop_assert_eq!(member(1, "MessageTag"), tag);
        }
    }
}
