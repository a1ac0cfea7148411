//! `check`: every finding with its level, and no side effects.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mns_endpoint::mns::ContentFormat;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::support::{Draft, Ended, Endpoint, Identity, Options, finish, key, program, run};

fn check(dir: &Path, set: &[&str]) -> Ended {
    let flags = set.iter().flat_map(|pair| ["--set", pair]);
    run(dir, &["check"].into_iter().chain(flags).collect::<Vec<_>>())
}

#[track_caller]
fn assert_line(ended: &Ended, code: i32, line: &str) {
    assert_eq!(ended.code, code, "{ended:#?}");
    assert!(
        ended.stdout.lines().any(|found| found.contains(line)),
        "{line:?} is not in {}",
        ended.stdout
    );
}

/// A good configuration. Each test adds the setting to be found.
const GOOD: [&str; 2] = [
    "server.public_url=http://mns.example.com/notifications",
    "accept.topic_owners=1",
];

#[test]
fn a_good_configuration_has_no_findings_but_notes_and_leaves_nothing() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let ended = check(dir.path(), &GOOD);
    assert_line(
        &ended,
        0,
        "note     server.public_url: the address for a subscription is http://mns.example.com/",
    );
    let summary = "built-in defaults: 0 errors, ";
    assert!(
        ended.stdout.lines().last().unwrap().starts_with(summary),
        "{}",
        ended.stdout
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn each_finding_is_reported_with_its_level_and_key() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let cases: [(&str, i32, &str); 11] = [
        (
            "server.trusted_proxies=0.0.0.0/0",
            0,
            "warning  server.trusted_proxies: it contains every address",
        ),
        (
            "accept.sources=10.0.0.0/8",
            0,
            "warning  accept.sources: compared with the peer",
        ),
        (
            "server.public_url=",
            0,
            "is private, and MNS cannot reach it",
        ),
        (
            "server.max_connections=100000000",
            0,
            "warning  server.max_connections: 100000000 are more than the limit",
        ),
        (
            "server.drain_delay=10s",
            0,
            "note     server.drain: a stop may take 18s",
        ),
        (
            "signing.certificate_prefixes=http://a.example/",
            0,
            "warning  signing.certificate_prefixes: certificates whose address begins with",
        ),
        (
            "signing.require_content_md5=false",
            0,
            "warning  signing.require_content_md5: ",
        ),
        ("signing.max_age=off", 0, "warning  signing.max_age: "),
        (
            "accept.topic_owners=",
            0,
            "warning  accept.topic_owners: empty",
        ),
        (
            "signing.certificate_dir=file/x",
            0,
            "warning  signing.certificate_dir: certificates cannot be cached in file/x",
        ),
        (
            "logs.dir=file",
            78,
            "error    logs.dir: file cannot be written: not a directory; mend it with: ",
        ),
    ];
    let good = check(
        dir.path(),
        &[&GOOD[..], &["server.listen=127.0.0.1:8080"]].concat(),
    );
    for (set, code, line) in cases {
        assert!(!good.stdout.contains(line), "{line}");
        assert_line(
            &check(
                dir.path(),
                &[&GOOD[..], &["server.listen=127.0.0.1:8080", set]].concat(),
            ),
            code,
            line,
        );
    }
    let memory = format!(
        "logs.dir={}",
        tempfile::tempdir_in("/dev/shm").unwrap().path().display()
    );
    assert_line(
        &check(dir.path(), &[&memory]),
        0,
        "warning  logs.dir: /dev/shm/",
    );
    assert_line(
        &check(dir.path(), &["server.liste=x"]),
        78,
        "error    configuration: server.liste: there is no such key",
    );
    let mut zone = program();
    zone.current_dir(dir.path())
        .arg("check")
        .env("TZ", "Mars/Olympus");
    assert_line(
        &finish(&mut zone, b""),
        78,
        "error    TZ: TZ = \"Mars/Olympus\"",
    );
}

#[test]
fn the_expiry_of_the_tls_certificate_is_reported_in_days() {
    let dir = tempfile::tempdir().unwrap();
    let tls = [
        "server.tls.certificate=server.pem",
        "server.tls.private_key=server.key",
    ];
    let write = |year: i32| {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        fs::write(
            dir.path().join("server.pem"),
            params.self_signed(&key).unwrap().pem(),
        )
        .unwrap();
        fs::write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
    };
    assert_line(
        &check(dir.path(), &tls),
        78,
        "error    server.tls.certificate: server.tls.certificate = \"server.pem\"",
    );
    write(2020);
    let ended = check(dir.path(), &tls);
    assert_line(
        &ended,
        78,
        "error    server.tls.certificate: server.pem expired ",
    );
    write(4000);
    let ended = check(dir.path(), &tls);
    assert_line(
        &ended,
        0,
        "note     server.tls.certificate: server.pem expires in ",
    );
    fs::write(dir.path().join("server.key"), Identity::new().key_pem).unwrap();
    assert_line(
        &check(dir.path(), &tls),
        78,
        "cannot be used with server.tls.private_key",
    );
}

#[test]
fn json_has_the_same_findings() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(
        dir.path(),
        &["check", "--output", "json", "--set", "accept.topic_owners="],
    );
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["configuration"], "built-in defaults");
    let findings = found["findings"].as_array().unwrap();
    let owners = findings
        .iter()
        .find(|finding| finding["key"] == "accept.topic_owners")
        .unwrap();
    assert_eq!(owners["level"], "warning");
}

#[test]
fn problems_that_serve_would_meet_are_found_before() {
    let dir = tempfile::tempdir().unwrap();
    Identity::new().write(dir.path());
    let tls = [
        "server.tls.certificate=server.pem",
        "server.tls.private_key=server.key",
    ];
    let base = [&GOOD[..], &["server.listen=127.0.0.1:8080"]].concat();
    let cases: &[(&[&str], &str)] = &[
        (&["logs.low_water=9PiB"], "warning  logs.low_water: "),
        (
            &["logs.commit_log=9PiB"],
            "warning  logs.commit_log: 9.0 PiB is more than a sixteenth of the ",
        ),
        (
            &["server.body_timeout=4s"],
            "warning  server.body_timeout: 4s is more than the 3s",
        ),
        (&["server.max_body=17MiB"], "warning  server.max_body: "),
        (
            &tls,
            "warning  server.public_url: http://mns.example.com/notifications begins with http, \
             and server.tls is on",
        ),
        (
            &["server.public_url=https://mns.example.com"],
            "note     server.public_url: it begins with https, and server.tls is off",
        ),
        (
            &["server.health_path="],
            "warning  server.health_path: admin.listen is off too",
        ),
    ];
    let good = check(dir.path(), &base).stdout;
    for (set, line) in cases {
        assert!(!good.contains(line), "{line}");
        assert_line(&check(dir.path(), &[&base[..], set].concat()), 0, line);
    }
    // Exactly at the limit nothing is found.
    let bounds = [
        "server.body_timeout=3s",
        "server.max_body=16MiB",
        "logs.low_water=0",
    ];
    // An unused commit log needs no space.
    let unused = ["logs.commit_log=9PiB", "logs.sync=os"];
    for set in [&bounds[..], &unused, &["logs.commit_log=off"]] {
        let found = check(dir.path(), &[&base[..], set].concat());
        assert_eq!(found.stdout, good, "{set:?}");
    }
}

#[test]
fn an_address_that_only_this_machine_or_its_network_knows_is_distinguished_from_a_public_one() {
    let dir = tempfile::tempdir().unwrap();
    for host in [
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "a.localhost",
        "127.0.0.1:8080",
        "10.0.0.5",
        "100.64.0.1",
        "198.18.0.1",
        "[::1]:8080",
        "[fd00::1]",
        "[2001:db8::1]",
        "[::ffff:192.168.0.1]:80",
        "myhost",
        "mns-endpoint.default.svc.cluster.local",
        "nas.local",
        "host.docker.internal",
        "mns.home.arpa",
        "mns.lan",
        "mns.test",
        "mns.invalid",
    ] {
        let url = format!("http://{host}/notifications");
        let set = format!("server.public_url={url}");
        let line = format!("warning  server.public_url: {url} is private, and MNS cannot reach it");
        assert_line(&check(dir.path(), &[&set]), 0, &line);
    }
    for host in [
        "mns.example.com",
        "8.8.8.8:8080",
        "[2606:4700::1]",
        "a.locale.example",
        "mns.internal.example.com",
    ] {
        let url = format!("http://{host}/notifications");
        let set = format!("server.public_url={url}");
        let line = format!("note     server.public_url: the address for a subscription is {url}");
        assert_line(&check(dir.path(), &[&set]), 0, &line);
    }
    let options =
        Options::default().set("server.public_url", "http://127.0.0.1:8080/notifications");
    let endpoint = Endpoint::start(&options);
    let (printed, _dir) = endpoint.stop();
    assert!(
        printed.contains("This address is private: MNS cannot reach it."),
        "{printed}"
    );
}

fn check_with(dir: &Path, environment: &[(&str, &str)]) -> Ended {
    let set = GOOD.iter().flat_map(|pair| ["--set", pair]);
    let mut command = program();
    command
        .current_dir(dir)
        .arg("check")
        .args(set)
        .args(["--listen", "127.0.0.1:8080"]);
    finish(command.envs(environment.iter().copied()), b"")
}

#[test]
fn a_variable_with_one_underscore_too_few_is_named_and_those_of_kubernetes_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let good = check_with(dir.path(), &[]).stdout;
    let kubernetes = [
        ("MNS_ENDPOINT_PORT", "tcp://10.0.0.1:8080"),
        ("MNS_ENDPOINT_SERVICE_HOST", "10.0.0.1"),
        ("MNS_ENDPOINT_SERVICE_PORT", "8080"),
        ("MNS_ENDPOINT_SERVICE_PORT_HTTP", "8080"),
        ("MNS_ENDPOINT_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("MNS_ENDPOINT_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("MNS_ENDPOINT_PORT_8080_TCP_PORT", "8080"),
        ("MNS_ENDPOINT_PORT_8080_TCP_PROTO", "tcp"),
        ("MNS_ENDPOINT_ADMIN_SERVICE_HOST", "10.0.0.1"),
        ("MNS_ENDPOINT_ADMIN_PORT", "tcp://10.0.0.1:9080"),
        ("MNS_ENDPOINT_SERVER_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("MNS_ENDPOINT_SDK_CONFIG", "sample.cfg"),
        ("SERVER_LISTEN", "0.0.0.0:80"),
    ];
    assert_eq!(check_with(dir.path(), &kubernetes).stdout, good);
    for (name, meant) in [
        ("MNS_ENDPOINT_SERVER_LISTEN", "MNS_ENDPOINT_SERVER__LISTEN"),
        (
            "MNS_ENDPOINT_ACCEPT_TOPIC_OWNERS",
            "MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS",
        ),
        (
            "MNS_ENDPOINT_SERVER_TLS_CERTIFICATE",
            "MNS_ENDPOINT_SERVER__TLS__CERTIFICATE",
        ),
        (
            "MNS_ENDPOINT_SIGNING_FETCH_VIA",
            "MNS_ENDPOINT_SIGNING__FETCH_VIA",
        ),
        ("mns_endpoint_server_listen", "MNS_ENDPOINT_SERVER__LISTEN"),
        ("mns_endpoint_server__listen", "MNS_ENDPOINT_SERVER__LISTEN"),
    ] {
        let found = check_with(dir.path(), &[(name, "x")]);
        assert_line(
            &found,
            0,
            &format!("warning  environment: {name} is not read: write {meant}"),
        );
        let endpoint = Endpoint::start(&Options::default().env(name, "x"));
        endpoint.assert_tells(meant);
    }
}

#[test]
fn counts_and_sources_are_named_correctly() {
    let dir = tempfile::tempdir().unwrap();
    let last = |ended: &Ended| ended.stdout.lines().last().unwrap().to_owned();
    for file in ["none.toml", "."] {
        let ended = run(dir.path(), &["check", "--config", file]);
        assert_line(
            &ended,
            78,
            &format!("error    configuration: cannot read the configuration {file}: "),
        );
        assert_eq!(last(&ended), format!("{file}: 1 error, 0 warnings"));
    }
    fs::write(dir.path().join("wrong.toml"), "[server]\nliste = 1\n").unwrap();
    assert_eq!(
        last(&run(dir.path(), &["check", "--config", "wrong.toml"])),
        "wrong.toml: 1 error, 0 warnings"
    );
    let json = run(
        dir.path(),
        &["check", "--config", "wrong.toml", "--output", "json"],
    );
    let found: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(found["configuration"], "wrong.toml");
    let base = ["server.listen=127.0.0.1:8080", "logs.low_water=0", GOOD[0]];
    let one = last(&check(dir.path(), &base));
    assert_eq!(one, "built-in defaults: 0 errors, 1 warning");
    let two = check(
        dir.path(),
        &[&base[..], &["logs.dir=wrong.toml", "signing.max_age=off"]].concat(),
    );
    assert_eq!(last(&two), "built-in defaults: 1 error, 2 warnings");
}

#[test]
fn an_unserved_path_of_a_subscription_is_found_in_the_access_log() {
    for format in ["text", "json"] {
        let endpoint = Endpoint::start(&Options::default().set("logs.format", format));
        let draft = Draft::new(ContentFormat::Xml, "m", "https://a.example/a.pem").sign(&key(512));
        for target in ["/mns", "/mns?x=1", "/mns"] {
            assert_eq!(
                endpoint.exchange(&draft.clone().to(target).wire()).status,
                404
            );
        }
        // A stranger's scan does not count as MNS's, and paths that are served are not reported.
        assert_eq!(
            endpoint
                .exchange(b"POST /scan HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                .status,
            404
        );
        assert_eq!(endpoint.exchange(&draft.wire()).status, 403);
        let listen = format!("server.listen={}", endpoint.address);
        let (_printed, dir) = endpoint.stop();
        let found = check(dir.path(), &[&listen]);
        assert_line(
            &found,
            0,
            "warning  server.paths: requests with x-mns headers came for /mns, which is not \
             served: 3, the last on ",
        );
        for absent in ["/scan", "came for /notifications"] {
            assert!(!found.stdout.contains(absent), "{}", found.stdout);
        }
        let served = check(dir.path(), &[&listen, "server.paths=/notifications,/mns"]);
        assert!(
            !served.stdout.contains("warning  server.paths"),
            "{}",
            served.stdout
        );
    }
}

#[test]
fn without_an_admin_listener_health_uses_the_port_of_serve_with_tls() {
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
        let files = [
            "server.tls.certificate=server.pem",
            "server.tls.private_key=server.key",
        ];
        let set = files.iter().flat_map(|pair| ["--set", pair]);
        let args = ["health", "--listen", listen];
        run(
            endpoint.path(),
            &args.into_iter().chain(set).collect::<Vec<_>>(),
        )
    };
    let port = endpoint.address.port();
    // Whatever name the certificate is for, and although no root signed it.
    let listen = format!("127.0.0.1:{port}");
    health(&endpoint, &listen).assert(0, &format!("healthy: https://{listen}/healthz"));
    health(&endpoint, &format!("[::]:{port}"))
        .assert(0, &format!("healthy: https://{listen}/healthz"));
    // The configuration does not contain --self-signed.
    let unaware = run(endpoint.path(), &["health", "--listen", &listen]);
    unaware.assert(0, &format!("healthy: https://{listen}/healthz"));
    let plain = Endpoint::start(&Options::default());
    let ended = health(&endpoint, &plain.address.to_string());
    ended.assert(1, "no answer from https://");
    assert_eq!(endpoint.ended(), None);
}

/// A serve that a test starts with additional flags. Killed when dropped.
struct Started {
    child: Child,
    lines: Vec<String>,
}

impl Started {
    /// Reads what the start prints, up to the line of the secret path.
    fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
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
        found
            .unwrap_or_else(|| panic!("{start:?} is not in {:?}", self.lines))
            .to_owned()
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
    fs::write(
        dir.path().join("it's a.toml"),
        "[server]\nsecret_path_file = \"no such/path\"\n",
    )
    .unwrap();
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
    serve.args([
        "--set",
        "server.secret_path_file=it's path",
        "--set",
        "server.health_path=/h$HOME",
    ]);
    serve.args(["--set", "signing.proxy=http://user:hidden@127.0.0.1:1"]);
    let started = Started::of(&mut serve);
    let hint = started.line("Its path is secret: to print it whole, run: ");
    assert!(
        hint.starts_with("mns-endpoint check --show-address "),
        "{hint}"
    );
    assert!(!hint.contains("hidden"), "the password of a proxy: {hint}");
    let shell = hint.replacen("mns-endpoint", "\"$0\"", 1);
    let mut command = Command::new("/bin/sh");
    command.env_clear().current_dir(dir.path()).args([
        "-c",
        &shell,
        env!("CARGO_BIN_EXE_mns-endpoint"),
    ]);
    let ended = finish(&mut command, b"");
    assert_eq!(ended.code, 0, "{hint}: {ended:?}");
    let segment = fs::read_to_string(dir.path().join("it's path")).unwrap();
    let address = started
        .line("Start Endpoint! Address: ")
        .replace("***", segment.trim());
    assert_eq!(ended.stdout.trim_end(), address);
    assert!(
        ended.stderr.contains("Configuration: it's a.toml"),
        "{}",
        ended.stderr
    );
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
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "http://a.example.com\n")
    );
    for told in [
        "Configuration: built-in defaults",
        "MNS_ENDPOINT_SERVER__MAX_BODY",
        "--set server.public_url",
    ] {
        assert!(
            ended.stderr.contains(told),
            "{told:?} is not in {}",
            ended.stderr
        );
    }
}
