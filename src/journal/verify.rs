//! Whether a log is as it was written: every record whole, and the times in order.
//!
//! There are no checksums, so a byte that became another is seen only where it breaks the form.

use std::io::{self, BufRead};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::journal::reader::{Found, Records};
use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED};
use crate::journal::{Log, reader};

/// Records are made up to this long before they are written, side by side: the times of two may be that much out of order.
const DISORDER_SECONDS: i64 = 10;
/// Fields of the manual's access line behind the time.
const ACCESS_FIELDS: usize = 9;
/// Problems that are told of one file.
const PROBLEMS_MAX: usize = 20;

/// What was found in one file.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Whole records, or lines.
    pub records: u64,
    /// Those that say that a notification was accepted; in the access log the lines with 201.
    pub accepted: u64,
    /// Those that say that it was on disk already.
    pub duplicates: u64,
    /// Those that say that it was refused by mistake and taken back.
    pub recovered: u64,
    /// Requests without their outcome: a crash cut it off before it was acknowledged.
    pub without_outcome: u64,
    /// How often the time goes back: a clock that was set, or the end of summer time.
    pub set_back: u64,
    /// What is wrong: where it begins, and what it is. The first few.
    pub problems: Vec<(u64, String)>,
    /// All that is wrong.
    pub problems_count: u64,
    /// Bytes of an unfinished record at the end.
    pub torn_bytes: u64,
}

/// Reads one file from its beginning to its end.
///
/// # Errors
/// The disk's.
pub fn verify(log: Log, input: impl BufRead) -> io::Result<Verdict> {
    let mut records = Records::new(log, input);
    let mut verdict = Verdict::default();
    let mut offset = 0_u64;
    let mut last = Last::default();
    loop {
        let record = match records.read()? {
            Found::Whole(record) => record,
            Found::Torn(rest) => {
                verdict.torn_bytes = length(rest);
                break;
            }
            Found::End => break,
        };
        verdict.records = verdict.records.saturating_add(1);
        match look(log, record) {
            Ok(seen) => verdict.count(&seen, &mut last),
            Err(problem) => verdict.complain(offset, problem),
        }
        offset = offset.saturating_add(length(record));
    }
    if last.is_request {
        verdict.without_outcome = verdict.without_outcome.saturating_add(1);
    }
    Ok(verdict)
}

/// What the record before was.
#[derive(Default)]
struct Last {
    is_request: bool,
    seconds: Option<(bool, i64)>,
}

/// What a sound record tells.
struct Seen {
    kind: Kind,
    /// Whether it is JSON, whose times have an offset, and its time.
    seconds: (bool, i64),
}

#[derive(PartialEq, Eq)]
enum Kind {
    Request,
    Accepted,
    Duplicate,
    Recovered,
    Other,
}

impl Verdict {
    fn count(&mut self, seen: &Seen, last: &mut Last) {
        let add = |count: &mut u64| *count = count.saturating_add(1);
        match seen.kind {
            Kind::Accepted => add(&mut self.accepted),
            Kind::Duplicate => add(&mut self.duplicates),
            Kind::Recovered => add(&mut self.recovered),
            Kind::Request | Kind::Other => {}
        }
        if last.is_request && matches!(seen.kind, Kind::Request | Kind::Recovered | Kind::Other) {
            add(&mut self.without_outcome);
        }
        let (is_json, seconds) = seen.seconds;
        if let Some((was_json, before)) = last.seconds
            && is_json == was_json
            && seconds.saturating_add(DISORDER_SECONDS) < before
        {
            add(&mut self.set_back);
        }
        *last = Last { is_request: seen.kind == Kind::Request, seconds: Some(seen.seconds) };
    }

    fn complain(&mut self, offset: u64, problem: &str) {
        self.problems_count = self.problems_count.saturating_add(1);
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push((offset, problem.to_owned()));
        }
    }
}

fn look(log: Log, record: &[u8]) -> Result<Seen, &'static str> {
    let text = std::str::from_utf8(record).map_err(|_not_text| "it is not UTF-8")?;
    if text.chars().any(|character| character.is_control() && character != '\n') {
        return Err("it holds control characters, which no record does");
    }
    match (text.starts_with('{'), log) {
        (true, _) => look_json(log, record),
        (false, Log::Access) => look_line(text),
        (false, Log::Endpoint) => look_text(record, text),
    }
}

fn look_json(log: Log, record: &[u8]) -> Result<Seen, &'static str> {
    let Ok(Value::Object(object)) = serde_json::from_slice(record) else { return Err("it is no JSON object") };
    let time = object.get("time").and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
    let seconds = time.ok_or("it has no time")?.as_second();
    let kind = match log {
        Log::Access if object.get("status").and_then(Value::as_u64) == Some(201) => Kind::Accepted,
        Log::Access => Kind::Other,
        Log::Endpoint => {
            let event = object.get("event").and_then(Value::as_str).ok_or("it has no event")?;
            kind(event, event == "Request", record)?
        }
    };
    Ok(Seen { kind, seconds: (true, seconds) })
}

fn look_line(line: &str) -> Result<Seen, &'static str> {
    let (time, fields) = line.strip_prefix('[').and_then(|line| line.split_once(']')).ok_or("it has no time")?;
    let fields = fields.strip_suffix('\n').unwrap_or(fields);
    let fields = fields.strip_prefix('"').and_then(|fields| fields.strip_suffix('"')).unwrap_or_default();
    let fields: Vec<&str> = fields.split("\" \"").collect();
    // A quote within a field is escaped.
    if fields.len() < ACCESS_FIELDS || fields.iter().any(|field| field.contains('"')) {
        return Err("it has not the fields of an access line");
    }
    let status = fields.get(1).copied();
    let kind = if status == Some("201") { Kind::Accepted } else { Kind::Other };
    Ok(Seen { kind, seconds: (false, seconds("%d/%b/%Y %H:%M:%S", time)?) })
}

fn look_text(record: &[u8], text: &str) -> Result<Seen, &'static str> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let time = first.split_once("] ").and_then(|(time, _)| time.strip_prefix('[')).ok_or("it has no time")?;
    let title = reader::title(first).ok_or("its first line has not five fields in brackets")?;
    // Every other line is indented, or begins with a name.
    if lines.any(|line| line.starts_with('[')) {
        return Err("another record begins within it");
    }
    let kind = kind(title, title.starts_with("Headers:"), record)?;
    Ok(Seen { kind, seconds: (false, seconds("%Y-%m-%d %H:%M:%S", time)?) })
}

fn kind(title: &str, is_request: bool, record: &[u8]) -> Result<Kind, &'static str> {
    let kind = match title {
        SUCCEED => Kind::Accepted,
        DUPLICATE => Kind::Duplicate,
        RECOVERED => Kind::Recovered,
        _ if is_request => return Ok(Kind::Request),
        _ => return Ok(Kind::Other),
    };
    let has_id = reader::accepted(record).is_some_and(|identity| identity.parts().iter().any(|part| !part.is_empty()));
    if has_id { Ok(kind) } else { Err("it has no attribute of a notification") }
}

fn seconds(format: &str, time: &str) -> Result<i64, &'static str> {
    let time = DateTime::strptime(format, time).ok().and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
    time.map(Timestamp::as_second).ok_or("its time is none")
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str =
        "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:1] [1] Headers:host: x\n    a: [b]\nPeer: y\n\n";
    const LINE: &str = "[24/Nov/2026 10:00:00]\"POST\" \"201\" \"/\" \"HTTP/1.1\" \"1\" \"x\" \"y\" \"z\" \"v\"\n";

    fn outcome(title: &str, time: &str) -> String {
        let name = format!("{:<30}", "MessageId");
        format!("[2026-11-24 {time}] [root] [INFO] [receive.rs:2] [1] {title}\n{name}: 1\n\n")
    }

    fn of(log: Log, text: &str) -> Verdict {
        verify(log, text.as_bytes()).unwrap()
    }

    #[test]
    fn a_sound_log_is_counted() {
        let [first, second, third] = [SUCCEED, DUPLICATE, RECOVERED].map(|title| outcome(title, "10:00:00"));
        let text = [REQUEST, &first, REQUEST, &second, &third].concat();
        let verdict = of(Log::Endpoint, &text);
        assert_eq!(verdict.problems, []);
        let counts = [verdict.records, verdict.accepted, verdict.duplicates, verdict.recovered];
        assert_eq!(counts, [5, 1, 1, 1]);
        assert_eq!((verdict.without_outcome, verdict.torn_bytes), (0, 0));
        let access = of(Log::Access, &LINE.repeat(3));
        assert_eq!((access.records, access.accepted, access.problems_count), (3, 3, 0));
    }

    #[test]
    fn every_byte_that_breaks_the_form_is_told_with_its_place() {
        let whole = outcome(SUCCEED, "10:00:00");
        for (broken, told) in [
            (whole.replace("MessageId", "Me\0sageId"), "control characters"),
            (whole.replace("[root]", "root"), "not five fields"),
            (whole.replace("10:00:00", "10:00:99"), "its time is none"),
            (whole.replace("[2026", "2026"), "it has no time"),
            (whole.replace("MessageId", "MassageId"), "no attribute"),
            ([whole.trim_end(), "\n", &whole].concat(), "another record begins within it"),
            ("{\"event\":1}\n".to_owned(), "it has no time"),
            ("{no}\n".to_owned(), "no JSON object"),
        ] {
            let verdict = of(Log::Endpoint, &[&whole, broken.as_str(), &whole].concat());
            let (offset, problem) = verdict.problems.first().unwrap();
            assert_eq!(*offset, whole.len() as u64, "{told}");
            assert!(problem.contains(told), "{problem} has no {told}");
            assert_eq!(verdict.problems_count, 1);
        }
        let half = of(Log::Access, &[LINE, LINE.split_at(50).0, LINE].concat());
        assert_eq!(half.problems_count, 1);
    }

    #[test]
    fn a_torn_end_a_request_alone_and_a_clock_set_back_are_no_problems() {
        let first = outcome(SUCCEED, "10:00:30");
        let text = [&first, REQUEST, &outcome(SUCCEED, "10:00:25"), REQUEST, "[2026"].concat();
        let verdict = of(Log::Endpoint, &text);
        assert_eq!(verdict.problems, []);
        assert_eq!((verdict.torn_bytes, verdict.without_outcome, verdict.set_back), (5, 1, 2));
    }
}
