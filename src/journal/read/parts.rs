//! Splits a record of the endpoint log, in text or JSON, into its parts. The values are the bytes
//! that arrived, unescaped.

use serde_json::{Map, Value};

use crate::journal::read::records::title;
use crate::journal::read::time::RecordTime;
use crate::journal::record::{unescape, unescape_bytes};

/// The line before the headers of a request, in text.
const HEADERS: &str = "Headers:";
/// The `event` of the record of a request, in JSON.
const REQUEST: &str = "Request";

/// The parts of one record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// When the record was written.
    pub time: Option<RecordTime>,
    /// `INFO` or `WARNING`.
    pub level: String,
    /// The kind of the record, such as `receive.rs:2`.
    pub place: String,
    /// The text of the first line. The record of a request has no such text: `Request` takes its
    /// place.
    pub event: String,
    /// Names and values, in order.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// The headers of the request, in order, each value by itself.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body of the request, as far as it was logged.
    pub body: Option<Vec<u8>>,
}

impl Parts {
    /// Parses a complete record. Returns `None` if this program does not write such a record.
    #[must_use]
    pub fn of(record: &[u8]) -> Option<Self> {
        if record.starts_with(b"{") {
            Self::of_json(record)
        } else {
            Self::of_text(record)
        }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        value(&self.attributes, name)
    }

    /// The first value of a header. `name` must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        value(&self.headers, name)
    }

    fn of_text(record: &[u8]) -> Option<Self> {
        let mut lines = record.split(|byte| *byte == b'\n');
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let event = title(first)?;
        // The fields are [time] [logger] [level] [place] [thread], and then the title.
        let mut fields = first
            .splitn(6, "] ")
            .map(|field| field.trim_start_matches('['));
        let time = RecordTime::of_text(fields.next()?);
        let _logger = fields.next()?;
        let mut parts = Self {
            time,
            level: fields.next()?.to_owned(),
            place: fields.next()?.to_owned(),
            event: event.to_owned(),
            ..Self::default()
        };
        let header = event.strip_prefix(HEADERS);
        if header.is_some() {
            REQUEST.clone_into(&mut parts.event);
        }
        // A name, and the offsets in the record at which its value begins and ends.
        let mut value = header.map(|header| {
            let end = first.len();
            (HEADERS.as_bytes(), end.saturating_sub(header.len()), end)
        });
        let mut end = first.len();
        for line in lines {
            end = end.saturating_add(1).saturating_add(line.len());
            if line.starts_with(b"    ") {
                // An indented line continues the value above it.
                value = value.map(|(name, from, _to)| (name, from, end));
            } else if let Some((name, text)) = split_value(line) {
                parts.add(
                    record,
                    value.replace((name, end.saturating_sub(text.len()), end)),
                );
            } else {
                // Indented lines after a line without a name belong to no value.
                parts.add(record, value.take());
            }
        }
        parts.add(record, value);
        Some(parts)
    }

    /// Adds a named value: `value` is the name, and the offsets in the record at which the value
    /// begins and ends.
    fn add(&mut self, record: &[u8], value: Option<(&[u8], usize, usize)>) {
        let Some((name, from, to)) = value else {
            return;
        };
        let value = record.get(from..to).unwrap_or_default();
        match name {
            b"Headers:" => self.headers = headers(value),
            b"Body:" => self.body = Some(unescape(value)),
            name => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.attributes.push((name, unescape(value)));
            }
        }
    }

    fn of_json(record: &[u8]) -> Option<Self> {
        let Value::Object(mut record) = serde_json::from_slice(record).ok()? else {
            return None;
        };
        let mut take = |name: &str| match record.shift_remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let mut parts = Self {
            time: RecordTime::of_json(&take("time")?),
            event: take("event")?,
            level: take("level").unwrap_or_default(),
            place: take("place").unwrap_or_default(),
            ..Self::default()
        };
        // Remove logger and thread as well, so that they do not become attributes.
        let _logger_and_thread = (take("logger"), take("thread"));
        for (name, value) in record {
            match (name.as_str(), value) {
                ("Headers", Value::Object(headers)) => parts.headers = json_headers(headers),
                ("Body", Value::String(body)) => parts.body = Some(bytes(&body)),
                (_, Value::String(text)) => parts.attributes.push((name, bytes(&text))),
                (_, other) => parts
                    .attributes
                    .push((name, other.to_string().into_bytes())),
            }
        }
        Some(parts)
    }
}

fn value<'a>(values: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    values
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_slice())
}

/// Splits a line that is not indented. It begins with `Headers:`, with `Body:`, or with a name and
/// a colon. The name may be padded.
fn split_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    for part in [HEADERS.as_bytes(), b"Body:"] {
        if let Some(value) = line.strip_prefix(part) {
            return Some((part, value));
        }
    }
    let length = line
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric())
        .filter(|length| *length > 0)?;
    let (name, rest) = line.split_at_checked(length)?;
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    Some((name, value.strip_prefix(b" ").unwrap_or(value)))
}

/// The first value of a header in the record of a request, in text. Returns the outer `None` if the
/// record is not that of a request.
pub(super) fn header_of_request(record: &[u8], name: &str) -> Option<Option<Vec<u8>>> {
    let mut lines = record.split(|byte| *byte == b'\n');
    let first = title(std::str::from_utf8(lines.next()?).ok()?)?.strip_prefix(HEADERS)?;
    let further = lines.map_while(|line| line.strip_prefix(b"    "));
    let mut headers = std::iter::once(first.as_bytes())
        .chain(further)
        .filter_map(split_header);
    let found = headers.find(|(known, _)| *known == name.as_bytes());
    Some(found.map(|(_, value)| unescape_bytes(value)))
}

/// Parses the headers. Each line is one header, because no header value can contain a line break.
fn headers(lines: &[u8]) -> Vec<(String, Vec<u8>)> {
    lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| split_header(line.strip_prefix(b"    ").unwrap_or(line)))
        .map(|(name, value)| {
            let name = String::from_utf8_lossy(name).into_owned();
            (name, unescape_bytes(value))
        })
        .collect()
}

fn split_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.windows(2).position(|pair| pair == b": ")?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((name, value.strip_prefix(b": ")?))
}

fn json_headers(headers: Map<String, Value>) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (name, value) in headers {
        // In JSON, a header that was repeated has a list of values.
        let values = match value {
            Value::Array(values) => values,
            one => vec![one],
        };
        let texts = values
            .iter()
            .filter_map(Value::as_str)
            .map(|text| (name.clone(), bytes(text)));
        found.extend(texts);
    }
    found
}

fn bytes(text: &str) -> Vec<u8> {
    unescape_bytes(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{HeaderMap, HeaderName, HeaderValue};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::journal::record::{Format, Level, Place, Record, RecordRequest, Stamps};

    /// Bytes that a peer may send anywhere, many of which look like records.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<String>().prop_map(String::into_bytes),
            Just(b"\n\nHeaders:a: b\nBody:c\nPeer: d\n".to_vec()),
            Just(b"\nMessage                       : forged".to_vec()),
            Just(b"{\"time\":\"x\",\"event\":\"Request\"}\\x41".to_vec()),
        ];
        proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    fn written(title: Option<&str>, parts: &Parts, headers: &HeaderMap, format: Format) -> Vec<u8> {
        let stamp = Stamps::new(TimeZone::UTC).at(SystemTime::UNIX_EPOCH);
        let attributes: Vec<(&str, &[u8])> = parts
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let mut out = Vec::new();
        Record {
            stamp: &stamp,
            level: Level::Warning,
            place: Place::Refused,
            title,
            attributes: &attributes,
            request: Some(RecordRequest {
                headers,
                origin: None,
                body: parts.body.as_deref(),
            }),
        }
        .write(&mut out, format);
        out
    }

    proptest! {
        #[test]
        fn every_value_is_read_back_from_both_forms(
            first in hostile(),
            second in hostile(),
            body in proptest::option::of(hostile()),
            header in "[ -~\\x80-\\xff\t]{0,40}",
            has_title in any::<bool>(),
        ) {
            let mut map = HeaderMap::new();
            let value = HeaderValue::from_bytes(header.trim().as_bytes()).unwrap();
            map.append(HeaderName::from_static("x-mns-message-tag"), value.clone());
            map.append(HeaderName::from_static("x-mns-message-tag"), value.clone());
            map.append(HeaderName::from_static("user-agent"), value.clone());
            let value = value.as_bytes().to_vec();
            let attributes = if has_title {
                vec![("Reason".to_owned(), first), ("Message".to_owned(), second)]
            } else {
                Vec::new()
            };
            let expected = Parts {
                time: None,
                level: "WARNING".to_owned(),
                place: "receive.rs:7".to_owned(),
                event: if has_title { "Not Found!" } else { "Request" }.to_owned(),
                attributes,
                headers: vec![
                    ("x-mns-message-tag".to_owned(), value.clone()),
                    ("x-mns-message-tag".to_owned(), value.clone()),
                    ("user-agent".to_owned(), value),
                ],
                body,
            };
            for format in [Format::Text, Format::Json] {
                let title = has_title.then_some("Not Found!");
                let record = written(title, &expected, &map, format);
                let parts = Parts::of(&record).unwrap();
                for name in ["x-mns-message-tag", "user-agent", "host"] {
                    let alone = header_of_request(&record, name);
                    let is_text_request = format == Format::Text && !has_title;
                    let parsed = parts.header(name).map(<[u8]>::to_vec);
                    prop_assert_eq!(alone, is_text_request.then_some(parsed));
                }
                let time = parts.time.unwrap().rfc3339(&TimeZone::UTC);
                prop_assert_eq!(time, "1970-01-01T00:00:00+00:00");
                prop_assert_eq!(&Parts { time: None, ..parts }, &expected);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _parts = Parts::of(&bytes);
        }
    }
}
