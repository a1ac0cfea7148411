//! `push` as a developer uses it: against a real endpoint, and against servers that are not one.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes};
use mns_endpoint::mns::{ContentFormat, ContentMd5};
use mns_endpoint::trust::SigningCertificate;

use crate::support::{
    CertificateHost, Draft, Ended, Endpoint, LocalMns, Options, Subscriber, attribute, eventually,
    exchange, finish, key, program, read_request, records, run, to,
};

/// An endpoint that trusts a key, and that key in a file beside its logs.
struct Bench {
    endpoint: Endpoint,
    host: CertificateHost,
}

impl Bench {
    fn new() -> Self {
        let host = CertificateHost::serving(&key(512));
        let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
        fs::write(
            endpoint.path().join("key.pem"),
            key(512).to_key_pem().unwrap(),
        )
        .unwrap();
        Self { endpoint, host }
    }

    /// Pushes with the trusted key.
    fn push(&self, args: &[&str], stdin: &[u8]) -> Ended {
        let (url, cert_url) = (
            format!("http://{}", self.endpoint.address),
            self.host.url("x.pem"),
        );
        let mut command = program();
        command.current_dir(self.endpoint.path());
        command
            .args(["push", &url, "--key", "key.pem", "--cert-url", &cert_url])
            .args(args);
        finish(&mut command, stdin)
    }

    /// An attribute of the most recent notification.
    fn last(&self, name: &str) -> Vec<u8> {
        attribute(&records(&self.endpoint.endpoint_log()).pop().unwrap(), name).unwrap()
    }
}

/// Accepts one connection and one request, answers with `answer`, and closes. The thread returns
/// the request.
fn once(
    answer: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static,
) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _peer) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        stream.write_all(&answer(&request)).unwrap();
        request
    });
    (address, thread)
}

fn answer(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

#[test]
fn every_option_reaches_the_log() {
    let bench = Bench::new();
    for format in ["xml", "json", "simplified", "SIMPLIFIED"] {
        let options = [
            "--format", format, "--body", "<值>&", "--tag", "重要", "--topic", "T1", "--owner",
            "42",
        ];
        let ended = bench.push(&options, b"");
        ended.assert(0, "  accepted\n1 request in ");
        assert!(
            ended.stdout.starts_with("201  ") && ended.stdout.ends_with("/s; 201: 1\n"),
            "{}",
            ended.stdout
        );
        assert_eq!(ended.stderr, "");
        let id = String::from_utf8(bench.last("MessageId")).unwrap();
        assert!(
            ended.stdout.contains(&format!(" ms  {id}  accepted")),
            "{id} is not in {}",
            ended.stdout
        );
        for (name, value) in [
            ("Message", "<值>&"),
            ("MessageTag", "重要"),
            ("TopicName", "T1"),
            ("SubscriptionName", "T1-Sub"),
            ("TopicOwner", "42"),
            ("Subscriber", "42"),
        ] {
            assert_eq!(
                String::from_utf8(bench.last(name)).unwrap(),
                value,
                "{name} of {format}"
            );
        }
    }
    bench.push(&[], b"").assert(0, "accepted");
    assert_eq!(bench.last("Message"), b"I am test message 0.");
    assert_eq!(bench.last("TopicName"), b"MySampleTopic");
}

#[test]
fn the_message_comes_from_a_file_or_from_stdin_as_it_is() {
    let bench = Bench::new();
    let path = bench.endpoint.path().join("message");
    let any_bytes = b"\xff\xfe\0 \r\n";
    for (format, message) in [
        ("xml", &b" \n a \n"[..]),
        ("json", b""),
        ("simplified", any_bytes),
    ] {
        fs::write(&path, message).unwrap();
        for (file, stdin) in [("message", &b""[..]), ("-", message)] {
            bench
                .push(&["--format", format, "--body-file", file], stdin)
                .assert(0, "accepted");
            assert_eq!(bench.last("Message"), message, "{format} from {file}");
        }
    }
    let before = bench.endpoint.access_log();
    for format in ["xml", "json"] {
        let refused = bench.push(&["--format", format, "--body-file", "-"], any_bytes);
        refused.assert(
            1,
            "the message is not UTF-8: only --format simplified can carry it",
        );
    }
    for (args, told) in [
        (
            &["--body-file", "none"][..],
            "cannot read none: No such file",
        ),
        (&["--body-file", "logs"], "cannot read logs: Is a directory"),
        (
            &["--format", "simplified", "--tag", "a\nb"],
            "the header x-mns-message-tag cannot hold \"a\\nb\"",
        ),
        (
            &["--format", "simplified", "--tag", " a"],
            "the header x-mns-message-tag cannot hold \" a\"",
        ),
    ] {
        bench.push(args, b"").assert(1, told);
    }
    assert_eq!(bench.endpoint.access_log(), before, "nothing was sent");
}

/// The value of Content-md5 that receivers require, by the documented rules: the hex digits of the
/// digest, then base64 of them.
fn content_md5(body: &[u8], notation: &str) -> String {
    let digits = ContentMd5::of(body).upper_hex();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    match notation {
        "hex" => digits,
        "hex-base64" => STANDARD.encode(digits.to_lowercase()),
        "base64" => STANDARD.encode(digits.as_bytes().chunks(2).map(byte).collect::<Vec<u8>>()),
        other => panic!("no notation: {other}"),
    }
}

/// The requested notation of Content-md5, and the notation that must then be used.
fn notations(format: &str) -> Vec<(Vec<&str>, &str)> {
    // Receivers of real pushes require base64 of the hex for XML and JSON. Captures of SIMPLIFIED
    // pushes have the plain hex.
    let usual = if format.eq_ignore_ascii_case("simplified") {
        "hex"
    } else {
        "hex-base64"
    };
    let asked = ["hex", "hex-base64", "base64"].map(|name| (vec!["--content-md5", name], name));
    [(vec![], usual)].into_iter().chain(asked).collect()
}

#[test]
fn push_writes_content_md5_as_real_receivers_require_or_as_requested() {
    for format in ["xml", "json", "simplified"] {
        for (flags, notation) in notations(format) {
            let (address, thread) = once(|_| answer("201 Created"));
            let url = format!("http://{address}");
            let args = [
                "push",
                &url,
                "--format",
                format,
                "--cert-url",
                "http://127.0.0.1:1/x.pem",
            ];
            run(".".as_ref(), &[&args[..], &flags].concat()).assert(0, "accepted");
            let request = thread.join().unwrap();
            let line = format!(
                "\r\nContent-md5: {}\r\n",
                content_md5(&Draft::read(&request).body, notation)
            );
            let text = String::from_utf8(request).unwrap();
            assert!(
                text.contains(&line),
                "{format} {flags:?}: no {line:?} in {text}"
            );
        }
    }
    // The manual's message, with the manual's digest.
    assert_eq!(
        content_md5(b"I am test message 0.", "hex"),
        "075C3D4AEB2D2F2D6A4C17C9D6DBBEBB"
    );
}

#[test]
fn the_emulator_writes_content_md5_as_real_receivers_require_or_as_requested() {
    for format in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ] {
        for (flags, notation) in notations(&format.to_string()) {
            let (mns, subscriber) = (LocalMns::start(&flags), Subscriber::start(|_| Some(201)));
            let attributes = SubscriptionAttributes {
                notify_content_format: format,
                ..to(&subscriber.url(), NotifyStrategy::BackoffRetry)
            };
            let client = mns.client();
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                client.create_topic("T", &Default::default()).await.unwrap();
                client.subscribe("T", "S", &attributes).await.unwrap();
                client.publish("T", "值", "").await.unwrap();
            });
            let pushed = eventually("it is pushed", || subscriber.pushed().pop());
            let body = pushed.request.body();
            assert_eq!(
                pushed.request.headers()["content-md5"],
                content_md5(body, notation),
                "{format} {flags:?}"
            );
        }
    }
}

#[test]
fn every_format_in_every_notation_is_accepted() {
    let bench = Bench::new();
    for format in ["xml", "json", "simplified"] {
        for (flags, _) in notations(format) {
            let message = format!("{format} {flags:?} 值");
            bench
                .push(
                    &[&["--format", format, "--body", &message][..], &flags].concat(),
                    b"",
                )
                .assert(0, "accepted");
            assert_eq!(bench.last("Message"), message.as_bytes());
        }
    }
    bench
        .push(&["--content-md5", "sha1"], b"")
        .assert(2, "possible values: hex, hex-base64, base64");
    bench
        .push(&["--content-md5", "hex", "--capture", "x"], b"")
        .assert(2, "cannot be used with");
}

#[test]
fn an_invalid_key_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("certificate.pem"),
        key(512).certificate_pem(),
    )
    .unwrap();
    fs::write(dir.path().join("binary"), b"\xff").unwrap();
    for (file, told) in [
        (
            "certificate.pem",
            "cannot use certificate.pem: the key cannot be generated or used",
        ),
        ("binary", "binary is not UTF-8"),
        ("none", "cannot read none: No such file"),
    ] {
        run(dir.path(), &["push", "http://127.0.0.1:1", "--key", file]).assert(1, told);
    }
    run(
        dir.path(),
        &["push", "http://127.0.0.1:1", "--key", "a", "--bits", "1024"],
    )
    .assert(2, "cannot be used with");
}

#[test]
fn without_a_key_one_is_made_and_its_certificate_is_served_while_push_waits() {
    for (bits, format) in [("512", "xml"), ("1024", "json"), ("1024", "simplified")] {
        let (address, endpoint) = once(move |request| {
            let draft = Draft::read(request);
            let decoded = |name: &str| STANDARD.decode(draft.header(name).unwrap()).unwrap();
            let url = String::from_utf8(decoded("x-mns-signing-cert-url")).unwrap();
            let (host, file) = url
                .strip_prefix("http://")
                .unwrap()
                .split_once('/')
                .unwrap();
            let get = format!("GET /{file} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let served = exchange(host.parse().unwrap(), get.as_bytes());
            let certificate = SigningCertificate::parse(served.body.as_bytes()).unwrap();
            assert_eq!(certificate.key_bits().to_string(), bits);
            assert!(certificate.verifies(&draft.string_to_sign(), &decoded("authorization")));
            answer("201 Created")
        });
        let url = format!("http://{address}/a?b=%2F");
        let args = [
            "push",
            &url,
            "--bits",
            bits,
            "--format",
            format,
            "--cert-listen",
            "127.0.0.1:0",
        ];
        run(".".as_ref(), &args).assert(0, "accepted");
        assert!(
            endpoint
                .join()
                .unwrap()
                .starts_with(b"POST /a?b=%2F HTTP/1.1\r\n")
        );
    }
}

#[test]
fn a_run_with_trust_saves_no_certificate_of_push_and_accepts_its_new_keys() {
    // A free port on which push serves its certificate: the endpoint has to know it before push
    // starts. No other test uses this address, so none takes the port in the meantime.
    let certificates = TcpListener::bind("127.0.77.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let official = CertificateHost::serving(&key(1024));
    let endpoint = Endpoint::start(&Options {
        // A prefix that is also listed is treated as a listed one.
        trust: vec![format!("http://{certificates}"), official.prefix()],
        ..Options::listing(&official.prefix())
    });
    let url = format!("http://{}", endpoint.address);
    let push = || {
        run(
            endpoint.path(),
            &["push", &url, "--cert-listen", &certificates],
        )
        .assert(0, "accepted")
    };
    for _ in 0..3 {
        push();
    }
    // The key of a listed address is the first of its kind, whatever push has signed with.
    let genuine =
        Draft::new(ContentFormat::Xml, "genuine", &official.url("x.pem")).sign(&key(1024));
    assert_eq!(endpoint.exchange(&genuine.wire()).status, 201);
    push();
    let kept = endpoint
        .path()
        .join("certs/signing")
        .join(official.address.to_string())
        .join("x.pem");
    eventually("the certificate of the listed address is kept", || {
        kept.exists().then_some(())
    });
    let hosts = fs::read_dir(endpoint.path().join("certs/signing")).unwrap();
    let hosts: Vec<_> = hosts.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(hosts, [official.address.to_string().as_str()]);
    assert!(
        !endpoint.endpoint_log().contains("Signing Key Changed!"),
        "{}",
        endpoint.endpoint_log()
    );
    let told = endpoint.told();
    assert!(!told.contains("signing key has changed"), "{told}");
}

#[test]
fn an_endpoint_can_be_made_to_trust_the_sender() {
    let endpoint = Endpoint::start(&Options::default());
    let url = format!("http://{}", endpoint.address);
    let ended = run(
        endpoint.path(),
        &["push", &url, "--cert-listen", "127.0.0.1:0"],
    );
    ended.assert(1, "refused: the endpoint log has the reason");
    let flag = regex::Regex::new(
        r"; unless it trusts this sender start it with: serve --trust http://127\.0\.0\.1:\d+/\n",
    );
    assert!(flag.unwrap().is_match(&ended.stdout), "{}", ended.stdout);
    let reason = eventually("the refusal is logged", || {
        let log = endpoint.endpoint_log();
        // After the record of the start, and complete.
        let record = log.ends_with("\n\n").then(|| records(&log).pop())?;
        attribute(&record?, "Reason")
    });
    assert_eq!(reason, b"certificate_address_refused");
}

#[test]
fn each_answer_has_its_verdict_and_decides_the_exit_code() {
    for (status, code, verdict) in [
        ("200 OK", 0, "accepted"),
        ("204 No Content", 0, "accepted"),
        ("302 Found", 1, "a redirect: MNS may count it as delivered"),
        (
            "400 Bad Request",
            1,
            "refused: the body is not a notification",
        ),
        (
            "404 Not Found",
            1,
            "refused: the path is not served; see server.paths",
        ),
        (
            "413 Payload Too Large",
            1,
            "refused: the endpoint log has the reason",
        ),
        (
            "503 Service Unavailable",
            1,
            "not accepted now: MNS would retry",
        ),
    ] {
        let (address, _thread) = once(move |_| answer(status));
        let ended = run(
            ".".as_ref(),
            &[
                "push",
                &format!("http://{address}"),
                "--cert-url",
                "http://127.0.0.1:1/x.pem",
            ],
        );
        ended.assert(code, verdict);
        assert!(
            ended.stdout.ends_with(&format!("; {}: 1\n", &status[..3])),
            "{}",
            ended.stdout
        );
    }
    let closing = once(|_| Vec::new()).0;
    let other = once(|_| b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()).0;
    let plain = Endpoint::start(&Options::default());
    for (url, told) in [
        (
            "http://127.0.0.1:1".to_owned(),
            "no answer: cannot connect to 127.0.0.1:1: Connection refused",
        ),
        (
            format!("http://{closing}"),
            "no answer: the connection broke before an answer arrived",
        ),
        (
            format!("http://{other}"),
            "the answer is not HTTP: is this the endpoint's port?",
        ),
        (
            format!("https://{}", plain.address),
            "does not answer with TLS: the address of a port without TLS begins with http://",
        ),
    ] {
        let ended = run(
            ".".as_ref(),
            &["push", &url, "--cert-url", "http://127.0.0.1:1/x.pem"],
        );
        ended.assert(1, told);
        assert!(
            ended.stdout.starts_with("---  ") && ended.stdout.ends_with("; ---: 1\n"),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn two_hundred_messages_at_sixteen_a_time_are_each_in_both_logs_once() {
    let bench = Bench::new();
    let ended = bench.push(&["--count", "200", "--concurrency", "16"], b"");
    ended.assert(0, "\n200 requests in ");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 201);
    assert!(
        regex::Regex::new(r"^200 requests in \d+\.\d\d s, \d+/s; 201: 200$")
            .unwrap()
            .is_match(lines[200])
    );
    let line = regex::Regex::new(r"^201  +\d+\.\d ms  ([0-9A-F]{32})  accepted$").unwrap();
    let pushed: BTreeSet<String> = lines[..200]
        .iter()
        .map(|text| line.captures(text).unwrap_or_else(|| panic!("{text}"))[1].to_owned())
        .collect();
    assert_eq!(pushed.len(), 200);
    let log = records(&bench.endpoint.endpoint_log());
    let logged: Vec<Vec<u8>> = log
        .iter()
        .filter_map(|entry| attribute(entry, "MessageId"))
        .collect();
    assert_eq!(logged.len(), 200);
    assert_eq!(
        logged
            .into_iter()
            .map(|id| String::from_utf8(id).unwrap())
            .collect::<BTreeSet<_>>(),
        pushed
    );
    let messages: BTreeSet<Vec<u8>> = log
        .iter()
        .filter_map(|entry| attribute(entry, "Message"))
        .collect();
    assert_eq!(messages.len(), 200, "each has a text of its own");
    let access = bench.endpoint.access_log();
    assert_eq!(
        access
            .lines()
            .filter(|line| line.contains("]\"POST\" \"201\" \"/notifications\""))
            .count(),
        200
    );
    assert_eq!(access.lines().count(), 200);
}

#[test]
fn a_capture_is_sent_byte_for_byte() {
    let bench = Bench::new();
    let draft = Draft::new(
        ContentFormat::Simplified,
        b"\0\xff\r\n\r\n",
        &bench.host.url("x.pem"),
    )
    .sign(&key(512));
    fs::write(bench.endpoint.path().join("good.http"), draft.wire()).unwrap();
    let odd = draft
        .set("X-MNS-Odd", b"a  b\t\xe9")
        .without("Authorization");
    fs::write(bench.endpoint.path().join("odd.http"), odd.wire()).unwrap();
    let (address, thread) = once(|_| answer("403 Forbidden"));
    let captured = |url: &str, args: &[&str]| {
        run(
            bench.endpoint.path(),
            &[&["push", url, "--capture"], args].concat(),
        )
    };
    let refused = captured(&format!("http://{address}/ignored"), &["odd.http"]);
    refused.assert(1, "  recorded  refused: the endpoint log has the reason\n");
    assert_eq!(thread.join().unwrap(), odd.wire());
    let url = format!("http://{}", bench.endpoint.address);
    let ended = captured(&url, &["good.http", "--count", "3"]);
    ended.assert(0, "3 requests in ");
    assert_eq!(ended.stdout.matches("  recorded  accepted\n").count(), 3);
    assert_eq!(bench.last("Message"), b"\0\xff\r\n\r\n");
    fs::write(bench.endpoint.path().join("empty"), "").unwrap();
    captured(&url, &["empty"]).assert(1, "there is nothing to send in empty");
    captured(&url, &["none"]).assert(1, "cannot read none: No such file");
}
