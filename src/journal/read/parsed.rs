//! The kind and the time of one record.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::journal::Log;
use crate::journal::read::accepted::accepted;
use crate::journal::read::records::{Damage, is_line_of_a_record, title};
use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED};

/// How the title of the record of a start begins.
const STARTED: &str = "Start Endpoint!";
/// How many fields the access line has after its time, without optional ones.
const ACCESS_FIELDS: usize = 9;

/// A valid record.
pub(super) struct Parsed {
    pub(super) kind: Kind,
    /// Whether the record is JSON, and its time in seconds. The time of a text record is local,
    /// because such a time has no offset.
    pub(super) seconds: (bool, i64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Accepted,
    Duplicate,
    Recovered,
    Start,
    /// A line of the access log with status 201. No record of its request precedes it there.
    Line201,
    Other,
}

pub(super) fn parse(log: Log, record: &[u8]) -> Result<Parsed, String> {
    let text = std::str::from_utf8(record).map_err(|_not_text| Damage::NotText.to_string())?;
    if text
        .chars()
        .any(|character| character.is_control() && character != '\n')
    {
        return Err(Damage::Control.to_string());
    }
    let parsed = match (text.starts_with('{'), log) {
        (true, _) => parse_json(log, record),
        (false, Log::Access) => parse_line(text),
        (false, Log::Endpoint) => parse_text(record, text),
    };
    parsed.map_err(str::to_owned)
}

fn parse_json(log: Log, record: &[u8]) -> Result<Parsed, &'static str> {
    let Ok(Value::Object(object)) = serde_json::from_slice(record) else {
        return Err("it is not a JSON object");
    };
    let time = object
        .get("time")
        .and_then(Value::as_str)
        .and_then(|time| time.parse::<Timestamp>().ok());
    let seconds = time.ok_or("it has no time")?.as_second();
    let kind = match log {
        Log::Access if object.get("status").and_then(Value::as_u64) == Some(201) => Kind::Line201,
        Log::Access => Kind::Other,
        Log::Endpoint => {
            let event = object
                .get("event")
                .and_then(Value::as_str)
                .ok_or("it has no event")?;
            kind(event, event == "Request", record)?
        }
    };
    Ok(Parsed {
        kind,
        seconds: (true, seconds),
    })
}

fn parse_line(line: &str) -> Result<Parsed, &'static str> {
    let (time, fields) = line
        .strip_prefix('[')
        .and_then(|line| line.split_once(']'))
        .ok_or("it has no time")?;
    let fields = fields.strip_suffix('\n').unwrap_or(fields);
    let fields = fields
        .strip_prefix('"')
        .and_then(|fields| fields.strip_suffix('"'))
        .unwrap_or_default();
    let fields: Vec<&str> = fields.split("\" \"").collect();
    // A quote within a field is escaped, so a bare one is damage.
    if fields.len() < ACCESS_FIELDS || fields.iter().any(|field| field.contains('"')) {
        return Err("it does not have the fields of an access line");
    }
    let status = fields.get(1).copied();
    let kind = if status == Some("201") {
        Kind::Line201
    } else {
        Kind::Other
    };
    Ok(Parsed {
        kind,
        seconds: (false, seconds("%d/%b/%Y %H:%M:%S", time)?),
    })
}

fn parse_text(record: &[u8], text: &str) -> Result<Parsed, &'static str> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let time = first
        .split_once("] ")
        .and_then(|(time, _)| time.strip_prefix('['))
        .ok_or("it has no time")?;
    let title = title(first).ok_or("its first line does not have five fields in brackets")?;
    if lines.any(|line| !line.is_empty() && !is_line_of_a_record(line.as_bytes())) {
        return Err("one of its lines does not belong in a record");
    }
    let kind = kind(title, title.starts_with("Headers:"), record)?;
    Ok(Parsed {
        kind,
        seconds: (false, seconds("%Y-%m-%d %H:%M:%S", time)?),
    })
}

fn kind(title: &str, is_request: bool, record: &[u8]) -> Result<Kind, &'static str> {
    let kind = match title {
        SUCCEED => Kind::Accepted,
        DUPLICATE => Kind::Duplicate,
        RECOVERED => Kind::Recovered,
        _ if is_request => return Ok(Kind::Request),
        _ if title.starts_with(STARTED) => return Ok(Kind::Start),
        _ => return Ok(Kind::Other),
    };
    accepted(record)
        .map(|_identity| kind)
        .ok_or("it has no attribute of a notification")
}

fn seconds(format: &str, time: &str) -> Result<i64, &'static str> {
    // The time is local and has no zone. Reading it as UTC is enough to compare two times of one
    // log.
    let time = DateTime::strptime(format, time)
        .ok()
        .and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
    time.map(Timestamp::as_second).ok_or("its time is invalid")
}
