//! Formats a row as a JSON object: the names are those of the log in either format, the values are
//! the original bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::command::logs::decode::Decode;
use crate::journal::{Outcome, Parts, Row};

/// The object of a row. `may_repeat` marks a row that may have been printed before.
pub(super) fn object(
    row: &Row,
    zone: &TimeZone,
    may_repeat: bool,
    decode: Option<Decode>,
) -> Value {
    let mut object = Map::new();
    let mut add = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    add("position", Value::from(row.position.to_string()));
    add(
        "time",
        row.time()
            .map_or(Value::Null, |time| Value::from(time.rfc3339(zone))),
    );
    add("outcome", Value::from(row.outcome().to_string()));
    let status = row.status().map(|status| status.as_u16());
    add("status", status.map_or(Value::Null, Value::from));
    if may_repeat {
        add("may_repeat", Value::from(true));
    }
    if row.outcome() == Outcome::Other {
        add("event", Value::from(row.record.event.as_str()));
    }
    for (name, bytes) in &row.record.attributes {
        if name == "Message" {
            add(name, message(bytes, decode));
        } else {
            add(name, value(bytes));
        }
    }
    let attributes = [("Peer", row.peer()), ("Target", row.target())];
    for (name, bytes) in attributes {
        if let (None, Some(bytes)) = (row.record.attribute(name), bytes) {
            add(name, value(bytes));
        }
    }
    if !row.record.headers.is_empty() {
        add("Headers", headers(&row.record));
    }
    if let Some(body) = &row.record.body {
        add("Body", value(body));
    }
    Value::Object(object)
}

/// Text as a string; bytes that are not UTF-8 as base64, with a key that says so.
pub(super) fn value(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(
        |_not_text| json!({ "base64": STANDARD.encode(bytes) }),
        Value::from,
    )
}

/// A decoded message that is not text is left as it was published.
fn message(bytes: &[u8], decode: Option<Decode>) -> Value {
    let decoded = Decode::apply(decode, bytes);
    std::str::from_utf8(&decoded).map_or_else(|_not_text| value(bytes), Value::from)
}

fn headers(parts: &Parts) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (name, bytes) in &parts.headers {
        let value = value(bytes);
        match headers.get_mut(name) {
            // All values of a repeated header: the repetition may be why the request was refused.
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
            None => drop(headers.insert(name.clone(), value)),
        }
    }
    Value::Object(headers)
}
