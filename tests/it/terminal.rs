//! No answer of a service and no content of a file can control a terminal, whichever command prints
//! it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use mns_endpoint::mns::{ContentFormat, Element};

use crate::support::{
    ApiHost, CertificateHost, Draft, Ended, Mode, finish, key, program, read, run,
};

/// Sets a title, clears the screen, changes colours by a C1 control, reorders the line, hides
/// letters in it, breaks it, and forges one.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2066}\u{200b}\
    \u{feff}\u{2028}\r\nForged line\n";

/// Outputs that control a terminal, or contain a line that a stranger began.
#[derive(Default)]
struct Harm(Vec<String>);

impl Harm {
    fn look_at(&mut self, command: &[&str], ended: &Ended) {
        // JSON leaves invisible characters unchanged: it is for programs, and they control nothing.
        let is_json = command.contains(&"json");
        let obeyed = |letter: char| {
            (letter.is_control() && letter != '\n')
                || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}')
                || (!is_json && matches!(letter, '\u{200b}' | '\u{feff}'))
                || ('\u{2028}'..='\u{202e}').contains(&letter)
                || ('\u{2066}'..='\u{2069}').contains(&letter)
        };
        for text in [&ended.stdout, &ended.stderr] {
            let lines = text
                .split('\n')
                .filter(|line| line.contains(obeyed) || line.starts_with("Forged"));
            self.0
                .extend(lines.map(|line| format!("{command:?}: {line:?}")));
        }
    }

    #[track_caller]
    fn assert_none(&self) {
        assert!(
            self.0.is_empty(),
            "{} lines:\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

/// A command against a service that answers `body` to everything.
fn against(status: &str, body: &str, args: &[&str]) -> Ended {
    let host = ApiHost::start(&[(status, body); 4]);
    let mut command = program();
    command
        .args(args)
        .env("MNS_ACCOUNT_ENDPOINT", format!("http://{}", host.address));
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    finish(&mut command, b"")
}

fn document(root: &str, texts: &[&str]) -> String {
    Element::of_children(
        root,
        texts
            .iter()
            .map(|name| Element::of_text(name, HOSTILE))
            .collect(),
    )
    .document()
}

const COMMANDS: [&[&str]; 10] = [
    &["topic", "create"],
    &["topic", "show"],
    &["topic", "list"],
    &["topic", "delete"],
    &["subscription", "create", "http://127.0.0.1"],
    &["subscription", "show"],
    &["subscription", "list"],
    &["subscription", "update", "--strategy", "backoff_retry"],
    &["subscription", "delete"],
    &["publish"],
];

#[test]
fn no_answer_of_a_service_does() {
    let refusal = document("Error", &["Code", "Message", "RequestId", "HostId"]);
    let known = Element::of_children(
        "Error",
        vec![
            Element::of_text("Code", "AccessDenied"),
            Element::of_text("Message", HOSTILE),
        ],
    );
    let topic = [
        "TopicName",
        "CreateTime",
        "LastModifyTime",
        "MaximumMessageSize",
        "LoggingEnabled",
    ];
    let answers = [
        ("409 Conflict", refusal),
        ("403 Forbidden", known.document()),
        ("200 OK", HOSTILE.to_owned()),
        ("200 OK", format!("<{}>", HOSTILE.trim())),
        ("200 OK", document("Topic", &topic)),
        (
            "201 Created",
            document("Message", &["MessageId", "MessageBodyMD5"]),
        ),
        ("200 OK", document("\u{202e}Root", &["TopicName"])),
    ];
    let mut harm = Harm::default();
    for args in COMMANDS {
        for (status, body) in &answers {
            harm.look_at(args, &against(status, body, args));
            let json = [args, &["--output", "json"]].concat();
            harm.look_at(&json, &against(status, body, &json));
        }
    }
    // A broken answer is requested again, with waits, so only one command is tested.
    harm.look_at(
        &["topic", "show"],
        &against("404 \u{1b}[2J", HOSTILE, &["topic", "show"]),
    );
    harm.assert_none();
}

#[test]
fn no_value_that_a_service_describes_does() {
    let url = |name: &str, element: &str| {
        Element::of_children(element, vec![Element::of_text(name, HOSTILE)])
    };
    let marked = |root: &str, child: Element| Element::of_children(root, vec![child]).document();
    let number = |name| Element::of_text(name, "1");
    let topic = Element::of_children(
        "Topic",
        vec![
            Element::of_text("TopicName", HOSTILE),
            number("CreateTime"),
            number("LastModifyTime"),
            number("MaximumMessageSize"),
            number("MessageRetentionPeriod"),
            number("MessageCount"),
            Element::of_text("LoggingEnabled", "True"),
        ],
    );
    let mut subscription: Vec<Element> = [
        "SubscriptionName",
        "TopicName",
        "TopicOwner",
        "Subscriber",
        "Endpoint",
        "FilterTag",
    ]
    .map(|name| Element::of_text(name, HOSTILE))
    .into();
    subscription.extend([number("CreateTime"), number("LastModifyTime")]);
    subscription.push(Element::of_text("NotifyStrategy", "BACKOFF_RETRY"));
    subscription.push(Element::of_text("NotifyContentFormat", "XML"));
    let mut harm = Harm::default();
    for (args, body) in [
        (
            &["topic", "list"][..],
            marked("Topics", url("TopicURL", "Topic")),
        ),
        (&["topic", "show"], topic.document()),
        (
            &["subscription", "list"],
            marked("Subscriptions", url("SubscriptionURL", "Subscription")),
        ),
        (
            &["subscription", "show"],
            Element::of_children("Subscription", subscription).document(),
        ),
        (
            &["publish", "--body", "m"],
            document("Message", &["MessageId", "MessageBodyMD5"]),
        ),
    ] {
        for output in ["text", "json"] {
            let command = [args, &["--output", output]].concat();
            let ended = against("200 OK", &body, &command);
            assert_eq!(ended.code, 0, "{ended:#?}");
            assert!(
                ended.stdout.contains("[2J"),
                "it is shown all the same: {ended:#?}"
            );
            harm.look_at(&command, &ended);
            if output == "json" {
                assert!(
                    serde_json::from_str::<serde_json::Value>(&ended.stdout).is_ok(),
                    "{ended:#?}"
                );
            }
        }
    }
    harm.assert_none();
}

/// Answers every connection with these bytes.
fn server(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if read(&mut stream).is_some() {
                stream.write_all(&answer).ok();
            }
        }
    });
    address
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[test]
fn no_endpoint_does_that_is_pushed_to_or_asked_for_its_health() {
    let dir = tempfile::tempdir().unwrap();
    let mut harm = Harm::default();
    let mut run = |args: &[&str]| {
        let ended = run(dir.path(), args);
        harm.look_at(args, &ended);
        ended
    };
    for answer in [
        http("403 \u{9b}2J", HOSTILE),
        http("500 \u{1b}[2J", HOSTILE),
        HOSTILE.as_bytes().to_vec(),
    ] {
        let address = server(answer);
        let ended = run(&[
            "push",
            &format!("http://{address}"),
            "--cert-listen",
            "127.0.0.1:0",
        ]);
        assert_eq!(ended.code, 1, "{ended:#?}");
        for args in [&["health"][..], &["check"], &["check", "--output", "json"]] {
            run(&[args, &["--set", &format!("admin.listen={address}")]].concat());
        }
    }
    let parts = serde_json::json!({ "parts": { "seen": { "state": HOSTILE } } }).to_string();
    let admin = format!("admin.listen={}", server(http("200 OK", &parts)));
    for output in ["text", "json"] {
        let ended = run(&["check", "--set", &admin, "--output", output]);
        assert!(
            ended
                .stdout
                .contains("the running serve has accepted so far"),
            "{ended:#?}"
        );
    }
    let tls = CertificateHost::start(Mode::Raw(HOSTILE.as_bytes().to_vec()));
    run(&[
        "push",
        &format!("https://{}", tls.address),
        "--cert-listen",
        "127.0.0.1:0",
    ]);
    harm.assert_none();
}

fn write(dir: &Path, name: &[u8], content: impl AsRef<[u8]>) {
    let path = dir.join(OsStr::from_bytes(name));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn no_file_does_and_no_name_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut harm = Harm::default();
    let mut run = |args: &[&str]| {
        let ended = run(dir.path(), args);
        harm.look_at(args, &ended);
        ended
    };
    let hostile = HOSTILE.as_bytes();
    write(dir.path(), b"hostile", hostile);
    write(
        dir.path(),
        b"hostile.toml",
        format!("[server]\nlisten = \"{HOSTILE}\"\n"),
    );
    write(
        dir.path(),
        b"value.toml",
        "[server]\nlisten = \"\\u001b[2J\\u009b\\nForged line\"\n",
    );
    write(dir.path(), b"key.toml", "[server]\n\"\\u001b[2J\" = 1\n");
    for file in ["hostile", "hostile.toml", "value.toml", "key.toml"] {
        for command in [
            &["check"][..],
            &["check", "--output", "json"],
            &["health"],
            &["logs", "verify"],
            &["certificate", "list"],
        ] {
            assert_ne!(run(&[command, &["--config", file]].concat()).code, 0);
        }
    }
    run(&["topic", "list", "--sdk-config", "hostile"]);
    run(&["push", "http://127.0.0.1:1", "--key", "hostile"]);
    run(&["explain", "hostile"]);
    let url = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem";
    run(&["certificate", "add", url, "hostile"]);

    // In the names of certificates and logs, and in their contents.
    for name in [
        &b"certs/signing/a.example/\x1b[2J.pem"[..],
        b"certs/signing/\xc2\x9bhost\nForged/x.pem",
    ] {
        write(dir.path(), name, hostile);
    }
    run(&["certificate", "list"]);
    for log in ["logs/endpoint_log.8080", "logs/access_log.8080"] {
        write(
            dir.path(),
            log.as_bytes(),
            format!("{HOSTILE}\n[2026-01-01 00:00:00] [{HOSTILE}] {HOSTILE}\n\n"),
        );
    }
    let verified = run(&["logs", "verify"]);
    assert!(verified.stdout.contains("is broken"), "{verified:#?}");
    let odd = "logs\u{1b}[2J";
    fs::rename(dir.path().join("logs"), dir.path().join(odd)).unwrap();
    run(&["logs", "verify", "--log-dir", odd]);
    write(
        dir.path(),
        format!("{odd}/quarantine.8080/0000000001.unproved.http").as_bytes(),
        hostile,
    );
    let judged = run(&["logs", "recover", "--dry-run", "--log-dir", odd]);
    assert!(judged.stdout.contains("incomplete"), "{judged:#?}");

    let note = format!("\n\nCame: 2026-11-24T10:40:38Z\nPeer: 1.2.3.4:5\nReason: {HOSTILE}\n");
    let draft = Draft::new(ContentFormat::Xml, "m", "http://127.0.0.1:1/x.pem")
        .set("x-mns-tag", "\u{9b}2J")
        .sign(&key(512));
    write(
        dir.path(),
        b"request.http",
        [draft.wire(), note.into_bytes()].concat(),
    );
    write(dir.path(), b"odd\x1b[2J.pem", key(512).certificate_pem());
    let trust = [
        "--trust",
        "http://127.0.0.1:1/",
        "--certificate",
        "odd\u{1b}[2J.pem",
    ];
    assert!(
        run(&[&["explain", "request.http"][..], &trust].concat())
            .stdout
            .contains("signature     ok")
    );
    harm.assert_none();
}
