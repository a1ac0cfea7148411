//! Every kind of record and line, byte for byte: scripts rely on them, so they must not change by
//! accident.
//!
//! The endpoint runs in this process with a fixed clock and its own source, so that only ports and
//! thread numbers differ between runs. `UPDATE_GOLDEN=1 cargo test --test it golden` rewrites the
//! files: read the difference before committing it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use mns_endpoint::clock::Clock;
use mns_endpoint::config::{Config, Sources};
use mns_endpoint::emulator::Signer;
use mns_endpoint::forward;
use mns_endpoint::journal::{
    self, AccessField, Duplicates, FileOptions, Format, Journal, Level, Limits, Log, LogFiles,
    Place, Record, Stamps,
};
use mns_endpoint::mns::{ContentFormat, Prefix, Prefixes, SigningCertUrl};
use mns_endpoint::net::{self, Counters};
use mns_endpoint::quarantine::Quarantine;
use mns_endpoint::server::{Endpoint, Gate, Parts, RequestDetail, Settings};
use mns_endpoint::trust::{
    Admission, CertificateCache, CertificateSource, CertificateStore, FetchError, Fetching,
    Verifier,
};
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, Draft, attribute, exchange, records};

const PREFIX: &str = "https://certificates.test/";
/// 17 May 2016, 17:10:56.857 in Shanghai.
const NOW: Duration = Duration::from_millis(1_463_476_256_857);
const DATE: &str = "Tue, 17 May 2016 09:10:56 GMT";

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + NOW
    }
}

/// A source with `x.pem`, its successor `z.pem`, and nothing else.
struct TwoCertificates([Vec<u8>; 2]);

impl CertificateSource for TwoCertificates {
    fn fetch<'a>(&'a self, url: &'a SigningCertUrl) -> Fetching<'a> {
        let Self([x, z]) = self;
        let found = match url.to_string().strip_prefix(PREFIX) {
            Some("x.pem") => Ok(x.clone()),
            Some("z.pem") => Ok(z.clone()),
            _ => Err(FetchError::Status(404)),
        };
        Box::pin(async { found })
    }
}

fn signer() -> Signer {
    Signer::from_pem(include_str!("../vectors/keys/test-512.pem")).unwrap()
}

fn next_signer() -> Signer {
    Signer::from_pem(include_str!("../vectors/keys/test-512-second.pem")).unwrap()
}

fn endpoint(format: Format, detail: RequestDetail, dir: &std::path::Path) -> Endpoint {
    endpoint_with(format, detail, dir, Limits::default(), [None; 2])
}

fn endpoint_with(
    format: Format,
    detail: RequestDetail,
    dir: &std::path::Path,
    limits: Limits,
    [refused_per_second, refused_line_bytes]: [Option<u64>; 2],
) -> Endpoint {
    let files = LogFiles::open(FileOptions {
        dir: dir.join("logs"),
        port: 8080,
        mode: 0o640,
    })
    .unwrap();
    let sources = Sources {
        // Only the built-in defaults, whatever this machine's configuration contains.
        file: Some(PathBuf::from("/dev/null")),
        ..Sources::default()
    };
    let config = Config::load(&sources).unwrap();
    // All formats have the same id, to show what they share.
    let kept = journal::Settings {
        duplicates: Duplicates::Off,
        limits,
        ..config.journal
    };
    let certificates =
        [signer(), next_signer()].map(|signer| signer.certificate_pem().as_bytes().to_vec());
    let source = Arc::new(TwoCertificates(certificates));
    let cache = CertificateCache::new(
        source,
        CertificateStore::new(dir.join("certs")),
        Duration::from_secs(2),
    );
    let prefixes = Prefixes::new([Prefix::parse(PREFIX).unwrap()]);
    let clock: Arc<dyn Clock> = Arc::new(StoppedClock);
    let settings = Settings {
        body_bytes_max: 2048,
        format,
        request_detail: detail,
        refused_body_bytes: 100,
        refused_per_second,
        refused_line_bytes,
        access_fields: vec![
            AccessField::Peer,
            AccessField::Reason,
            AccessField::MessageId,
        ],
        ..config.server
    };
    Endpoint::new(Parts {
        gate: Gate {
            verifier: Verifier::new(config.policy, prefixes, cache, clock.clone()),
            admission: Admission::new(vec!["1269128356620446".to_owned()], Vec::new(), Vec::new()),
        },
        journal: Journal::start(files, kept, None).unwrap().0,
        settings,
        quarantine: Quarantine::off(),
        clock,
        zone: TimeZone::get("Asia/Shanghai").unwrap(),
    })
}

fn push(format: ContentFormat, message: &[u8]) -> Draft {
    let id = "F6EA56633844DBFC-1-154BDFB8059-200000004";
    let mut draft = Draft::new(format, message, &format!("{PREFIX}x.pem"));
    let made = draft.message_id.clone();
    let body = draft.body.clone();
    if format == ContentFormat::Simplified {
        draft = draft.set("x-mns-message-id", id);
    } else {
        draft = refit(draft, String::from_utf8(body).unwrap().replace(&made, id));
    }
    draft
        .set("Date", DATE)
        .set("x-mns-request-id", "573AE020B2B71CFC6801A6EF")
}

fn refit(draft: Draft, body: impl Into<Vec<u8>>) -> Draft {
    draft
        .swap_body(body)
        .notation(mns_endpoint::mns::Notation::Hex)
}

/// One request of each kind.
fn requests() -> Vec<Vec<u8>> {
    let signer = signer();
    let xml = || push(ContentFormat::Xml, b"I am test message 0.");
    let elsewhere = |url: &str| {
        use base64::Engine as _;
        let url = base64::engine::general_purpose::STANDARD.encode(url);
        xml().set("x-mns-signing-cert-url", url)
    };
    let hostile =
        b"two\nlines\n\n[2016-05-17 17:10:56] [root] [INFO] [receive.rs:2] [1] Notify\t\xff \\x41 \
            \\ \xe4\xb8\xad";
    let tagged = String::from_utf8(xml().body)
        .unwrap()
        .replace("<Message>", "<MessageTag>important</MessageTag><Message>");
    let no_id = String::from_utf8(xml().body)
        .unwrap()
        .replace("MessageId>", "MessageID>");
    let other_owner = String::from_utf8(xml().body)
        .unwrap()
        .replace("1269128356620446", "1");
    let wrong_md5 = String::from_utf8(xml().body)
        .unwrap()
        .replace("<MessageMD5>", "<MessageMD5>0");
    let drafts = [
        refit(xml(), tagged).sign(&signer),
        push(ContentFormat::Json, "{\"a\":\"中文\"}".as_bytes()).sign(&signer),
        push(ContentFormat::Simplified, hostile).sign(&signer),
        xml()
            .set("Date", "Tue, 17 May 2016 08:10:56 GMT")
            .sign(&signer),
        refit(xml(), wrong_md5.clone()).sign(&signer),
        refit(xml(), wrong_md5)
            .set("Date", "Tue, 17 May 2016 08:10:56 GMT")
            .sign(&signer),
        xml()
            .sign(&signer)
            .to("/notifications?x='1'")
            .set("User-Agent", b"a\"b\\c \xff"),
        xml(),
        xml().sign(&signer).swap_body("another body"),
        elsewhere("https://evil.test/x.pem").sign(&signer),
        elsewhere("https://certificates.test/y.pem").sign(&signer),
        refit(xml(), other_owner).sign(&signer),
        refit(xml(), no_id).sign(&signer),
        xml().to("/elsewhere").sign(&signer),
        Draft {
            headers: Vec::new(),
            ..xml()
        }
        .method("GET")
        .to("/favicon.ico")
        .swap_body(""),
        xml().method("PUT").sign(&signer),
        xml().set("Content-Encoding", "gzip").sign(&signer),
        xml().set("Content-length", "2049"),
        elsewhere("https://certificates.test/z.pem").sign(&next_signer()),
    ];
    drafts.iter().map(Draft::wire).collect()
}

/// Both logs after one request of each kind.
fn logs(format: Format, detail: RequestDetail) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let (_answers, endpoint_log, access_log) =
        logs_of(&dir, endpoint(format, detail, dir.path()), &requests());
    (endpoint_log, access_log)
}

/// The answers to some requests, and both logs after them.
fn logs_of(
    dir: &tempfile::TempDir,
    endpoint: Endpoint,
    requests: &[Vec<u8>],
) -> (Vec<Answer>, String, String) {
    logs_at_the_end_of_the_second(dir, endpoint, requests, |_| {})
}

/// The same, followed by what `end` adds at the end of that second.
fn logs_at_the_end_of_the_second(
    dir: &tempfile::TempDir,
    endpoint: Endpoint,
    requests: &[Vec<u8>],
    end: impl FnOnce(&Endpoint),
) -> (Vec<Answer>, String, String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = Arc::new(endpoint);
    let stop = CancellationToken::new();
    let limits = net::Limits::of_connections(10);
    let listener = runtime
        .block_on(async { net::bind("127.0.0.1:0".parse().unwrap()) })
        .unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let serving = runtime.spawn(net::serve(
        vec![listener],
        endpoint.clone(),
        net::Frontend::plain(limits),
        Arc::new(Counters::default()),
        stop.clone(),
    ));
    let answers = requests
        .iter()
        .map(|request| exchange(address, request))
        .collect();
    end(&endpoint);
    stop.cancel();
    runtime.block_on(async {
        serving.await.unwrap();
        endpoint.journal.close().await.unwrap();
    });
    let read = |name: &str| std::fs::read_to_string(dir.path().join("logs").join(name)).unwrap();
    (answers, read("endpoint_log.8080"), read("access_log.8080"))
}

/// Replaces ports and thread numbers by constants.
fn normalised(text: &str) -> String {
    let text = regex::Regex::new(r"127\.0\.0\.1:\d+")
        .unwrap()
        .replace_all(text, "127.0.0.1:41234")
        .into_owned();
    let thread =
        regex::Regex::new(r"(?m)^(\[[^\]]*\] \[root\] \[\w+\] \[[^\]]*\]) \[\d+\]").unwrap();
    let text = thread.replace_all(&text, "$1 [1096657216]").into_owned();
    regex::Regex::new(r#""thread":"\d+""#)
        .unwrap()
        .replace_all(&text, r#""thread":"1096657216""#)
        .into_owned()
}

#[track_caller]
fn assert_golden(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let found = normalised(found);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (number, (line, expected)) in found.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(found, golden, "{name} differs in its length or line ends");
}

#[test]
fn the_text_logs_match_the_golden_files() {
    let (endpoint_log, access_log) = logs(Format::Text, RequestDetail::Full);
    assert_golden("endpoint_log.txt", &endpoint_log);
    assert_golden("access_log.txt", &access_log);
}

#[test]
fn the_json_logs_match_the_golden_files() {
    let (endpoint_log, access_log) = logs(Format::Json, RequestDetail::Full);
    for line in endpoint_log.lines().chain(access_log.lines()) {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).unwrap();
    }
    assert_golden("endpoint_log.json", &endpoint_log);
    assert_golden("access_log.json", &access_log);
}

#[test]
fn a_push_that_the_queue_has_no_room_for_leaves_an_access_line_only_past_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    // No room for any push. Refusals have separate room.
    let limits = Limits {
        bytes_max: 0,
        ..Limits::default()
    };
    let endpoint = endpoint_with(
        Format::Text,
        RequestDetail::Full,
        dir.path(),
        limits,
        [Some(2), None],
    );
    let push = push(ContentFormat::Xml, b"m").sign(&signer()).wire();
    let (answers, endpoint_log, access_log) = logs_of(&dir, endpoint, &vec![push; 9]);
    // The body has been read, so the next push can use the same connection.
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 503 && !answer.headers.contains_key("connection"))
    );
    // The second does not end here, so only the rate applies.
    let records = records(&endpoint_log);
    assert_eq!(
        records
            .iter()
            .map(|record| record.place.as_str())
            .collect::<Vec<_>>(),
        ["receive.rs:5"; 2]
    );
    assert!(
        records
            .iter()
            .all(|record| attribute(record, "Reason").unwrap() == b"journal_full")
    );
    // Each was refused before its body was read, so no signature was checked.
    assert!(!endpoint_log.contains("StringToSign"), "{endpoint_log}");
    assert_eq!(access_log.matches("\"503\" ").count(), 9);
    assert_eq!(access_log.matches("\"journal_full\"").count(), 9);
}

#[test]
fn the_summaries_of_refusals_left_out_match_the_golden_files() {
    let mut found = String::new();
    for format in [Format::Text, Format::Json] {
        let dir = tempfile::tempdir().unwrap();
        // No refusal has room: the logs only contain the summaries, which strangers cannot forge.
        let endpoint = endpoint_with(
            format,
            RequestDetail::Off,
            dir.path(),
            Limits::default(),
            [Some(0); 2],
        );
        let requests: Vec<Vec<u8>> = [
            requests(),
            vec![b"- / HTTP/1.1\r\nHost: -\r\n\r\n".to_vec()],
        ]
        .concat();
        let end = Endpoint::log_left_out;
        let (answers, endpoint_log, access_log) =
            logs_at_the_end_of_the_second(&dir, endpoint, &requests, end);
        let refused = answers.iter().filter(|answer| answer.status != 201).count();
        let last = [endpoint_log, access_log].map(|log| match format {
            Format::Text if log.ends_with("\n\n") => {
                log[log.rfind("\n[").unwrap() + 1..].to_owned()
            }
            Format::Text | Format::Json => format!("{}\n", log.lines().last().unwrap()),
        });
        assert!(
            last[0].contains(&refused.to_string())
                && last[1].contains(&format!("refusals-left-out={refused}"))
        );
        let read = journal::verify(Log::Access, last[1].as_bytes()).unwrap();
        assert_eq!(
            (read.records, read.accepted, read.problems),
            (1, 0, Vec::new())
        );
        found.extend(last);
    }
    assert_golden("left_out.txt", &found);
}

#[test]
fn less_of_an_accepted_request_is_shown_on_demand() {
    let (headers, _) = logs(Format::Text, RequestDetail::Headers);
    let (off, _) = logs(Format::Text, RequestDetail::Off);
    let requests = |log: &str| {
        records(log)
            .into_iter()
            .filter(|entry| entry.place == "receive.rs:1")
            .collect::<Vec<_>>()
    };
    assert_eq!((requests(&headers).len(), requests(&off).len()), (7, 0));
    assert!(
        requests(&headers)
            .iter()
            .all(|entry| !entry.text.contains("\nBody:") && entry.text.contains("\nPeer: "))
    );
}

#[test]
fn the_pattern_of_the_first_line_splits_the_log_into_its_records() {
    let (log, access_log) = logs(Format::Text, RequestDetail::Full);
    let places: Vec<String> = records(&log).into_iter().map(|entry| entry.place).collect();
    let accepted = ["receive.rs:1", "receive.rs:2"].repeat(6);
    let refused = [3, 3, 3, 3, 5, 3, 4, 7, 7, 7, 7, 7].map(|number| format!("receive.rs:{number}"));
    let renewed = ["receive.rs:9", "receive.rs:1", "receive.rs:2"].map(str::to_owned);
    let expected: Vec<String> = accepted
        .into_iter()
        .map(str::to_owned)
        .chain(refused)
        .chain(renewed)
        .collect();
    assert_eq!(places, expected);
    assert_eq!(access_log.lines().count(), requests().len());
}

#[test]
fn the_record_of_the_start_is_as_written_down() {
    let stamp = Stamps::new(TimeZone::get("Asia/Shanghai").unwrap()).at(StoppedClock.now());
    let record = Record {
        stamp: &stamp,
        level: Level::Info,
        place: Place::Start,
        title: Some("Start Endpoint! Address: http://10.0.0.5:8080"),
        attributes: &[],
        request: None,
    };
    let mut text = Vec::new();
    record.write(&mut text, Format::Text);
    record.write(&mut text, Format::Json);
    assert_golden("start.txt", &String::from_utf8(text).unwrap());
}

/// A destination that acknowledges nothing, and that pushes wait for.
fn silent_destination(topics: &[&str]) -> forward::Settings {
    forward::Settings {
        name: "orders".to_owned(),
        ack: forward::Ack::Forward {
            timeout: Duration::from_millis(50),
        },
        start: forward::StartAt::Now,
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        in_flight: 1,
        in_flight_bytes: 1,
        max_backlog_bytes: None,
        max_backlog_age: None,
        when_full: forward::WhenFull::Refuse,
        give_up: None,
        dead_letters_bytes_max: 1,
        body: forward::Body::Message,
        destination: forward::Destination::Http(forward::HttpOptions {
            url: "http://127.0.0.1:1/".to_owned(),
            secret_files: Vec::new(),
            timeout: Duration::from_secs(1),
            tls: forward::TlsOptions::default(),
        }),
    }
}

#[test]
fn a_push_that_its_destination_does_not_acknowledge_gets_no_201_although_it_is_on_disk() {
    let request = push(ContentFormat::Xml, b"I am test message 0.").sign(&signer());
    let answers_with = |topics: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let mut endpoint = endpoint(Format::Text, RequestDetail::Full, dir.path());
        let gate = Arc::new(forward::Gate::new(std::time::Instant::now()));
        let answers = endpoint.handover.add(&silent_destination(topics), gate);
        assert!(answers.is_some());
        logs_of(&dir, endpoint, &[request.wire()])
    };
    let (answers, endpoint_log, access_log) = answers_with(&[]);
    assert_eq!(
        (answers[0].status, answers[0].body.as_str()),
        (503, "Service Unavailable")
    );
    assert_eq!(answers[0].headers["retry-after"], "5");
    let records = records(&endpoint_log);
    let titles = ["Notify Message Succeed!", "Service Unavailable!"];
    for title in titles {
        let found = records
            .iter()
            .filter(|record| record.text.contains(title))
            .count();
        assert_eq!(found, 1, "{title}: {endpoint_log}");
    }
    let refused = records.last().unwrap();
    assert_eq!(attribute(refused, "Reason").unwrap(), b"forward_late");
    assert_eq!(access_log.lines().count(), 2, "{access_log}");
    // One that is not forwarded waits for nothing.
    let (answers, ..) = answers_with(&["elsewhere"]);
    assert_eq!(answers[0].status, 201);
}
