//! An endpoint with checks of everything that a refusal leaves: answer, access line, record,
//! fetches.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::journal::unescape;
use mns_endpoint::mns::{ATTRIBUTES, ContentFormat};
use mns_endpoint::server::Reason;

use crate::support::{
    Answer, CertificateHost, Draft, Endpoint, Entry, Options, attribute, eventually, key,
    read_answer, records, send,
};

/// The name of a certificate that is not cached.
pub fn file() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{}.pem", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The expected traces of a refusal.
#[derive(Clone, Copy)]
pub struct Refusal {
    pub status: u16,
    pub reason: Reason,
    pub level: &'static str,
    /// The expected number of requests to the certificate host.
    pub fetches: usize,
    /// Whether the signature was compared. The record then contains the expected string to sign.
    pub looked_at: bool,
    /// Whether the body was read.
    pub has_body: bool,
}

/// Refused before any fetch.
pub fn cheap(status: u16, reason: Reason) -> Refusal {
    Refusal {
        status,
        reason,
        level: "WARNING",
        fetches: 0,
        looked_at: false,
        has_body: true,
    }
}

/// Refused after the head, with the body unread.
pub fn unread(status: u16, reason: Reason) -> Refusal {
    Refusal {
        has_body: false,
        ..cheap(status, reason)
    }
}

/// Refused after one fetch and a comparison of the signature.
pub fn looked_at(status: u16, reason: Reason) -> Refusal {
    Refusal {
        fetches: 1,
        looked_at: true,
        ..cheap(status, reason)
    }
}

/// The contract of refusals, written down independently: body, title, place, required headers.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

fn row(refusal: Refusal) -> Row {
    const CLOSE: &[(&str, &str)] = &[("connection", "close")];
    match refusal.status {
        400 if refusal.reason == Reason::BodyBroken => (
            "Invalid Notify Message",
            "Invalid Notify Message!",
            "receive.rs:4",
            CLOSE,
        ),
        400 => (
            "Invalid Notify Message",
            "Invalid Notify Message!",
            "receive.rs:4",
            &[],
        ),
        403 => (
            "Access Forbidden",
            "Access Forbidden!",
            "receive.rs:3",
            if is_of_mns(refusal.reason) {
                &[]
            } else {
                CLOSE
            },
        ),
        404 => ("Not Found", "Not Found!", "receive.rs:7", CLOSE),
        405 => (
            "Method Not Allowed",
            "Method Not Allowed!",
            "receive.rs:7",
            &[("allow", "POST"), ("connection", "close")],
        ),
        408 => ("Request Timeout", "Request Timeout!", "receive.rs:7", CLOSE),
        413 => (
            "Payload Too Large",
            "Payload Too Large!",
            "receive.rs:7",
            CLOSE,
        ),
        415 => (
            "Unsupported Media Type",
            "Unsupported Media Type!",
            "receive.rs:7",
            CLOSE,
        ),
        503 if refusal.reason == Reason::TooManyInFlight => (
            "Service Unavailable",
            "Service Unavailable!",
            "receive.rs:5",
            &[("retry-after", "5"), ("connection", "close")],
        ),
        503 => (
            "Service Unavailable",
            "Service Unavailable!",
            "receive.rs:5",
            &[("retry-after", "5")],
        ),
        other => panic!("{other} is in no row"),
    }
}

/// Whether the reason applies to pushes that MNS did send. Other peers get only one 403 on a
/// connection.
fn is_of_mns(reason: Reason) -> bool {
    let of_mns = [
        Reason::KeyTooSmall,
        Reason::OwnerNotAccepted,
        Reason::TopicNotAccepted,
        Reason::SourceNotAccepted,
    ];
    of_mns.contains(&reason)
}

/// An endpoint and the host whose certificates it trusts.
pub struct Bench {
    pub endpoint: Endpoint,
    pub host: CertificateHost,
    /// `logs.refused_body`
    pub shown: usize,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|options| options)
    }

    pub fn with(set: impl FnOnce(Options) -> Options) -> Self {
        let host = CertificateHost::serving(&key(512));
        let endpoint = Endpoint::start(&set(
            Options::listing(&host.prefix()).set("logs.refused_rate", "off")
        ));
        // The program does not wait for the record of the start.
        eventually("the start is logged", || {
            (!endpoint.endpoint_log().is_empty()).then_some(())
        });
        Self {
            endpoint,
            host,
            shown: 4096,
        }
    }

    /// A push that only lacks its signature, with a certificate that is not cached.
    pub fn draft(&self) -> Draft {
        self.draft_in(ContentFormat::Xml)
    }

    pub fn draft_in(&self, format: ContentFormat) -> Draft {
        Draft::new(format, "m", &self.host.url(&file()))
    }

    pub fn log(&self) -> Vec<Entry> {
        records(&self.endpoint.endpoint_log())
    }

    /// The new access line, once there are more than `before`. There must be exactly one.
    #[track_caller]
    pub fn next_line(&self, before: usize) -> String {
        let log = eventually("the answer is in the access log", || {
            let log = self.endpoint.access_log();
            (log.lines().count() > before).then_some(log)
        });
        assert_eq!(log.lines().count(), before + 1);
        log.lines().last().unwrap().to_owned()
    }

    /// Sends a draft unchanged. It must be refused as given.
    #[track_caller]
    pub fn check(&self, draft: &Draft, refusal: Refusal) -> Entry {
        self.check_wire(draft, &draft.wire(), refusal)
    }

    /// The same with other bytes on the wire than the draft's.
    #[track_caller]
    pub fn check_wire(&self, draft: &Draft, wire: &[u8], refusal: Refusal) -> Entry {
        self.check_on(draft, refusal, |stream| stream.write_all(wire).unwrap())
    }

    #[track_caller]
    pub fn check_on(
        &self,
        draft: &Draft,
        refusal: Refusal,
        write: impl FnOnce(&mut TcpStream),
    ) -> Entry {
        let (lines, entries) = (self.endpoint.access_log().lines().count(), self.log().len());
        let fetched = self.host.requests();
        let mut stream = send(self.endpoint.address, &[]);
        write(&mut stream);
        assert_answer(&read_answer(&mut stream), refusal);
        let line = self.next_line(lines);
        assert_line(&line, draft, refusal.status);
        let log = self.log();
        assert_eq!(log.len(), entries + 1, "a refusal leaves one record");
        let entry = log.last().unwrap().clone();
        assert_record(
            &entry,
            draft,
            refusal,
            &stream.local_addr().unwrap().to_string(),
            self.shown,
        );
        assert_eq!(self.host.requests() - fetched, refusal.fetches, "fetches");
        entry
    }

    #[track_caller]
    pub fn accept(&self, draft: &Draft) {
        let (answer, line) = self.ask(draft);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (201, "Notify Message Succeed!")
        );
        assert!(line.contains("\"POST\" \"201\" "));
    }

    /// The answer and its access line. A refusal is answered before its line is written, so this
    /// waits for the line.
    #[track_caller]
    pub fn ask(&self, draft: &Draft) -> (Answer, String) {
        let lines = self.endpoint.access_log().lines().count();
        let answer = self.endpoint.exchange(&draft.wire());
        (answer, self.next_line(lines))
    }
}

#[track_caller]
fn assert_answer(answer: &Answer, refusal: Refusal) {
    const DECIDED_ON: [&str; 6] = [
        "allow",
        "connection",
        "content-length",
        "content-type",
        "date",
        "retry-after",
    ];
    let (body, _, _, needed) = row(refusal);
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (refusal.status, body)
    );
    assert_eq!(answer.headers["content-type"], "text/plain");
    for name in DECIDED_ON
        .iter()
        .filter(|name| ["allow", "connection", "retry-after"].contains(name))
    {
        let wanted = needed
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| *value);
        assert_eq!(
            answer.headers.get(*name).map(String::as_str),
            wanted,
            "{name}"
        );
    }
    let mut names = answer.headers.keys();
    assert!(
        names.all(|name| DECIDED_ON.contains(&name.as_str())),
        "{:?}",
        answer.headers
    );
}

fn value<'d>(draft: &'d Draft, name: &str) -> Option<&'d [u8]> {
    let found = draft
        .headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_slice())
}

#[track_caller]
fn assert_line(line: &str, draft: &Draft, status: u16) {
    let (time, fields) = line.split_once(']').unwrap();
    assert!(
        regex::Regex::new(r"^\[\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d$")
            .unwrap()
            .is_match(time),
        "{line}"
    );
    let named = [
        "content-length",
        "host",
        "user-agent",
        "x-mns-request-id",
        "x-mns-version",
    ];
    let values = named
        .map(|name| value(draft, name).map_or("-", |value| std::str::from_utf8(value).unwrap()));
    let status = status.to_string();
    let all = [
        [draft.method.as_str(), &status, &draft.target, "HTTP/1.1"].as_slice(),
        &values,
    ]
    .concat();
    let quoted: Vec<String> = all.iter().map(|field| format!("\"{field}\"")).collect();
    assert_eq!(fields, quoted.join(" "));
}

#[track_caller]
fn assert_record(entry: &Entry, draft: &Draft, refusal: Refusal, peer: &str, shown: usize) {
    let (_, title, place, _) = row(refusal);
    assert_eq!(
        (entry.level.as_str(), entry.place.as_str()),
        (refusal.level, place),
        "{}",
        entry.text
    );
    let (fields, request) = entry.text.split_once("\nHeaders:").unwrap();
    assert_eq!(fields.lines().next(), Some(title));
    let names: Vec<&str> = fields
        .lines()
        .filter(|line| line.get(30..32) == Some(": "))
        .collect();
    let names: Vec<&str> = names.iter().map(|line| line[..30].trim_end()).collect();
    let request_time = value(draft, "x-mns-request-id").map(|id| {
        let seconds = u64::from_str_radix(std::str::from_utf8(&id[..8]).unwrap(), 16).unwrap();
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    });
    let is_verified = is_of_mns(refusal.reason) && refusal.reason != Reason::KeyTooSmall;
    let known: &[&str] = if is_verified { &ATTRIBUTES } else { &[] };
    let before = [
        "Reason",
        "CertificateAddress",
        "Date",
        "RequestTime",
        "OurTime",
        "Peer",
        "Target",
        "RequestId",
    ];
    let needed = [&before, known, &["StringToSign", "QuarantineFile", "Hint"]].concat();
    let needed = needed
        .into_iter()
        .filter(|name| *name != "StringToSign" || refusal.looked_at);
    let needed = needed.filter(|name| *name != "QuarantineFile" || refusal.has_body);
    let needed: Vec<&str> = needed
        .filter(|name| !["RequestTime", "RequestId"].contains(name) || request_time.is_some())
        .collect();
    // Of an invalid notification either all attributes can be read or only the message.
    let names: Vec<&str> = match refusal.status {
        400 => names
            .into_iter()
            .filter(|name| !ATTRIBUTES.contains(name))
            .collect(),
        _ => names,
    };
    assert_eq!(names, needed);
    let is = |name: &str, wanted: &[u8]| {
        let found = attribute(entry, name).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&found),
            String::from_utf8_lossy(wanted),
            "{name}"
        );
    };
    is("Reason", refusal.reason.key().as_bytes());
    let address =
        value(draft, "x-mns-signing-cert-url").and_then(|address| STANDARD.decode(address).ok());
    is("CertificateAddress", &address.unwrap_or_default());
    is(
        "Date",
        value(draft, "x-mns-date")
            .or(value(draft, "date"))
            .unwrap_or_default(),
    );
    is("Peer", peer.as_bytes());
    is(
        "Target",
        format!("{} {}", draft.method, draft.target).as_bytes(),
    );
    if let Some(id) = value(draft, "x-mns-request-id") {
        is("RequestId", id);
    }
    if let Some(time) = request_time {
        is("RequestTime", time.as_bytes());
    }
    let our_time = String::from_utf8(attribute(entry, "OurTime").unwrap()).unwrap();
    let age = date_of(0)
        .1
        .duration_since(httpdate::parse_http_date(&our_time).unwrap())
        .unwrap();
    assert!(age < Duration::from_secs(60), "{our_time}");
    if refusal.looked_at {
        is("StringToSign", &draft.string_to_sign());
    }
    let hint = String::from_utf8(attribute(entry, "Hint").unwrap()).unwrap();
    assert!(
        hint.ends_with(&format!("; {}", refusal.reason.hint())),
        "{hint}"
    );
    let (headers, body) = request.split_once("\nBody:").unwrap();
    for (name, value) in &draft.headers {
        let line = format!(
            "{}: {}",
            name.to_lowercase(),
            String::from_utf8_lossy(value)
        );
        assert!(
            headers
                .lines()
                .any(|known| known.trim_start() == line.trim_start()),
            "{line} is not in {headers}"
        );
    }
    let read = if refusal.has_body {
        draft.body.as_slice()
    } else {
        &[]
    };
    assert_eq!(unescape(body.as_bytes()), &read[..read.len().min(shown)]);
}

/// The time this many seconds from now, as a header and as a value.
fn date_of(seconds: i64) -> (String, SystemTime) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the endpoint under test has the same clock"
    )]
    let now = SystemTime::now();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        now - distance
    } else {
        now + distance
    };
    (httpdate::fmt_http_date(time), time)
}

pub fn date(seconds: i64) -> String {
    date_of(seconds).0
}

/// Waits this long for an answer without reading it. Returns whether one arrived.
pub fn answer_within(stream: &TcpStream, span: Duration) -> bool {
    stream.set_read_timeout(Some(span)).unwrap();
    let came = stream.peek(&mut [0]).is_ok();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    came
}
