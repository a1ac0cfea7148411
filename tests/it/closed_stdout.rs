//! Every command whose reader has closed the pipe: it does its work, prints no error about the
//! pipe, and ends with its own exit code.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use mns_endpoint::mns::{ContentFormat, Element};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{ApiHost, Bench, Draft, eventually, key, program};

const REAL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/simplified-2023/request.http"
);
const REAL_CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/mns-2015.pem");
const OFFICIAL: &str = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem";

/// Runs a command into a pipe that nobody reads. Returns its exit code and its stderr.
fn unread(command: &mut Command) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[track_caller]
fn assert_quiet(dir: &Path, args: &[&str], code: i32) {
    assert_eq!(
        unread(program().current_dir(dir).args(args)),
        (code, String::new()),
        "{args:?}"
    );
}

fn published() -> String {
    let texts = [("MessageId", "ID"), ("MessageBodyMD5", "MD5")]
        .map(|(name, text)| Element::of_text(name, text));
    Element::of_children("Message", texts.into()).document()
}

#[test]
fn commands_on_files_end_quietly_with_their_own_code() {
    let bench = Bench::with(|options| options);
    bench.accept(&bench.draft().sign(&key(512)));
    bench.endpoint.exchange(&bench.draft().wire());
    let address = bench.endpoint.address.to_string();
    let (_, dir) = bench.endpoint.stop();
    let dir = dir.path();
    let explained = [
        "explain",
        REAL,
        "--certificate",
        REAL_CERTIFICATE,
        "--at",
        "2023-03-29T08:41:30Z",
    ];
    for (args, code) in [
        (&explained[..], 1),
        (&["check"], 0),
        (&["check", "--output", "json"], 0),
        (&["certificate", "add", OFFICIAL, REAL_CERTIFICATE], 0),
        (&["certificate", "list"], 0),
        (&["logs", "verify", "--listen", &address], 0),
        (
            &["logs", "verify", "--output", "json", "--listen", &address],
            0,
        ),
        (&["logs", "recover", "--dry-run", "--listen", &address], 0),
        (
            &["logs", "recover", "--dry-run", "--listen", "127.0.0.1:1"],
            0,
        ),
        (&["--help"], 0),
        (&["logs", "--help"], 0),
        (&["--version"], 0),
    ] {
        assert_quiet(dir, args, code);
    }
    // Errors are still reported.
    let (code, told) = unread(program().current_dir(dir).args(["explain", "none.http"]));
    assert!(
        code == 1 && told.contains("cannot read none.http"),
        "{code} {told}"
    );
}

#[test]
fn commands_that_act_do_all_of_their_work() {
    let dir = tempfile::tempdir().unwrap();
    let topics = "<Topics><Topic><TopicURL>http://a/topics/T1</TopicURL></Topic></Topics>";
    let message = published();
    for (args, answers) in [
        (vec!["topic", "create"], vec![("201 Created", "")]),
        (vec!["topic", "list"], vec![("200 OK", topics)]),
        (
            vec!["topic", "list", "--output", "json"],
            vec![("200 OK", topics)],
        ),
        (vec!["topic", "delete"], vec![("204 No Content", "")]),
        (vec!["publish"], vec![("201 Created", message.as_str()); 3]),
        (
            vec!["publish", "--count", "5", "--output", "json"],
            vec![("201 Created", message.as_str()); 5],
        ),
    ] {
        let host = ApiHost::start(&answers);
        let mut command = program();
        command
            .args(&args)
            .env("MNS_ACCOUNT_ENDPOINT", format!("http://{}", host.address));
        command
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
        assert_eq!(unread(&mut command), (0, String::new()), "{args:?}");
        assert_eq!(host.requests().len(), answers.len(), "{args:?}");
    }
    let bench = Bench::with(|options| options);
    let pem = dir.path().join("key.pem");
    std::fs::write(&pem, key(512).to_key_pem().unwrap()).unwrap();
    let (url, address) = (
        format!("http://{}/notifications", bench.endpoint.address),
        bench.host.url("push.pem"),
    );
    let push = [
        "push",
        &url,
        "--count",
        "7",
        "--key",
        pem.to_str().unwrap(),
        "--cert-url",
        &address,
    ];
    assert_quiet(dir.path(), &push, 0);
    assert_eq!(bench.endpoint.access_log().matches("\"201\"").count(), 7);
    assert_eq!(
        unread(
            program()
                .current_dir(dir.path())
                .args(["demo", "--count", "1"])
        )
        .0,
        0
    );
}

#[test]
fn an_emulator_whose_reader_has_left_serves_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = program();
    command
        .args(["emulator", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let line = lines.find(|line| line.contains("Listening")).unwrap();
    let address: SocketAddr = line.split("bound=").nth(1).unwrap().trim().parse().unwrap();
    let status = || {
        crate::support::exchange(address, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").status
    };
    eventually("it serves", || (status() == 200).then_some(()));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn head_takes_the_first_line_and_nobody_complains() {
    let dir = tempfile::tempdir().unwrap();
    let wire = Draft::new(ContentFormat::Xml, "m", "http://127.0.0.1:1/x.pem").wire();
    std::fs::write(dir.path().join("request.http"), wire).unwrap();
    let line = "\"$1\" explain request.http --set logs.dir=x | head -n 1";
    let mut shell = Command::new("/bin/sh");
    shell
        .current_dir(dir.path())
        .args(["-c", line, "sh", env!("CARGO_BIN_EXE_mns-endpoint")]);
    let output = shell.env("TZ", "UTC").output().unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(
        told.starts_with("Request: POST /notifications") && told.lines().count() == 1,
        "{told}"
    );
}
