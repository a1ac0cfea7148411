//! Forwarding by a real `serve` to a service that takes POST requests: what is sent, what follows
//! from each answer, and that nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use mns_endpoint::mns::ContentFormat;
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use serde_json::Value;
use sha2::Sha256;

use crate::admin::{get, metric};
use crate::forward_serve::{admin, ready};
use crate::support::{
    Came, CertificateHost, Draft, Endpoint, Identity, Options, Reply, Webhook, eventually,
    free_port, key, run,
};

/// Keys of 192 bits, the shortest that Standard Webhooks recommends.
const KEYS: [&[u8]; 2] = [b"the first secret, 24 byt", b"the second secret, 24 by"];

fn secret(key: &[u8]) -> String {
    format!("whsec_{}\n", STANDARD.encode(key))
}

fn ok() -> Reply {
    Reply::Status(200, "")
}

/// Whether a request has a signature with this key.
fn is_signed_with(came: &Came, key: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let (id, timestamp) = (came.header("webhook-id"), came.header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(came.request.body());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let signatures = came.header("webhook-signature");
    signatures.split(' ').any(|signature| signature == expected)
}

/// An endpoint that forwards to a service.
struct Setup {
    host: CertificateHost,
    options: Options,
    /// The directory of the secrets.
    dir: tempfile::TempDir,
}

impl Setup {
    fn new(url: &str) -> Self {
        let host = CertificateHost::serving(&key(512));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, secret(KEYS[0])).unwrap();
        let options = Options::trusting(host.prefix())
            .set("admin.listen", "127.0.0.1:0")
            .set("forward.hook.to", "http")
            .set("forward.hook.url", url)
            .set("forward.hook.secret_files", &file.display().to_string());
        Self { host, options, dir }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.options = self.options.set(&format!("forward.hook.{key}"), value);
        self
    }

    fn start(&self) -> Endpoint {
        Endpoint::start(&self.options)
    }

    /// Starts the endpoint again, after a stop or a kill.
    fn restart(&self, dir: tempfile::TempDir, port: u16) -> Endpoint {
        let listen = format!("127.0.0.1:{port}");
        Endpoint::start_in(dir, &self.options.clone().set("server.listen", &listen))
    }

    fn push(&self, endpoint: &Endpoint, number: usize) -> u16 {
        let (id, message) = (format!("M{number}"), format!("message {number}"));
        let url = self.host.url("x.pem");
        let draft = Draft::of(&id, ContentFormat::Xml, message.as_bytes(), &url);
        endpoint.exchange(&draft.sign(&key(512)).wire()).status
    }

    #[track_caller]
    fn accept(&self, endpoint: &Endpoint, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            assert_eq!(self.push(endpoint, number), 201, "M{number}");
        }
    }
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    let ids = numbers.into_iter().map(|number| format!("M{number}"));
    ids.collect()
}

fn eventually_delivered(hook: &Webhook, numbers: impl IntoIterator<Item = usize>) {
    let expected = ids(numbers);
    eventually(&format!("{expected:?} are delivered"), || {
        let delivered: BTreeSet<String> = hook.delivered().into_iter().collect();
        (delivered == expected).then_some(())
    });
}

/// Reason and id of each dead letter.
fn dead_letters(endpoint: &Endpoint) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let text_of = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (text(&line["reason"]), text(&line["MessageId"]))
    };
    let file = format!("forward_hook.{}.dead", endpoint.address.port());
    let lines = fs::read_to_string(endpoint.path().join("logs").join(file)).unwrap_or_default();
    lines.lines().map(text_of).collect()
}

fn failures(endpoint: &Endpoint, reason: &str) -> f64 {
    let metrics = get(admin(endpoint), "/metrics", "").body;
    let name = "mns_endpoint_forward_failures_total";
    metric(
        &metrics,
        &format!("{name}{{to=\"hook\",reason=\"{reason}\"}}"),
    )
}

#[test]
fn a_notification_is_a_signed_request_with_its_attributes() {
    let hook = Webhook::taking();
    let mut setup = Setup::new(&hook.url());
    // Nobody listens at the proxy's address: if the proxy were used, nothing would arrive.
    setup.options = setup.options.env("http_proxy", "http://127.0.0.1:1");
    let endpoint = setup.start();
    for number in 0..5 {
        setup.accept(&endpoint, [number]);
        eventually_delivered(&hook, 0..=number);
    }
    let came = hook.came();
    assert_eq!(came.len(), 5, "each is sent once");
    assert!(hook.connections() < 5, "a connection is used again");
    let first = &came[0];
    assert_eq!(first.request.method(), "POST");
    assert_eq!(first.request.uri(), "/hook");
    assert_eq!(first.request.body(), "message 0");
    for (name, expected) in [
        ("webhook-id", "1269128356620446/MyTopic1/MyTopic1-Sub1/M0"),
        ("content-type", "text/plain; charset=utf-8"),
        ("mns-topic-owner", "1269128356620446"),
        ("mns-topic-name", "MyTopic1"),
        ("mns-subscription-name", "MyTopic1-Sub1"),
        ("mns-subscriber", "1269128356620446"),
        ("mns-message-id", "M0"),
        ("mns-message-tag", ""),
        ("mns-publish-time", "1463476256857"),
        ("mns-sequence", "1"),
    ] {
        assert_eq!(first.header(name), expected, "{name}");
    }
    assert!(first.header("user-agent").starts_with("mns-endpoint/"));
    for came in &came {
        assert!(is_signed_with(came, KEYS[0]));
        assert!(!is_signed_with(came, KEYS[1]));
    }
    endpoint.stop();
}

/// The headers and the body of what a service got, without what names the attempt. By message id.
fn contents(hook: &Webhook) -> BTreeMap<String, (Vec<String>, Vec<u8>)> {
    let content = |came: &Came| {
        let headers = came.request.headers().iter();
        let headers = headers.filter(|(name, _)| {
            !matches!(name.as_str(), "webhook-timestamp" | "webhook-signature")
        });
        let mut headers: Vec<String> = headers
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        let id = came.header("mns-message-id").to_owned();
        (id, (headers, came.request.body().to_vec()))
    };
    hook.came().iter().map(content).collect()
}

#[test]
fn what_is_forwarded_from_memory_is_what_the_log_has() {
    for (request, format) in [("full", "text"), ("off", "text"), ("headers", "json")] {
        let hook = Webhook::taking();
        let mut setup = Setup::new(&hook.url()).with("ack", "forward");
        let options = setup.options.set("logs.request", request);
        setup.options = options.set("logs.format", format);
        let endpoint = setup.start();
        let (port, url) = (endpoint.address.port(), setup.host.url("x.pem"));
        let messages: [(ContentFormat, &[u8]); 5] = [
            (ContentFormat::Xml, b"one\n    two\r\n\n[three]"),
            (ContentFormat::Json, "\u{738b} \\x41 \"".as_bytes()),
            (ContentFormat::Simplified, b"\xff\x00\n\n\n"),
            (ContentFormat::Xml, b""),
            (ContentFormat::Simplified, &[b'x'; 20_000]),
        ];
        for (number, (format, message)) in messages.into_iter().enumerate() {
            let draft = Draft::of(&format!("M{number}"), format, message, &url);
            let id = format!("5E{number}");
            let draft = draft.set("x-mns-request-id", &id).sign(&key(512));
            // Late or not, it is forwarded. A repeat would be forwarded too.
            let status = endpoint.exchange(&draft.wire()).status;
            assert!(status == 201 || status == 503, "M{number}: {status}");
        }
        eventually_delivered(&hook, 0..messages.len());
        let from_memory = contents(&hook);
        // Another destination has to read the files.
        let again = Webhook::taking();
        let secret = setup.dir.path().join("secret").display().to_string();
        let options = setup.options.set("forward.again.to", "http");
        let options = options.set("forward.again.url", &again.url());
        let options = options.set("forward.again.secret_files", &secret);
        setup.options = options.set("forward.again.start", "oldest");
        let endpoint = setup.restart(endpoint.stop().1, port);
        eventually_delivered(&again, 0..messages.len());
        let from_files = contents(&again);
        let host = |url: &str| url.replace("http://", "host: ").replace("/hook", "");
        let same = from_files.into_iter().map(|(id, (headers, body))| {
            let (there, here) = (host(&again.url()), host(&hook.url()));
            let headers = headers.iter().map(|line| line.replace(&there, &here));
            (id, (headers.collect(), body))
        });
        assert_eq!(from_memory, same.collect(), "{request} {format}");
        let shows_id = from_memory["M1"]
            .0
            .iter()
            .any(|it| it == "mns-request-id: 5E1");
        assert_eq!(shows_id, request != "off");
        endpoint.stop();
    }
}

#[test]
fn the_body_is_the_object_or_the_data_of_a_cloud_event() {
    for body in ["json", "cloudevent"] {
        let hook = Webhook::taking();
        let setup = Setup::new(&hook.url()).with("body", body);
        let endpoint = setup.start();
        setup.accept(&endpoint, [0]);
        let came = eventually("it came", || hook.came().into_iter().next());
        assert!(is_signed_with(&came, KEYS[0]));
        if body == "json" {
            assert_eq!(came.header("content-type"), "application/json");
            let object: Value = serde_json::from_slice(came.request.body()).unwrap();
            assert_eq!(object["Message"], "message 0");
            assert_eq!(object["TopicName"], "MyTopic1");
        } else {
            assert_eq!(came.request.body(), "message 0");
            assert_eq!(came.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(came.header("ce-specversion"), "1.0");
            assert_eq!(came.header("ce-id"), came.header("webhook-id"));
            assert_eq!(came.header("ce-type"), "mns:Topic:Notification");
        }
        endpoint.stop();
    }
}

#[test]
fn what_fails_is_sent_again_under_the_same_id_and_no_redirect_is_followed() {
    let elsewhere = Webhook::taking();
    let target: &'static str = format!("Location: {}\r\n", elsewhere.url()).leak();
    let hook = Webhook::start(move |came, before| match (came.message(), before) {
        ("M0", 0) => Reply::Status(500, ""),
        ("M1", 0) => Reply::Status(307, target),
        ("M2", 0) => Reply::Status(404, ""),
        ("M3", 0) => Reply::Cut,
        ("M4", 0) => Reply::Silent,
        // The status of success was complete, so the notification counts as delivered.
        ("M5", 0) => Reply::CutBody,
        _ => ok(),
    });
    let setup = Setup::new(&hook.url()).with("timeout", "5s");
    let endpoint = setup.start();
    setup.accept(&endpoint, 0..6);
    eventually_delivered(&hook, 0..6);
    for number in 0..6 {
        let came = hook.came_for(&format!("M{number}"));
        assert_eq!(came.len(), if number == 5 { 1 } else { 2 }, "M{number}");
        for came in &came {
            let id = came.header("webhook-id");
            assert!(id.ends_with(&format!("/M{number}")), "{id}");
            assert!(is_signed_with(came, KEYS[0]));
        }
    }
    assert_eq!(elsewhere.came().len(), 0);
    for (reason, count) in [("server_error", 1.0), ("redirected", 1.0), ("refused", 1.0)] {
        assert_eq!(failures(&endpoint, reason), count, "{reason}");
    }
    assert!(failures(&endpoint, "no_answer") >= 2.0);
    endpoint.stop();
}

#[test]
fn an_answer_without_an_end_is_not_read_to_the_end() {
    let hook = Webhook::start(|_, before| match before {
        0 => Reply::Endless(500),
        _ => ok(),
    });
    let setup = Setup::new(&hook.url());
    let endpoint = setup.start();
    setup.accept(&endpoint, [0]);
    eventually_delivered(&hook, [0]);
    assert_eq!(failures(&endpoint, "server_error"), 1.0);
    // This is about as much as the buffers of two sockets take. Without a bound the read would go
    // on for `timeout`.
    assert!(hook.written() < 16 << 20, "{} bytes", hook.written());
    endpoint.stop();
}

#[test]
fn a_service_that_asks_for_less_gets_nothing_until_then() {
    let wait = Duration::from_secs(3);
    let hook = Webhook::start(|_, before| match before {
        0 => Reply::Status(429, "Retry-After: 3\r\n"),
        _ => ok(),
    });
    let setup = Setup::new(&hook.url());
    let endpoint = setup.start();
    setup.accept(&endpoint, [0]);
    let first = eventually("the first came", || hook.came().into_iter().next());
    eventually("it knows", || {
        (failures(&endpoint, "throttled") > 0.0).then_some(())
    });
    // Another notification waits too, although the answer was not about it.
    hook.answers(|_, _| ok());
    setup.accept(&endpoint, [1]);
    eventually_delivered(&hook, 0..2);
    for came in &hook.came()[1..] {
        let gap = came.at.duration_since(first.at);
        assert!(gap >= wait, "{gap:?}");
    }
    endpoint.stop();
}

#[test]
fn refusals_are_a_verdict_on_a_message_only_if_a_later_one_is_taken() {
    const AGAIN: &str = "Retry-After: 0\r\n";
    let hook = Webhook::start(|_, _| Reply::Status(404, AGAIN));
    let setup = Setup::new(&hook.url());
    let endpoint = setup.start();
    setup.accept(&endpoint, 0..3);
    eventually("each was refused more often than it takes", || {
        let often = |id: &str| hook.came_for(id).len() > 21;
        ["M0", "M1", "M2"].into_iter().all(often).then_some(())
    });
    assert_eq!(dead_letters(&endpoint), []);
    // Now only M1 is refused, so the refusal is a verdict on it. If M2 were taken before M0, that
    // would make the earlier refusals of M0 a verdict too.
    let has_first = AtomicBool::new(false);
    hook.answers(move |came, _| match came.message() {
        "M1" => Reply::Status(404, AGAIN),
        "M2" if !has_first.load(Ordering::Relaxed) => Reply::Status(404, AGAIN),
        id => {
            has_first.fetch_or(id == "M0", Ordering::Relaxed);
            ok()
        }
    });
    let dead = eventually("M1 is a dead letter", || {
        let dead = dead_letters(&endpoint);
        (!dead.is_empty()).then_some(dead)
    });
    assert_eq!(dead, [("refused".to_owned(), "M1".to_owned())]);
    setup.accept(&endpoint, [3]);
    eventually_delivered(&hook, [0, 2, 3]);
    eventually("it is counted", || {
        let metrics = get(admin(&endpoint), "/metrics", "").body;
        let name = "mns_endpoint_forward_dead_letters_total{to=\"hook\",reason=\"refused\"}";
        (metric(&metrics, name) == 1.0).then_some(())
    });
    endpoint.stop();
}

#[test]
fn what_is_never_taken_is_a_dead_letter_after_give_up() {
    let hook = Webhook::start(|came, _| match came.message() {
        "M0" => Reply::Status(500, ""),
        _ => ok(),
    });
    let setup = Setup::new(&hook.url()).with("give_up", "4s");
    let endpoint = setup.start();
    setup.accept(&endpoint, 0..2);
    let dead = eventually("M0 is a dead letter", || {
        let dead = dead_letters(&endpoint);
        (!dead.is_empty()).then_some(dead)
    });
    assert_eq!(dead, [("given_up".to_owned(), "M0".to_owned())]);
    assert!(hook.came_for("M0").len() > 1);
    eventually_delivered(&hook, [1]);
    endpoint.stop();
}

#[test]
fn a_service_that_is_gone_stops_its_forwarder_and_a_restart_goes_on() {
    let hook = Webhook::start(|_, _| Reply::Status(410, ""));
    let setup = Setup::new(&hook.url()).with("ack", "forward");
    let endpoint = setup.start();
    let port = endpoint.address.port();
    assert_eq!(setup.push(&endpoint, 0), 503);
    endpoint.assert_tells("The destination ended permanently");
    eventually("it has ended", || {
        let (status, parts) = ready(&endpoint);
        assert_eq!(status, 200, "{parts}");
        (parts["forward.hook"]["ended"] == true).then_some(())
    });
    assert_eq!(failures(&endpoint, "gone"), 1.0);
    let listen = format!("127.0.0.1:{port}");
    let url = format!("forward.hook.url={}", hook.url());
    let arguments = [
        "forward",
        "status",
        "--log-dir",
        "logs",
        "--listen",
        &listen,
    ];
    let sets = ["--set", "forward.hook.to=http", "--set", &url];
    eventually("the status shows it", || {
        let printed = run(endpoint.path(), &[&arguments[..], &sets].concat()).stdout;
        let said = "\n  now: nothing is forwarded until the next start: gone since ";
        (printed.contains(said) && printed.contains("410")).then_some(())
    });
    assert_eq!(setup.push(&endpoint, 1), 503);
    eventually("the refusal is logged", || {
        let log = endpoint.endpoint_log();
        log.contains("forward_unavailable").then_some(())
    });
    assert_eq!(hook.came().len(), 1);
    hook.answers(|_, _| ok());
    let endpoint = setup.restart(endpoint.stop().1, port);
    eventually_delivered(&hook, [0]);
    eventually("a 201", || {
        let status = setup.push(&endpoint, 1);
        assert!(status == 201 || status == 503, "{status}");
        (status == 201).then_some(())
    });
    eventually_delivered(&hook, 0..2);
    endpoint.stop();
}

#[test]
fn what_is_accepted_arrives_through_an_outage_and_a_kill() {
    // A port at which nobody listens yet.
    let address = format!("127.0.0.1:{}", free_port());
    let setup = Setup::new(&format!("http://{address}/hook"));
    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..20);
    eventually("it has failed", || {
        (failures(&endpoint, "disconnected") > 0.0).then_some(())
    });
    let endpoint = setup.restart(endpoint.kill(), port);
    setup.accept(&endpoint, 20..40);
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = is_slow.clone();
    let hook = Webhook::bound(&address, None, move |came, before| match came.message() {
        // The request is in flight when the endpoint is killed.
        "M25" if slow.load(Ordering::Relaxed) && before == 0 => Reply::Silent,
        _ => ok(),
    });
    eventually("some are delivered and one is in flight", || {
        let is_in_flight = !hook.came_for("M25").is_empty();
        (is_in_flight && hook.delivered().len() > 5).then_some(())
    });
    let endpoint = setup.restart(endpoint.kill(), port);
    is_slow.store(false, Ordering::Relaxed);
    setup.accept(&endpoint, 40..50);
    eventually_delivered(&hook, 0..50);
    for came in hook.came() {
        let (id, message) = (came.header("webhook-id"), came.message());
        assert_eq!(
            id,
            format!("1269128356620446/MyTopic1/MyTopic1-Sub1/{message}")
        );
    }
    endpoint.stop();
}

#[test]
fn with_ack_forward_a_201_comes_only_after_the_service_has_it() {
    let hook = Webhook::taking();
    let setup = Setup::new(&hook.url())
        .with("ack", "forward")
        .with("answer_timeout", "2500ms");
    let endpoint = setup.start();
    let accept = |number| {
        eventually("a 201", || {
            let status = setup.push(&endpoint, number);
            assert!(status == 201 || status == 503, "{status}");
            (status == 201).then_some(())
        });
    };
    for number in 0..5 {
        accept(number);
        // Check without waiting: the 201 must come after the delivery.
        assert!(hook.delivered().contains(&format!("M{number}")));
    }
    hook.answers(|_, _| Reply::Status(500, ""));
    assert_eq!(setup.push(&endpoint, 5), 503);
    eventually("pushes are refused before their body", || {
        assert_eq!(setup.push(&endpoint, 6), 503);
        let log = endpoint.endpoint_log();
        log.contains("forward_unavailable").then_some(())
    });
    // Notifications that the service never accepts must not keep the others out permanently.
    hook.answers(|came, _| match came.message() {
        "M5" | "M6" => Reply::Status(500, ""),
        _ => ok(),
    });
    accept(7);
    accept(8);
    hook.answers(|_, _| ok());
    eventually_delivered(&hook, 0..9);
    endpoint.stop();
}

#[test]
fn a_secret_is_replaced_without_a_restart_and_two_make_two_signatures() {
    let hook = Webhook::taking();
    let setup = Setup::new(&hook.url());
    let [first, second] = ["secret", "second"].map(|name| setup.dir.path().join(name));
    fs::write(&second, secret(KEYS[1])).unwrap();
    let both = format!("{},{}", first.display(), second.display());
    let setup = setup.with("secret_files", &both);
    let endpoint = setup.start();
    setup.accept(&endpoint, [0]);
    let came = eventually("it came", || hook.came().into_iter().next());
    assert_eq!(came.header("webhook-signature").split(' ').count(), 2);
    assert!(is_signed_with(&came, KEYS[0]) && is_signed_with(&came, KEYS[1]));
    // The file now has half of a secret, so the old secret stays in use.
    fs::write(&first, "whsec_").unwrap();
    let mut number = 0;
    let mut next = || {
        number += 1;
        setup.accept(&endpoint, [number]);
        let id = format!("M{number}");
        eventually("it came", || hook.came_for(&id).into_iter().next())
    };
    eventually("the damaged file is reported", || {
        assert!(is_signed_with(&next(), KEYS[0]));
        endpoint
            .stderr()
            .contains("what it held before counts")
            .then_some(())
    });
    let third = b"the third secret, 24 byt";
    fs::write(&first, secret(third)).unwrap();
    eventually("the new one counts", || {
        is_signed_with(&next(), third).then_some(())
    });
    let came = next();
    assert!(is_signed_with(&came, third) && is_signed_with(&came, KEYS[1]));
    assert!(!is_signed_with(&came, KEYS[0]));
    endpoint.stop();
}

#[test]
fn without_secrets_nothing_is_signed_and_check_warns() {
    let hook = Webhook::taking();
    let setup = Setup::new(&hook.url()).with("secret_files", "[]");
    let endpoint = setup.start();
    setup.accept(&endpoint, [0]);
    let came = eventually("it came", || hook.came().into_iter().next());
    let headers = came.request.headers();
    assert!(headers.contains_key("webhook-id") && !headers.contains_key("webhook-signature"));
    let dir = endpoint.stop().1;
    let url = "forward.hook.url=http://svc.example/hook";
    let checked = run(
        dir.path(),
        &["check", "--set", "forward.hook.to=http", "--set", url],
    );
    checked.assert(
        0,
        "warning  forward.hook.secret_files: empty: requests are not signed",
    );
    checked.assert(
        0,
        "warning  forward.hook.url: http://svc.example/hook is not https",
    );
}

#[test]
fn a_file_that_cannot_be_used_stops_the_start_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    let file = file.display().to_string();
    for (content, expected) in [
        (None, "No such file"),
        (
            Some("whsec_"),
            "its key has 0 bytes, and at least 16 are needed",
        ),
        (
            Some("my secret"),
            "it is not base64, with or without whsec_ before it",
        ),
    ] {
        fs::remove_file(&file).ok();
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let files = format!("forward.hook.secret_files={file}");
        let flags = [
            ["--set", "forward.hook.to=http"],
            ["--set", "forward.hook.url=https://127.0.0.1/"],
            ["--set", files.as_str()],
            ["--set", "logs.dir=logs"],
        ];
        let serve = [&["serve", "--listen", "127.0.0.1:0"], flags.as_flattened()].concat();
        let ended = run(dir.path(), &serve);
        ended.assert(78, &format!("forward.hook.secret_files = {file:?}: "));
        ended.assert(78, expected);
        let check = [&["check"], flags.as_flattened()].concat();
        let ended = run(dir.path(), &check);
        ended.assert(78, "error    forward.hook.secret_files: ");
        ended.assert(78, expected);
    }
}

#[test]
fn a_service_has_no_more_requests_than_it_may_have_at_a_time() {
    let hook = Webhook::start(|_, _| Reply::Silent);
    // No request ends while they are counted, however slow the machine is.
    let setup = Setup::new(&hook.url()).with("timeout", "5m");
    let endpoint = setup.start();
    setup.accept(&endpoint, 0..80);
    let in_flight = || {
        let metrics = get(admin(&endpoint), "/metrics", "").body;
        metric(&metrics, "mns_endpoint_forward_in_flight{to=\"hook\"}")
    };
    eventually("all are in the window", || {
        (in_flight() == 80.0).then_some(())
    });
    eventually("as many came as may", || {
        (hook.came().len() >= 64).then_some(())
    });
    let came: BTreeSet<String> = hook
        .came()
        .iter()
        .map(|it| it.message().to_owned())
        .collect();
    assert_eq!(came.len(), 64);
    endpoint.stop();
}

/// A server that requires the client certificate of `client`.
fn tls(server: &Identity, client: &Identity) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(client.certificate.clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(vec![server.certificate.clone()], key);
    Arc::new(config.unwrap())
}

#[test]
fn a_service_is_believed_under_the_authority_that_its_table_names_alone() {
    let [server, client, other] = [(); 3].map(|()| Identity::new());
    let hook = Webhook::bound("127.0.0.1:0", Some(tls(&server, &client)), |_, _| ok());
    let setup = Setup::new(&format!("https://localhost:{}/hook", hook.address.port()));
    let file = |name: &str, content: &str| {
        let path = setup.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (
        file("client.pem", &client.certificate_pem),
        file("client.key", &client.key_pem),
    );
    let (ca, of_this_machine) = (
        file("ca.pem", &other.certificate_pem),
        file("machine.pem", &server.certificate_pem),
    );
    let mut setup = setup
        .with("ca", &ca)
        .with("certificate", &certificate)
        .with("private_key", &key);
    setup.options = setup.options.env("SSL_CERT_FILE", &of_this_machine);
    let endpoint = setup.start();
    setup.accept(&endpoint, [0]);
    eventually("the certificate is refused", || {
        (failures(&endpoint, "forbidden") > 0.0).then_some(())
    });
    endpoint.assert_tells("the certificate of https://localhost");
    assert_eq!(hook.came().len(), 0);
    // Replace the certificate while the endpoint runs.
    fs::write(&ca, &server.certificate_pem).unwrap();
    eventually_delivered(&hook, [0]);
    endpoint.stop();
}
