//! Accepted pushes: every genuine push, whatever its format, key, size and transport.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use mns_endpoint::mns::{ATTRIBUTES, ContentFormat, Notation};

use crate::drain::ONE_STOP;
use crate::support::{
    Answer, BODY_TIMEOUT, CertificateHost, Draft, Endpoint, Options, answer_within, attribute,
    eventually, exchange_all, key, read_answer, records, run, send, within_body_timeout,
};

const FORMATS: [ContentFormat; 3] = [
    ContentFormat::Xml,
    ContentFormat::Json,
    ContentFormat::Simplified,
];

fn endpoint_for(bits: usize) -> (Endpoint, CertificateHost) {
    let host = CertificateHost::serving(&key(bits));
    (Endpoint::start(&Options::trusting(host.prefix())), host)
}

#[track_caller]
fn assert_created(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (201, "Notify Message Succeed!")
    );
}

/// The outcome record of the last notification.
fn last_outcome(endpoint: &Endpoint) -> crate::support::Entry {
    records(&endpoint.endpoint_log()).pop().unwrap()
}

#[test]
fn every_size_of_key_notation_and_format_is_accepted() {
    for bits in [512, 1024, 2048, 4096] {
        let (endpoint, host) = endpoint_for(bits);
        for notation in [Notation::Hex, Notation::Base64Hex, Notation::Base64] {
            for format in FORMATS {
                let draft = Draft::new(format, format!("{bits} {notation:?}"), &host.url("x.pem"))
                    .notation(notation);
                assert_created(&endpoint.exchange(&draft.clone().sign(&key(bits)).wire()));
                let outcome = last_outcome(&endpoint);
                assert!(
                    outcome.text.starts_with("Notify Message Succeed!"),
                    "{}",
                    outcome.text
                );
                assert_eq!(
                    attribute(&outcome, "MessageId").unwrap(),
                    draft.message_id.as_bytes()
                );
                assert_eq!(
                    attribute(&outcome, "Message").unwrap(),
                    format!("{bits} {notation:?}").as_bytes()
                );
            }
        }
        assert_eq!(host.requests(), 1, "one certificate, one fetch");
    }
}

#[test]
fn real_bodies_go_through_to_their_stated_attributes() {
    let (endpoint, host) = endpoint_for(512);
    let xml: (&[u8], &str) = (
        include_bytes!("../vectors/xml-2017/body.xml"),
        include_str!("../vectors/xml-2017/attributes.tsv"),
    );
    let json: (&[u8], &str) = (
        include_bytes!("../vectors/json-2022/body.json"),
        include_str!("../vectors/json-2022/attributes.tsv"),
    );
    for (body, attributes) in [xml, json] {
        let draft = Draft::with_body(body, &host.url("x.pem"))
            .set("Content-Type", "text/xml;charset=utf-8");
        assert_created(&endpoint.exchange(&draft.sign(&key(512)).wire()));
        let outcome = last_outcome(&endpoint);
        assert!(attributes.lines().count() >= 8);
        for (name, value) in attributes.lines().filter_map(|line| line.split_once('\t')) {
            assert_eq!(
                attribute(&outcome, name).as_deref(),
                Some(value.as_bytes()),
                "{name}"
            );
        }
        assert_eq!(outcome.level, "INFO");
    }
}

#[test]
fn the_attributes_follow_the_request_in_the_order_of_the_manual() {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Simplified, "hello", &host.url("x.pem"))
        .set("x-mns-message-tag", "重要");
    assert_created(&endpoint.exchange(&draft.sign(&key(512)).wire()));
    let records = records(&endpoint.endpoint_log());
    let [.., request, outcome] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert!(
        request
            .text
            .starts_with("Headers:host: endpoint.test\n    user-agent: "),
        "{}",
        request.text
    );
    assert!(request.text.contains("\nPeer: 127.0.0.1:") && request.text.ends_with("\nBody:hello"));
    let places: Vec<usize> = ATTRIBUTES
        .iter()
        .map(|name| outcome.text.find(&format!("\n{name:<30}: ")).unwrap())
        .collect();
    assert!(places.is_sorted());
    assert_eq!(attribute(outcome, "MessageTag").unwrap(), "重要".as_bytes());
    assert_eq!(
        attribute(outcome, "MessageMD5").unwrap(),
        b"5D41402ABC4B2A76B9719D911017C592"
    );
}

#[test]
fn the_largest_legal_messages_pass() {
    let (endpoint, host) = endpoint_for(512);
    const LARGEST: usize = 64 * 1024;
    let every_byte: Vec<u8> = (0..=255).cycle().take(LARGEST).collect();
    for (format, message) in [
        (ContentFormat::Xml, vec![b'&'; LARGEST]),
        (ContentFormat::Json, vec![1; LARGEST]),
        (ContentFormat::Simplified, every_byte),
    ] {
        let draft = Draft::new(format, &message, &host.url("x.pem"));
        assert_created(&endpoint.exchange(&draft.sign(&key(512)).wire()));
        assert!(
            attribute(&last_outcome(&endpoint), "Message").unwrap() == message,
            "{format}"
        );
    }
}

#[test]
fn an_empty_message_is_a_message() {
    let (endpoint, host) = endpoint_for(512);
    for format in FORMATS {
        let draft = Draft::new(format, "", &host.url("x.pem"));
        assert_created(&endpoint.exchange(&draft.sign(&key(512)).wire()));
        assert_eq!(attribute(&last_outcome(&endpoint), "Message").unwrap(), b"");
    }
}

#[test]
fn an_xml_push_with_a_message_id_header_is_still_xml() {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Xml, "inner", &host.url("x.pem"));
    let id = draft.message_id.clone();
    assert_created(
        &endpoint.exchange(
            &draft
                .clone()
                .set("x-mns-message-id", &id)
                .sign(&key(512))
                .wire(),
        ),
    );
    assert_eq!(
        attribute(&last_outcome(&endpoint), "Message").unwrap(),
        b"inner"
    );
    assert_created(
        &endpoint.exchange(
            &draft
                .clone()
                .set("x-mns-message-id", "other")
                .sign(&key(512))
                .wire(),
        ),
    );
    assert_eq!(
        attribute(&last_outcome(&endpoint), "Message").unwrap(),
        draft.body
    );
}

#[test]
fn unknown_mns_headers_are_signed_and_an_absent_content_type_signs_as_empty() {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"));
    let extra = draft
        .clone()
        .set("X-Mns-New-In-2027", "值 with  blanks")
        .sign(&key(512));
    assert_created(&endpoint.exchange(&extra.wire()));
    assert_created(&endpoint.exchange(&draft.without("Content-Type").sign(&key(512)).wire()));
}

#[test]
fn the_query_is_part_of_what_is_signed() {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"))
        .to("/notifications?a=%2F&b")
        .sign(&key(512));
    assert_created(&endpoint.exchange(&draft.wire()));
    assert!(endpoint.access_log().contains("\"/notifications?a=%2F&b\""));
    assert_eq!(
        endpoint
            .exchange(&draft.to("/notifications?a=/&b").wire())
            .status,
        403
    );
}

#[test]
fn a_late_push_is_accepted_with_a_remark() {
    let (endpoint, host) = endpoint_for(512);
    let twenty_hours = Duration::from_secs(20 * 3600);
    #[expect(
        clippy::disallowed_methods,
        reason = "the endpoint under test has the same clock"
    )]
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() - twenty_hours);
    let late = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem")).set("Date", date);
    let late = late
        .set("x-mns-request-id", "573AE020B2B71CFC6801A6EF")
        .sign(&key(512));
    assert_created(&endpoint.exchange(&late.wire()));
    let outcome = last_outcome(&endpoint);
    assert_eq!(attribute(&outcome, "Reason").unwrap(), b"date_late");
    assert_eq!(outcome.level, "WARNING");
    // Whether a retry has a new Date, or a new id, can be observed here.
    assert_eq!(
        attribute(&outcome, "Date").unwrap(),
        late.header("Date").unwrap()
    );
    assert_eq!(
        attribute(&outcome, "RequestTime").unwrap(),
        b"Tue, 17 May 2016 09:10:56 GMT"
    );
}

#[test]
fn a_message_md5_of_a_message_with_properties_is_normal_and_hides_no_other_remark() {
    let (endpoint, host) = endpoint_for(512);
    let body = include_bytes!("../vectors/odd-bodies/json_user_properties.json");
    let draft = Draft::with_body(body, &host.url("x.pem"));
    assert_created(&endpoint.exchange(&draft.clone().sign(&key(512)).wire()));
    let outcome = last_outcome(&endpoint);
    assert_eq!(
        attribute(&outcome, "Reason").unwrap(),
        b"message_md5_mismatch"
    );
    assert_eq!(outcome.level, "INFO");
    assert_eq!(attribute(&outcome, "Message").unwrap(), b"order created");
    let late = draft
        .set("Date", crate::support::date(-3600))
        .set("x-mns-request-id", "573AE020B2B71CFC6801A6EF");
    assert_created(&endpoint.exchange(&late.clone().sign(&key(512)).wire()));
    let outcome = last_outcome(&endpoint);
    assert_eq!(
        attribute(&outcome, "Reason").unwrap(),
        b"date_late,message_md5_mismatch"
    );
    assert_eq!(outcome.level, "WARNING");
    assert_eq!(
        attribute(&outcome, "Date").unwrap(),
        late.header("Date").unwrap()
    );
    assert_eq!(
        attribute(&outcome, "RequestTime").unwrap(),
        b"Tue, 17 May 2016 09:10:56 GMT"
    );
}

#[test]
fn several_remarks_are_in_one_field_of_every_log() {
    let host = CertificateHost::serving(&key(512));
    for (format, field) in [
        ("text", "\"date_late,message_md5_mismatch\"\n"),
        ("json", ",\"reason\":\"date_late,message_md5_mismatch\"}\n"),
    ] {
        let options = Options::trusting(host.prefix())
            .set("logs.format", format)
            .set("logs.access_fields", "reason");
        let endpoint = Endpoint::start(&options);
        let body = include_bytes!("../vectors/odd-bodies/json_user_properties.json");
        let late =
            Draft::with_body(body, &host.url("x.pem")).set("Date", crate::support::date(-3600));
        assert_created(&endpoint.exchange(&late.sign(&key(512)).wire()));
        assert!(
            endpoint.access_log().ends_with(field),
            "{}",
            endpoint.access_log()
        );
        let (address, path) = (
            endpoint.address.to_string(),
            endpoint.log_path("endpoint_log"),
        );
        let dir = endpoint.stop().1;
        run(dir.path(), &["logs", "verify", "--listen", &address]).assert(0, "all whole");
        if format == "json" {
            let log = std::fs::read_to_string(path).unwrap();
            let outcome: serde_json::Value =
                serde_json::from_str(log.lines().last().unwrap()).unwrap();
            assert_eq!(
                (&outcome["Reason"], &outcome["level"]),
                (&"date_late,message_md5_mismatch".into(), &"WARNING".into())
            );
            assert!(outcome["Date"].is_string() && outcome["RequestTime"].is_string());
        }
    }
}

#[test]
fn x_mns_date_replaces_date() {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"));
    let date = draft
        .headers
        .iter()
        .find(|(name, _)| name == "Date")
        .unwrap()
        .1
        .clone();
    let moved = draft.without("Date").set("x-mns-date", &date);
    // In the form of the samples the line for Date is empty.
    assert_created(&endpoint.exchange(&moved.clone().sign(&key(512)).wire()));
    // In the form of the manual it contains x-mns-date: sign that text, then remove Date.
    let documented = moved.set("Date", &date).sign(&key(512)).without("Date");
    assert_created(&endpoint.exchange(&documented.wire()));
}

#[test]
fn a_connection_is_reused_and_may_be_pipelined() {
    let (endpoint, host) = endpoint_for(512);
    let requests: Vec<Vec<u8>> = (0..20)
        .map(|number| {
            Draft::new(ContentFormat::Xml, format!("{number}"), &host.url("x.pem"))
                .sign(&key(512))
                .wire()
        })
        .collect();
    for answer in exchange_all(endpoint.address, &requests) {
        assert_created(&answer);
    }
    let mut pipelined = send(endpoint.address, &requests.concat());
    for _ in &requests {
        assert_created(&read_answer(&mut pipelined));
    }
    let log = records(&endpoint.endpoint_log());
    let messages: Vec<_> = log
        .iter()
        .filter_map(|entry| attribute(entry, "Message"))
        .collect();
    let once: Vec<Vec<u8>> = (0..20)
        .map(|number| number.to_string().into_bytes())
        .collect();
    assert_eq!(messages, [once.clone(), once].concat());
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"))
        .set("Expect", "100-continue")
        .sign(&key(512));
    let mut stream = send(endpoint.address, &draft.head());
    assert_eq!(read_answer(&mut stream).status, 100);
    stream.write_all(&draft.body).unwrap();
    assert_created(&read_answer(&mut stream));
}

#[test]
fn chunked_bodies_http_1_0_and_half_closed_connections_are_served() {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem")).sign(&key(512));
    let chunked = draft
        .clone()
        .without("Content-length")
        .set("Transfer-Encoding", "chunked");
    let chunk = [
        format!("{:x}\r\n", draft.body.len()).as_bytes(),
        &draft.body,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    assert_created(&endpoint.exchange(&[chunked.head(), chunk].concat()));
    let old = String::from_utf8(draft.wire())
        .unwrap()
        .replacen("HTTP/1.1", "HTTP/1.0", 1);
    assert_created(&endpoint.exchange(old.as_bytes()));
    let mut half_closed = send(endpoint.address, &draft.wire());
    half_closed.shutdown(Shutdown::Write).unwrap();
    assert_created(&read_answer(&mut half_closed));
}

#[test]
fn a_load_balancer_gets_the_health_with_any_http_version_and_nothing_is_logged() {
    let endpoint = Endpoint::start(&Options::default());
    for (request, body) in [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "OK\n"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "OK\n"),
        ("GET /healthz HTTP/1.1\r\n\r\n", "OK\n"),
    ] {
        let answer = endpoint.exchange(request.as_bytes());
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, body),
            "{request}"
        );
    }
    let mut head = send(endpoint.address, b"HEAD /healthz HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    head.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    assert_eq!(endpoint.access_log(), "");
}

#[test]
fn access_lines_are_printed_and_a_stalled_reader_of_stdout_delays_nothing() {
    let (endpoint, host) = endpoint_for(512);
    let message = "x".repeat(100);
    // Nobody reads stdout: its pipe of 64 KiB fills up, and the answers keep coming.
    let requests: Vec<Vec<u8>> = (0..1000)
        .map(|_| {
            Draft::new(ContentFormat::Simplified, &message, &host.url("x.pem"))
                .sign(&key(512))
                .wire()
        })
        .collect();
    let started = Instant::now();
    for answer in exchange_all(endpoint.address, &requests) {
        assert_created(&answer);
    }
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    let log = endpoint.access_log();
    assert_eq!(log.lines().count(), 1000);
    let (printed, _dir) = endpoint.stop();
    let printed: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("\"POST\" \"201\""))
        .collect();
    assert!(printed.len() > 100, "{}", printed.len());
    assert!(printed.iter().all(|line| log.contains(line)));
}

#[test]
fn what_kubernetes_injects_into_a_pod_does_not_stop_the_start() {
    let options = Options::default()
        .env("MNS_ENDPOINT_PORT", "tcp://10.96.0.12:8080")
        .env("MNS_ENDPOINT_SERVICE_HOST", "10.96.0.12")
        .env("MNS_ENDPOINT_SERVICE_PORT", "8080")
        .env("MNS_ENDPOINT_PORT_8080_TCP", "tcp://10.96.0.12:8080")
        .env("MNS_ENDPOINT_PORT_8080_TCP_ADDR", "10.96.0.12")
        .env("MNS_ENDPOINT_SERVER__PATHS", "/a,/b");
    let endpoint = Endpoint::start(&options);
    assert!(
        endpoint.start_lines[0].ends_with("/a"),
        "{:?}",
        endpoint.start_lines
    );
    assert_eq!(
        endpoint
            .exchange(b"POST /b HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            .status,
        403
    );
    assert_eq!(
        endpoint
            .exchange(b"POST /notifications HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            .status,
        404
    );
}

#[test]
fn a_star_serves_every_path() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()).set("server.paths", "*"));
    for target in ["/", "/x/y?z", "//a/../b"] {
        let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"))
            .to(target)
            .sign(&key(512));
        assert_created(&endpoint.exchange(&draft.wire()));
    }
}

#[test]
fn one_port_serves_several_addresses() {
    let host = CertificateHost::serving(&key(512));
    let both = Options::trusting(host.prefix()).set("server.listen", "127.0.0.1:0,[::1]:0");
    let endpoint = Endpoint::start(&both);
    let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem")).sign(&key(512));
    assert_created(&endpoint.exchange(&draft.wire()));
    let other = format!("[::1]:{}", endpoint.address.port())
        .parse()
        .unwrap();
    assert_created(&crate::support::exchange(other, &draft.wire()));
}

#[test]
fn a_request_in_progress_at_a_signal_is_finished() {
    within_body_timeout(request_in_progress_at_a_signal);
}

/// Sends the head of a push and the first bytes of its body. Returns the rest of its body too.
fn request_in_progress() -> (Endpoint, CertificateHost, TcpStream, Vec<u8>) {
    let (endpoint, host) = endpoint_for(512);
    let draft = Draft::new(ContentFormat::Xml, "last", &host.url("x.pem")).sign(&key(512));
    let (early, late) = draft.body.split_at(10);
    let stream = send(endpoint.address, &[draft.head(), early.to_vec()].concat());
    // The request has begun once its connection is accepted and its head is read. An answer on
    // another connection proves that the accept loop is past it.
    assert_eq!(
        endpoint.exchange(b"GET /healthz HTTP/1.0\r\n\r\n").status,
        200
    );
    (endpoint, host, stream, late.to_vec())
}

fn request_in_progress_at_a_signal() {
    let (endpoint, _host, mut stream, late) = request_in_progress();
    endpoint.signal(Signal::TERM);
    endpoint.assert_tells("Stopping");
    stream.write_all(&late).unwrap();
    assert_created(&read_answer(&mut stream));
    let path = endpoint.log_path("endpoint_log");
    let (_printed, _dir) = endpoint.end();
    let log = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        attribute(&records(&log).pop().unwrap(), "Message").unwrap(),
        b"last"
    );
}

#[test]
fn two_stop_signals_at_once_are_one_stop() {
    let test = || {
        let (endpoint, _host, mut stream, late) = request_in_progress();
        let begun = Instant::now();
        endpoint.signal(Signal::TERM);
        // The system merges two signals of which the first is still pending.
        endpoint.assert_tells("Stopping");
        endpoint.signal(Signal::TERM);
        (begun.elapsed() < ONE_STOP).then(|| {
            // A second stop would end the process now.
            assert!(!answer_within(&stream, Duration::from_millis(100)));
            stream.write_all(&late).unwrap();
            assert_created(&read_answer(&mut stream));
            endpoint.end();
        })
    };
    within_body_timeout(|| eventually("two signals came within the time of one stop", test));
}

#[test]
fn a_later_signal_ends_at_once_while_a_request_is_open() {
    eventually("it ended before the request", || {
        let (mut endpoint, host) = endpoint_for(512);
        let draft = Draft::new(ContentFormat::Xml, "never", &host.url("x.pem")).sign(&key(512));
        let started = Instant::now();
        let _open = send(endpoint.address, &draft.head());
        assert_eq!(
            endpoint.exchange(b"GET /healthz HTTP/1.0\r\n\r\n").status,
            200
        );
        let code = eventually("it ends", || {
            endpoint.ended().or_else(|| {
                endpoint.signal(Signal::TERM);
                None
            })
        });
        let told = endpoint.stderr();
        (started.elapsed() < BODY_TIMEOUT).then(|| {
            assert_eq!(code, 1);
            assert!(told.contains("stopped immediately by a second SIGTERM"));
        })
    });
}
