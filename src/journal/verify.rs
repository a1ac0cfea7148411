//! Whether a log is as it was written: every record whole, and the times in order.
//!
//! There are no checksums, so a byte that became another is seen only where it breaks the form: NUL
//! and other control characters, what is not UTF-8, a missing end, a request without its outcome or
//! the reverse. A changed letter is not.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::journal::reader::{Damage, Found, Records};
use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED};
use crate::journal::{Log, reader};

/// Records are made up to this long before they are written, side by side: the times of two may be
/// that much out of order.
const DISORDER_SECONDS: i64 = 10;
/// The same in minutes.
const DISORDER_MINUTES: i64 = 1;
/// What the record of a start begins with.
const STARTED: &str = "Start Endpoint!";
/// Fields of the manual's access line behind the time.
const ACCESS_FIELDS: usize = 9;
/// Problems that are told of one file.
const PROBLEMS_MAX: usize = 20;

/// What was found in one file.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Records, or lines, whole or damaged.
    pub records: u64,
    /// Those that say that a notification was accepted; in the access log the lines with 201.
    pub accepted: u64,
    /// Those that say that it was on disk already.
    pub duplicates: u64,
    /// Those that say that it was refused by mistake and taken back.
    pub recovered: u64,
    /// Requests without their outcome before a start or at the end: a crash cut it off before it
    /// was acknowledged.
    pub without_outcome: u64,
    /// How often the time goes back: a clock that was set, or the end of summer time.
    pub set_back: u64,
    /// What is wrong: where it begins, and what it is. The first few.
    pub problems: Vec<(u64, String)>,
    /// All that is wrong.
    pub problems_count: u64,
    /// Bytes of an unfinished record at the end.
    pub torn_bytes: u64,
    /// How long the file was, in bytes.
    pub len: u64,
    /// Accepted notifications and duplicates, each answered 201, by the minute of their records:
    /// minutes since 1970, UTC in JSON and local in text. Both logs give the records of one push
    /// the same time, so what one lacks shows here.
    pub acknowledged: BTreeMap<i64, u64>,
    /// The minutes of the first record and of the latest one.
    pub minutes: Option<(i64, i64)>,
    /// Whether a minute is earlier than one before it, by more than the disorder of records: a
    /// clock was set back, summer time ended, or the zone or the format became another one. Records
    /// of different minutes then look alike.
    pub goes_back: bool,
    /// Whether the first record is that of a start.
    pub begins_with_start: bool,
    /// The offset of a last request whose outcome does not follow before the file ends.
    pending_request: Option<u64>,
}

/// Whether a record of `minute` follows one of `latest` although it is older.
#[must_use]
pub fn goes_back(latest: i64, minute: i64) -> bool {
    minute.saturating_add(DISORDER_MINUTES) < latest
}

/// Reads one file from its beginning to its end.
///
/// # Errors
/// The disk's.
pub fn verify(log: Log, input: impl BufRead) -> io::Result<Verdict> {
    let mut records = Records::new(log, input);
    let mut verdict = Verdict::default();
    let mut pairs = Pairs::default();
    let mut last_time = None;
    loop {
        let offset = verdict.len;
        let (record, found) = match records.read()? {
            Found::Whole(record) => (record, look(log, record)),
            Found::Damaged(record, damage) => (record, Err(damage.to_string())),
            Found::Torn(rest) => {
                verdict.torn_bytes = length(rest);
                verdict.len = offset.saturating_add(verdict.torn_bytes);
                break;
            }
            Found::End => break,
        };
        verdict.records = verdict.records.saturating_add(1);
        verdict.len = offset.saturating_add(length(record));
        match found {
            Ok(seen) => {
                verdict.count(&seen, &mut last_time);
                pairs.next(&mut verdict, seen.kind, offset);
            }
            Err(problem) => {
                verdict.complain(offset, problem);
                pairs.last = Before::Damage;
            }
        }
    }
    if let Before::Request(offset) = pairs.last {
        verdict.without_outcome = verdict.without_outcome.saturating_add(1);
        verdict.pending_request = Some(offset);
    }
    pairs.end_run(&mut verdict);
    verdict.problems.sort();
    verdict.problems.truncate(PROBLEMS_MAX);
    Ok(verdict)
}

/// What a sound record tells.
struct Seen {
    kind: Kind,
    /// Whether it is JSON, whose times have an offset, and its time.
    seconds: (bool, i64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Accepted,
    Duplicate,
    Recovered,
    Start,
    /// A line of the access log that says 201: it has no request before it.
    Line201,
    Other,
}

/// The two records of a push are next to each other, unless `logs.request` is off. That may change
/// from one run of `serve` to the next, so an outcome alone counts only if the same run has logged
/// requests.
#[derive(Default)]
struct Pairs {
    last: Before,
    /// Whether this run logs requests.
    has_requests: bool,
    /// Outcomes of this run without their request.
    alone: Vec<u64>,
}

/// What precedes a record.
#[derive(Default, Clone, Copy)]
enum Before {
    #[default]
    Other,
    /// A request that begins here.
    Request(u64),
    /// What may have been anything.
    Damage,
}

impl Pairs {
    fn next(&mut self, verdict: &mut Verdict, kind: Kind, offset: u64) {
        let is_outcome = matches!(kind, Kind::Accepted | Kind::Duplicate);
        match self.last {
            Before::Other if is_outcome && self.alone.len() < PROBLEMS_MAX => {
                self.alone.push(offset)
            }
            Before::Request(_) if matches!(kind, Kind::Start | Kind::Recovered) => {
                verdict.without_outcome = verdict.without_outcome.saturating_add(1);
            }
            Before::Request(request) if !is_outcome => {
                verdict.complain(
                    request,
                    "it is a request, and its outcome is missing behind it".to_owned(),
                );
            }
            Before::Other | Before::Request(_) | Before::Damage => {}
        }
        if kind == Kind::Start {
            self.end_run(verdict);
        }
        self.last = Before::Other;
        if kind == Kind::Request {
            self.last = Before::Request(offset);
            self.has_requests = true;
        }
    }

    fn end_run(&mut self, verdict: &mut Verdict) {
        for offset in self.alone.drain(..).filter(|_| self.has_requests) {
            verdict.complain(
                offset,
                "it is the outcome of a request that is missing before it".to_owned(),
            );
        }
        self.has_requests = false;
    }
}

impl Verdict {
    /// Takes a file as finished, which a rotated one is: what its end lacks is damage, not a record
    /// on its way.
    pub fn finish(&mut self) {
        if let Some(request) = self.pending_request.take() {
            self.without_outcome = self.without_outcome.saturating_sub(1);
            self.complain(
                request,
                "it is a request, and its outcome is missing behind it".to_owned(),
            );
        }
        if self.torn_bytes > 0 {
            let offset = self.len.saturating_sub(self.torn_bytes);
            self.complain(
                offset,
                "its end is missing: the file ends within it".to_owned(),
            );
        }
    }

    fn count(&mut self, seen: &Seen, last_time: &mut Option<(bool, i64)>) {
        let add = |count: &mut u64| *count = count.saturating_add(1);
        match seen.kind {
            Kind::Accepted | Kind::Line201 => add(&mut self.accepted),
            Kind::Duplicate => add(&mut self.duplicates),
            Kind::Recovered => add(&mut self.recovered),
            Kind::Request | Kind::Start | Kind::Other => {}
        }
        let (is_json, seconds) = seen.seconds;
        let minute = seconds.div_euclid(60);
        match seen.kind {
            Kind::Accepted | Kind::Line201 | Kind::Duplicate => {
                add(self.acknowledged.entry(minute).or_default());
            }
            Kind::Recovered | Kind::Request | Kind::Start | Kind::Other => {}
        }
        self.begins_with_start |= self.minutes.is_none() && seen.kind == Kind::Start;
        let (first, latest) = self.minutes.unwrap_or((minute, minute));
        self.goes_back |= goes_back(latest, minute);
        self.minutes = Some((first, latest.max(minute)));
        if let Some((was_json, before)) = *last_time
            && is_json == was_json
            && seconds.saturating_add(DISORDER_SECONDS) < before
        {
            add(&mut self.set_back);
        }
        *last_time = Some(seen.seconds);
    }

    /// Problems at the end of a run are found after later ones, so more are kept than are reported.
    fn complain(&mut self, offset: u64, problem: String) {
        self.problems_count = self.problems_count.saturating_add(1);
        if self.problems.len() < PROBLEMS_MAX.saturating_mul(2) {
            self.problems.push((offset, problem));
        }
    }
}

fn look(log: Log, record: &[u8]) -> Result<Seen, String> {
    let text = std::str::from_utf8(record).map_err(|_not_text| Damage::NotText.to_string())?;
    if text
        .chars()
        .any(|character| character.is_control() && character != '\n')
    {
        return Err(Damage::Control.to_string());
    }
    let seen = match (text.starts_with('{'), log) {
        (true, _) => look_json(log, record),
        (false, Log::Access) => look_line(text),
        (false, Log::Endpoint) => look_text(record, text),
    };
    seen.map_err(str::to_owned)
}

fn look_json(log: Log, record: &[u8]) -> Result<Seen, &'static str> {
    let Ok(Value::Object(object)) = serde_json::from_slice(record) else {
        return Err("it is no JSON object");
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
    Ok(Seen {
        kind,
        seconds: (true, seconds),
    })
}

fn look_line(line: &str) -> Result<Seen, &'static str> {
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
    // A quote within a field is escaped.
    if fields.len() < ACCESS_FIELDS || fields.iter().any(|field| field.contains('"')) {
        return Err("it has not the fields of an access line");
    }
    let status = fields.get(1).copied();
    let kind = if status == Some("201") {
        Kind::Line201
    } else {
        Kind::Other
    };
    Ok(Seen {
        kind,
        seconds: (false, seconds("%d/%b/%Y %H:%M:%S", time)?),
    })
}

fn look_text(record: &[u8], text: &str) -> Result<Seen, &'static str> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let time = first
        .split_once("] ")
        .and_then(|(time, _)| time.strip_prefix('['))
        .ok_or("it has no time")?;
    let title = reader::title(first).ok_or("its first line has not five fields in brackets")?;
    if lines.any(|line| !line.is_empty() && !reader::is_line_of_a_record(line.as_bytes())) {
        return Err("one of its lines does not belong in a record");
    }
    let kind = kind(title, title.starts_with("Headers:"), record)?;
    Ok(Seen {
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
    reader::accepted(record)
        .map(|_identity| kind)
        .ok_or("it has no attribute of a notification")
}

fn seconds(format: &str, time: &str) -> Result<i64, &'static str> {
    let time = DateTime::strptime(format, time)
        .ok()
        .and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
    time.map(Timestamp::as_second).ok_or("its time is none")
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:1] [1] Headers:host: \
        x\n    a: [b]\nPeer: y\n\n";
    const LINE: &str =
        "[24/Nov/2026 10:00:00]\"POST\" \"201\" \"/\" \"HTTP/1.1\" \"1\" \"x\" \"y\" \"z\" \"v\"\n";

    fn outcome(title: &str, time: &str) -> String {
        let name = format!("{:<30}", "MessageId");
        format!("[2026-11-24 {time}] [root] [INFO] [receive.rs:2] [1] {title}\n{name}: 1\n\n")
    }

    fn of(log: Log, text: &str) -> Verdict {
        verify(log, text.as_bytes()).unwrap()
    }

    #[test]
    fn a_sound_log_is_counted() {
        let [first, second, third] =
            [SUCCEED, DUPLICATE, RECOVERED].map(|title| outcome(title, "10:00:00"));
        let text = [REQUEST, &first, REQUEST, &second, &third].concat();
        let verdict = of(Log::Endpoint, &text);
        assert_eq!(verdict.problems, []);
        let counts = [
            verdict.records,
            verdict.accepted,
            verdict.duplicates,
            verdict.recovered,
        ];
        assert_eq!(counts, [5, 1, 1, 1]);
        assert_eq!((verdict.without_outcome, verdict.torn_bytes), (0, 0));
        let access = of(Log::Access, &LINE.repeat(3));
        assert_eq!(
            (access.records, access.accepted, access.problems_count),
            (3, 3, 0)
        );
    }

    #[test]
    fn every_byte_that_breaks_the_form_is_told_with_its_place() {
        let whole = outcome(SUCCEED, "10:00:00");
        for (broken, told) in [
            (
                whole.replace("MessageId", "Me\0sageId"),
                "control characters",
            ),
            (whole.replace("[root]", "root"), "not five fields"),
            (whole.replace("10:00:00", "10:00:99"), "its time is none"),
            (whole.replace("[2026", "2026"), "it has no time"),
            (whole.replace("MessageId", "MassageId"), "no attribute"),
            (
                [whole.trim_end(), "\n", &whole].concat(),
                "another record begins within it",
            ),
            (
                [whole.trim_end(), "\nJ", &whole].concat(),
                "its end is missing",
            ),
            (
                whole.replace("MessageId ", "MessageId?"),
                "one of its lines does not belong in a record",
            ),
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
    fn a_torn_end_a_request_alone_before_it_and_a_clock_set_back_are_no_problems() {
        let first = outcome(SUCCEED, "10:00:30");
        let text = [
            REQUEST,
            &first,
            REQUEST,
            &outcome(SUCCEED, "10:00:25"),
            REQUEST,
            "[2026",
        ]
        .concat();
        let verdict = of(Log::Endpoint, &text);
        assert_eq!(verdict.problems, []);
        assert_eq!(
            (
                verdict.torn_bytes,
                verdict.without_outcome,
                verdict.set_back
            ),
            (5, 1, 2)
        );
    }

    #[test]
    fn a_lost_half_of_a_pair_is_reported_unless_a_crash_or_the_settings_explain_it() {
        let done = outcome(SUCCEED, "10:00:00");
        let again = outcome(DUPLICATE, "10:00:00");
        let taken = outcome(RECOVERED, "10:00:00");
        let start = "[2026-11-24 10:00:00] [root] [INFO] [serve.rs:1] [1] Start Endpoint! Address: \
            http://x\n\n";
        let [done, again, taken] = [&done, &again, &taken].map(String::as_str);
        let pair = [REQUEST, done].concat();
        let pair = pair.as_str();
        for (text, problems, without_outcome) in [
            ([pair, REQUEST, again, taken].concat(), 0, 0),
            // Without its outcome, or without its request.
            ([REQUEST, pair].concat(), 1, 0),
            ([pair, done].concat(), 1, 0),
            ([again, pair, taken].concat(), 1, 0),
            // A crash, and what comes after it.
            ([pair, REQUEST, start, pair].concat(), 0, 1),
            ([pair, REQUEST, taken, start, pair].concat(), 0, 1),
            ([pair, REQUEST].concat(), 0, 1),
            // logs.request was off, and is not any more.
            ([done, again, start, pair].concat(), 0, 0),
            ([start, pair, start, done].concat(), 0, 0),
            // What is damaged may have been either half, and is reported once.
            (
                [pair, &REQUEST.replace("Peer", "Pe\0r"), done].concat(),
                1,
                0,
            ),
            (
                [REQUEST, &done.replace("Mess", "M\0ss"), pair].concat(),
                1,
                0,
            ),
        ] {
            let verdict = of(Log::Endpoint, &text);
            assert_eq!(
                (verdict.problems.len(), verdict.without_outcome),
                (problems, without_outcome),
                "{text}"
            );
        }
        let mut finished = of(Log::Endpoint, &[pair, REQUEST, "[2026"].concat());
        finished.finish();
        let places: Vec<u64> = finished
            .problems
            .iter()
            .map(|(offset, _)| *offset)
            .collect();
        assert_eq!(
            places,
            [pair.len() as u64, (pair.len() + REQUEST.len()) as u64]
        );
        assert_eq!((finished.problems_count, finished.without_outcome), (2, 0));
    }

    #[test]
    fn an_identity_that_is_there_and_empty_is_one() {
        let empty = |name: &str| format!("{name:<30}: \n");
        let names = ["TopicOwner", "TopicName", "SubscriptionName", "MessageId"];
        let text = outcome(SUCCEED, "10:00:00").replace(
            &format!("{:<30}: 1\n", "MessageId"),
            &names.map(empty).concat(),
        );
        let json = "{\"time\":\"2026-11-24T10:00:00Z\",\"event\":\"Notify Message Succeed!\",\"MessageId\":\"\"}\n";
        for record in [text.as_str(), json] {
            let verdict = of(Log::Endpoint, record);
            assert_eq!(
                (verdict.problems, verdict.accepted),
                (vec![], 1),
                "{record}"
            );
            assert_eq!(
                reader::accepted(record.as_bytes()).unwrap().parts(),
                [&b""[..]; 4]
            );
        }
    }
}
