//! `check`: every finding with its level, and nothing left behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::support::{Ended, Endpoint, Identity, Options, finish, program, run};

fn check(dir: &Path, set: &[&str]) -> Ended {
    let flags = set.iter().flat_map(|pair| ["--set", pair]);
    run(dir, &["check"].into_iter().chain(flags).collect::<Vec<_>>())
}

#[track_caller]
fn assert_line(ended: &Ended, code: i32, line: &str) {
    assert_eq!(ended.code, code, "{ended:#?}");
    assert!(ended.stdout.lines().any(|found| found.contains(line)), "{line:?} is not in {}", ended.stdout);
}

/// A good configuration: what is set on top of it is what is found.
const GOOD: [&str; 2] = ["server.public_url=http://mns.example.com/notifications", "accept.topic_owners=1"];

#[test]
fn a_good_configuration_has_no_findings_but_notes_and_leaves_nothing() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let ended = check(dir.path(), &GOOD);
    assert_line(&ended, 0, "note     server.public_url: the address for a subscription is http://mns.example.com/");
    let summary = "built-in defaults: 0 errors, ";
    assert!(ended.stdout.lines().last().unwrap().starts_with(summary), "{}", ended.stdout);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn each_finding_is_told_with_its_level_and_key() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let cases: [(&str, i32, &str); 11] = [
        ("server.trusted_proxies=0.0.0.0/0", 0, "warning  server.trusted_proxies: it holds every address"),
        ("accept.sources=10.0.0.0/8", 0, "warning  accept.sources: compared with the other end"),
        ("server.public_url=", 0, "is private, and MNS cannot reach it"),
        ("server.max_connections=100000000", 0, "warning  server.max_connections: 100000000 are more than the limit"),
        ("server.drain_delay=10s", 0, "note     server.drain: a stop may take 18s"),
        (
            "signing.certificate_prefixes=http://a.example/",
            0,
            "warning  signing.certificate_prefixes: http://a.example/",
        ),
        ("signing.require_content_md5=false", 0, "warning  signing.require_content_md5: "),
        ("signing.max_age=off", 0, "warning  signing.max_age: "),
        ("accept.topic_owners=", 0, "warning  accept.topic_owners: empty"),
        (
            "signing.certificate_dir=file/x",
            0,
            "warning  signing.certificate_dir: certificates cannot be kept in file/x",
        ),
        ("logs.dir=file", 78, "error    logs.dir: file cannot be written: not a directory; mend it with: "),
    ];
    let good = check(dir.path(), &[&GOOD[..], &["server.listen=127.0.0.1:8080"]].concat());
    for (set, code, line) in cases {
        assert!(!good.stdout.contains(line), "{line}");
        assert_line(&check(dir.path(), &[&GOOD[..], &["server.listen=127.0.0.1:8080", set]].concat()), code, line);
    }
    let memory = format!("logs.dir={}", tempfile::tempdir_in("/dev/shm").unwrap().path().display());
    assert_line(&check(dir.path(), &[&memory]), 0, "warning  logs.dir: /dev/shm/");
    assert_line(
        &check(dir.path(), &["server.liste=x"]),
        78,
        "error    configuration: server.liste: there is no such key",
    );
    let mut zone = program();
    zone.current_dir(dir.path()).arg("check").env("TZ", "Mars/Olympus");
    assert_line(&finish(&mut zone, b""), 78, "error    TZ: TZ = \"Mars/Olympus\"");
}

#[test]
fn the_end_of_the_tls_certificate_is_told_in_days() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ["server.tls.certificate=server.pem", "server.tls.private_key=server.key"];
    let write = |year: i32| {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        fs::write(dir.path().join("server.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
    };
    assert_line(
        &check(dir.path(), &tls),
        78,
        "error    server.tls.certificate: server.tls.certificate = \"server.pem\"",
    );
    write(2020);
    let ended = check(dir.path(), &tls);
    assert_line(&ended, 78, "error    server.tls.certificate: server.pem ended ");
    write(4000);
    let ended = check(dir.path(), &tls);
    assert_line(&ended, 0, "note     server.tls.certificate: server.pem ends in ");
    fs::write(dir.path().join("server.key"), Identity::new().key_pem).unwrap();
    assert_line(&check(dir.path(), &tls), 78, "cannot be used with server.tls.private_key");
}

#[test]
fn json_has_the_same_findings() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(dir.path(), &["check", "--output", "json", "--set", "accept.topic_owners="]);
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["configuration"], "built-in defaults");
    let findings = found["findings"].as_array().unwrap();
    let owners = findings.iter().find(|finding| finding["key"] == "accept.topic_owners").unwrap();
    assert_eq!(owners["level"], "warning");
}

#[test]
fn health_asks_the_own_port_under_tls_where_the_admin_listener_is_off() {
    let (dir, identity) = (tempfile::tempdir().unwrap(), Identity::new());
    identity.write(dir.path());
    let options = |listen: &str| {
        Options::default()
            .set("server.tls.certificate", "server.pem")
            .set("server.tls.private_key", "server.key")
            .set("server.listen", listen)
    };
    let mut endpoint = Endpoint::start_in(dir, &options("127.0.0.1:0"));
    let health = |endpoint: &Endpoint, listen: &str| {
        let files = ["server.tls.certificate=server.pem", "server.tls.private_key=server.key"];
        let set = files.iter().flat_map(|pair| ["--set", pair]);
        let args = ["health", "--listen", listen];
        run(endpoint.path(), &args.into_iter().chain(set).collect::<Vec<_>>())
    };
    let port = endpoint.address.port();
    // Under whatever name the certificate is, and though no root signed it.
    let listen = format!("127.0.0.1:{port}");
    health(&endpoint, &listen).assert(0, &format!("healthy: https://{listen}/healthz"));
    health(&endpoint, &format!("[::]:{port}")).assert(0, &format!("healthy: https://{listen}/healthz"));
    // Not TLS, no answer.
    let ended = run(endpoint.path(), &["health", "--listen", &listen]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let plain = Endpoint::start(&Options::default());
    let ended = health(&endpoint, &plain.address.to_string());
    ended.assert(1, "no answer from https://");
    assert_eq!(endpoint.ended(), None);
}

/// A serve that a test starts with flags of its own. Killed when dropped.
struct Started {
    child: Child,
    lines: Vec<String>,
}

impl Started {
    /// Reads what the start prints, up to the line of the secret path.
    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap().contains("secret") {
                break;
            }
        }
        Self { child, lines }
    }

    fn line(&self, start: &str) -> String {
        let found = self.lines.iter().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("{start:?} is not in {:?}", self.lines)).to_owned()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_command_that_prints_the_secret_address_has_the_flags_of_serve() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("it's a.toml"), "[server]\nsecret_path_file = \"no such/path\"\n").unwrap();
    let mut serve = program();
    serve.current_dir(dir.path()).args([
        "serve",
        "--config",
        "it's a.toml",
        "--listen",
        "127.0.0.1:0",
        "--log-dir",
        "logs",
    ]);
    serve.args(["--set", "server.secret_path_file=it's path", "--set", "server.health_path=/h$HOME"]);
    let started = Started::of(&mut serve);
    let hint = started.line("Its path is secret: to print it whole, run: ");
    assert!(hint.starts_with("mns-endpoint check --show-address "), "{hint}");
    let shell = hint.replacen("mns-endpoint", "\"$0\"", 1);
    let mut command = Command::new("/bin/sh");
    command.env_clear().current_dir(dir.path()).args(["-c", &shell, env!("CARGO_BIN_EXE_mns-endpoint")]);
    let ended = finish(&mut command, b"");
    assert_eq!(ended.code, 0, "{hint}: {ended:?}");
    let segment = fs::read_to_string(dir.path().join("it's path")).unwrap();
    let address = started.line("Start Endpoint! Address: ").replace("***", segment.trim());
    assert_eq!(ended.stdout.trim_end(), address);
    assert!(ended.stderr.contains("Configuration: it's a.toml"), "{}", ended.stderr);
}

#[test]
fn show_address_says_which_configuration_it_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program();
    command.current_dir(dir.path()).args([
        "check",
        "--show-address",
        "--set",
        "server.public_url=http://a.example.com",
    ]);
    let ended = finish(command.env("MNS_ENDPOINT_SERVER__MAX_BODY", "1MiB"), b"");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "http://a.example.com\n"));
    for told in ["Configuration: built-in defaults", "MNS_ENDPOINT_SERVER__MAX_BODY", "--set server.public_url"] {
        assert!(ended.stderr.contains(told), "{told:?} is not in {}", ended.stderr);
    }
}
