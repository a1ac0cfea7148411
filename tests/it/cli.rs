//! Behaviour that all commands share, and serve, certificate and health as a terminal shows them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use mns_endpoint::mns::ContentFormat;

use crate::support::{
    CertificateHost, Draft, Endpoint, Mode, Options, attribute, eventually, finish, free_port, key,
    program, records, run,
};

/// The address of the real certificate, which only these tests use.
const OFFICIAL: &str = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem";
/// The official host, mapped to an address of this machine where nobody listens.
const NOWHERE: &str = r#"{ "mnstest.oss-cn-hangzhou.aliyuncs.com" = "127.0.0.1:1" }"#;
const REAL_CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/mns-2015.pem");

/// The commands below `path`, as its help lists them.
pub fn commands_of(path: &[String]) -> Vec<Vec<String>> {
    let help = finish(program().args(path).arg("--help"), b"").stdout;
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let names = list
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap());
    names
        .filter(|name| *name != "help")
        .map(|name| [path, &[name.to_owned()]].concat())
        .collect()
}

#[test]
fn every_command_has_help_with_examples_that_the_program_understands() {
    let mut known = vec![Vec::new()];
    let mut next = 0;
    while next < known.len() {
        let below = commands_of(&known[next]);
        known.extend(below);
        next += 1;
    }
    assert!(known.len() >= 8, "{known:?}");
    for path in known {
        let help = finish(program().args(&path).arg("--help"), b"");
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        let (_, examples) = help
            .stdout
            .split_once("\nExample")
            .unwrap_or_else(|| panic!("{path:?} has no example"));
        let examples = examples.replace("\\\n", "");
        let examples: Vec<&str> = examples
            .lines()
            .filter_map(|line| line.trim().strip_prefix("mns-endpoint "))
            .collect();
        assert!(!examples.is_empty(), "{path:?}: {}", help.stdout);
        for example in examples {
            // A pipe or a redirection belongs to the shell.
            assert!(!example.contains('('), "a shell cannot run it: {example}");
            let words = example.split("    #").next().unwrap();
            let words = words.split(['|', '>']).next().unwrap().replace('\'', "");
            // Parse errors are reported before the `--help` at the end takes effect.
            let parsed = finish(program().args(words.split_whitespace()).arg("--help"), b"");
            assert_eq!(parsed.code, 0, "{example}: {}", parsed.stderr);
        }
    }
    let version = run(Path::new("."), &["--version"]);
    assert_eq!(
        (version.code, version.stdout),
        (0, format!("mns-endpoint {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    let url = "http://127.0.0.1:1";
    let cases: [(&[&str], &str); 20] = [
        (&[], "Usage: mns-endpoint <COMMAND>"),
        (&["server"], "a similar subcommand exists: 'serve'"),
        (
            &["serve", "127.0.0.1:8080"],
            "unexpected argument '127.0.0.1:8080'",
        ),
        (
            &["serve", "--set", "server.listen"],
            "write KEY=VALUE, as in server.max_body=1MiB",
        ),
        (&["push"], "<URL>"),
        (&["push", ""], "write http://HOST[:PORT][/PATH]"),
        (
            &["push", "127.0.0.1:8080"],
            "write http://HOST[:PORT][/PATH]",
        ),
        (
            &["push", "http://127.0.0.1:80800"],
            "write http://HOST[:PORT][/PATH]",
        ),
        (&["push", url, "--count", "0"], "0 is not in 1.."),
        (&["push", url, "--concurrency", "0"], "0 is not in 1..=4096"),
        (&["push", url, "--bits", "256"], "256 is not in 512..=8192"),
        (
            &["push", url, "--format", "yaml"],
            "[possible values: xml, json, simplified]",
        ),
        (
            &["push", url, "--body", "a", "--body-file", "b"],
            "cannot be used with",
        ),
        (
            &["push", url, "--capture", "a", "--body", "b"],
            "cannot be used with",
        ),
        (
            &["push", url, "--cert-listen", "9001"],
            "write an address and a port, as in 127.0.0.1:9001",
        ),
        (
            &["push", url, "--cert-listen", "0.0.0.0:9001"],
            "give one that it can reach",
        ),
        (
            &["explain", "a", "--at", "yesterday"],
            "write a time in UTC, as in 2023-03-29T08:41:30Z",
        ),
        (
            &["explain", "a", "--path-prefix", "hooks"],
            "a path begins with /",
        ),
        (
            &["certificate", "add", REAL_CERTIFICATE, OFFICIAL],
            "write the address as https://HOST/FILE, ",
        ),
        (&["health", "http://127.0.0.1:8080"], "unexpected argument"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (args, told) in cases {
        run(dir.path(), args).assert(2, told);
    }
}

#[test]
fn a_wrong_configuration_ends_with_78_and_names_the_key() {
    let cases: [(&str, &str, &str); 16] = [
        (
            "server.head_timeout",
            "5",
            "server.head_timeout: \"5\" is not a duration such as 5s",
        ),
        (
            "server.liste",
            "x",
            "server.liste: there is no such key; did you mean listen? possible here: listen, paths",
        ),
        (
            "server.listen",
            "8080",
            "server.listen = \"8080\": write an address and a port",
        ),
        (
            "server.listen",
            "0.0.0.0:8080,[::]:8080",
            "[::] takes IPv4 as well",
        ),
        (
            "server.public_url",
            "a.example",
            "server.public_url = \"a.example\": write http://",
        ),
        (
            "signing.certificate_prefixes",
            "https://a.example",
            "with the final slash",
        ),
        (
            "signing.certificate_dir",
            "",
            "signing.certificate_dir = \"\": a directory is needed",
        ),
        (
            "signing.fetch_via",
            "{ \"https://a\" = \"b\" }",
            "signing.fetch_via = \"https://a\": write HOST",
        ),
        (
            "signing.fetch_via",
            "{ \"a\" = \"b/c\" }",
            "signing.fetch_via = \"b/c\": write HOST",
        ),
        (
            "signing.proxy",
            "proxy.example:3128",
            "signing.proxy = \"proxy.example:3128\": write http://HOST:PORT",
        ),
        ("signing.proxy", "ht tp://a", "signing.proxy"),
        (
            "accept.require_owner",
            "true",
            "accept.topic_owners is empty",
        ),
        ("logs.dir", "", "logs.dir = \"\": a directory is needed"),
        (
            "logs.mode",
            "0999",
            "logs.mode: \"0999\" is not a file mode such as \"0640\"",
        ),
        (
            "logs.mode",
            "640",
            "logs.mode: a file mode is not a number: write a text such as \"0640\"",
        ),
        (
            "logs.format",
            "xml",
            "logs.format = \"xml\": there is no such value; possible here: text, json",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (key, value, told) in cases {
        run(dir.path(), &["serve", "--set", &format!("{key}={value}")]).assert(78, told);
        let name = format!("MNS_ENDPOINT_{}", key.to_uppercase().replace('.', "__"));
        finish(
            program()
                .current_dir(dir.path())
                .arg("health")
                .env(name, value),
            b"",
        )
        .assert(78, told);
    }
    for trust in [
        "127.0.0.1:9001",
        "http://127.0.0.1:9001/x509.pem",
        "http://127.0.0.1:9001/x509.crt",
        "",
    ] {
        run(dir.path(), &["serve", "--trust", trust]).assert(78, "--trust = \"");
    }
    run(dir.path(), &["serve", "--config", "none.toml"]).assert(78, "none.toml: No such file");
    run(dir.path(), &["serve", "--config", "."]).assert(78, "Is a directory");
    finish(program().arg("serve").env("TZ", "Mars/Olympus"), b"")
        .assert(78, "TZ = \"Mars/Olympus\"");
    fs::create_dir(dir.path().join("config")).unwrap();
    for (text, told, line) in [
        (
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 4\n",
            "server.workers: there is no such key",
            "3",
        ),
        (
            "[server]\nlisten = 127.0.0.1:8080\n",
            "the configuration is not valid TOML: ",
            "2:15",
        ),
        (
            "[server]\nbody_timeout = \"3 bananas\"\n",
            "server.body_timeout: \"3 bananas\"",
            "2",
        ),
        (
            "[server]\ndrain = \"0s\"\n",
            "server.drain = \"0s\": must be greater than zero",
            "2",
        ),
    ] {
        fs::write(dir.path().join("config/endpoint.toml"), text).unwrap();
        let ended = run(dir.path(), &["serve"]);
        ended.assert(78, told);
        ended.assert(78, &format!("(in config/endpoint.toml:{line})"));
    }
}

#[test]
fn the_printed_command_fixes_a_log_directory_that_cannot_be_created() {
    for log_dir in ["logs", "it's a file/logs"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(log_dir.split('/').next().unwrap());
        fs::write(&file, "kept").unwrap();
        let ended = run(
            dir.path(),
            &["serve", "--listen", "127.0.0.1:0", "--log-dir", log_dir],
        );
        ended.assert(78, "cannot make the directory");
        let (_, command) = ended
            .stderr
            .trim_end()
            .split_once("mend it with: ")
            .unwrap();
        let status = Command::new("sh")
            .current_dir(dir.path())
            .args(["-c", &command.replace("sudo ", "")])
            .status();
        assert!(status.unwrap().success(), "{command}");
        assert!(dir.path().join(log_dir).is_dir());
        assert_eq!(
            fs::read_to_string(format!("{}.moved", file.display())).unwrap(),
            "kept"
        );
    }
}

#[test]
fn a_device_as_log_directory_is_named_and_not_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for (log_dir, kind) in [
        ("/dev/null", "/dev/null is a device"),
        ("/dev/null/logs", "/dev/null is a device"),
        ("fifo", "fifo is a FIFO"),
    ] {
        for command in ["serve", "check"] {
            let ended = run(
                dir.path(),
                &[command, "--listen", "127.0.0.1:0", "--log-dir", log_dir],
            );
            ended.assert(78, kind);
            ended.assert(78, "logs.stdout");
            assert!(!format!("{ended:?}").contains("mv "), "{ended:?}");
        }
    }
    // If a log is a symbolic link to a device, the link is moved away and not the device.
    let port = free_port();
    let log = format!("endpoint_log.{port}");
    std::os::unix::fs::symlink("/dev/null", dir.path().join(&log)).unwrap();
    let listen = format!("127.0.0.1:{port}");
    let ended = run(
        dir.path(),
        &["serve", "--listen", &listen, "--log-dir", "."],
    );
    ended.assert(78, &format!("{log}: it is a device, not a regular file. "));
    ended.assert(78, "logs.stdout");
}

#[test]
fn an_unavailable_address_ends_with_1_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(dir.path(), &["serve", "--listen", &address]);
    ended.assert(
        1,
        &format!("cannot listen on {address}: Address already in use"),
    );
    ended.assert(1, "stop what uses it, or choose another port with --listen");
    // Reserved for documentation: no machine has it.
    run(dir.path(), &["serve", "--listen", "203.0.113.7:8080"])
        .assert(1, "this machine has no such address");
    let ended = run(
        dir.path(),
        &["push", "http://127.0.0.1:1", "--cert-listen", &address],
    );
    ended.assert(1, "choose another --cert-listen: Address already in use");
}

#[test]
fn two_processes_never_write_the_same_logs() {
    let endpoint = Endpoint::start(&Options::default());
    let other = format!("127.0.0.2:{}", endpoint.address.port());
    let second = run(
        endpoint.path(),
        &["serve", "--log-dir", "logs", "--listen", &other],
    );
    second.assert(
        1,
        &format!(
            "the logs of port {} in logs are in use",
            endpoint.address.port()
        ),
    );
    second.assert(1, "give this one another logs.dir or port");
    assert_eq!(
        endpoint.exchange(b"GET /healthz HTTP/1.0\r\n\r\n").status,
        200
    );
}

#[test]
fn the_start_lines_have_the_address_the_configuration_the_zone_and_the_sync_mode() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("config")).unwrap();
    fs::write(dir.path().join("config/endpoint.toml"), "").unwrap();
    let local = Endpoint::start_in(dir, &Options::default().env("TZ", "Asia/Shanghai"));
    assert_eq!(
        local.start_lines[0],
        format!("Start Endpoint! Address: http://{}", local.address)
    );
    assert_eq!(
        local.start_lines[1],
        "Configuration: config/endpoint.toml, time zone: Asia/Shanghai, sync: always"
    );
    let (first, log_path) = (local.start_lines[0].clone(), local.log_path("endpoint_log"));
    let (rest, _dir) = local.stop();
    assert_eq!(
        records(&fs::read_to_string(log_path).unwrap())[0].text,
        first
    );
    assert_eq!(
        rest,
        "This address is private: MNS cannot reach it. Set server.public_url to the one it can \
         reach.\n"
    );
    let public = Options::default().set("server.public_url", "https://8.8.8.8:8443/notifications");
    let public = Endpoint::start(&public.set("logs.sync", "interval:250ms"));
    assert_eq!(
        public.start_lines[0],
        "Start Endpoint! Address: https://8.8.8.8:8443/notifications"
    );
    assert_eq!(
        public.start_lines[1],
        "Configuration: built-in defaults, time zone: UTC, sync: interval:250ms"
    );
    assert_eq!(public.stop().0, "");
}

#[test]
fn only_unusual_settings_cause_warnings_at_the_start() {
    const OWNERS: &str = "accept.topic_owners is empty";
    const TRUST: &str = "TRUSTING every signing certificate under this address";
    const PLAIN: &str = "Signing certificates are fetched without TLS from here";
    const KEEP: &str = "Certificates cannot be cached on disk";
    let quiet = || Options::default().set("accept.topic_owners", "1269128356620446");
    for (options, expected) in [
        (quiet(), vec![]),
        (Options::default(), vec![OWNERS]),
        (
            Options {
                trust: vec!["https://a.example".to_owned()],
                ..quiet()
            },
            vec![TRUST],
        ),
        (
            Options::trusting("http://127.0.0.1:1/"),
            vec![OWNERS, TRUST, PLAIN],
        ),
        (
            quiet().set("signing.certificate_prefixes", "http://a.example/"),
            vec![PLAIN],
        ),
        // The file of stderr, used as a directory: the start continues.
        (quiet().set("signing.certificate_dir", "stderr"), vec![KEEP]),
    ] {
        let told = Endpoint::start(&options).told();
        for warning in [OWNERS, TRUST, PLAIN, KEEP] {
            let lines = told
                .lines()
                .filter(|line| line.contains(" WARN ") && line.contains(warning))
                .count();
            assert_eq!(
                lines,
                usize::from(expected.contains(&warning)),
                "{warning:?} in {told}"
            );
        }
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    if mounts
        .lines()
        .any(|line| line.split(' ').skip(1).take(2).eq(["/dev/shm", "tmpfs"]))
    {
        let endpoint = Endpoint::start_in(tempfile::tempdir_in("/dev/shm").unwrap(), &quiet());
        let told = endpoint.told();
        assert!(
            told.contains("The log directory is not on a disk") && told.contains("medium=tmpfs"),
            "{told}"
        );
    }
}

/// Adds a certificate under the official address in `dir`.
fn add(dir: &Path, url: &str, file: &str, bits: usize) {
    let told = format!("Cached a certificate of {bits} bits for {OFFICIAL} in certs/signing/");
    run(dir, &["certificate", "add", url, file]).assert(0, &told);
}

#[test]
fn a_certificate_that_was_added_by_hand_is_used_while_its_source_is_unreachable() {
    for address in [OFFICIAL.to_owned(), OFFICIAL.replace("https://", "http://")] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ours.pem"), key(1024).certificate_pem()).unwrap();
        add(dir.path(), &address, "ours.pem", 1024);
        let endpoint =
            Endpoint::start_in(dir, &Options::default().set("signing.fetch_via", NOWHERE));
        let draft = Draft::new(ContentFormat::Xml, "by hand", &address).sign(&key(1024));
        assert_eq!(
            endpoint.exchange(&draft.wire()).status,
            201,
            "{}",
            endpoint.stderr()
        );
        assert_eq!(
            attribute(&records(&endpoint.endpoint_log()).pop().unwrap(), "Message").unwrap(),
            b"by hand"
        );
        let told = endpoint.told();
        assert!(
            told.contains("Using the signing certificate cached on disk"),
            "{told}"
        );
        assert!(!told.contains("The signing key is weak"), "{told}");
    }
}

#[test]
fn the_real_certificate_of_512_bits_loads_with_one_warning() {
    let dir = tempfile::tempdir().unwrap();
    add(dir.path(), OFFICIAL, REAL_CERTIFICATE, 512);
    let endpoint = Endpoint::start_in(dir, &Options::default().set("signing.fetch_via", NOWHERE));
    for _ in 0..3 {
        // Only MNS has the private key.
        let forged = Draft::new(ContentFormat::Xml, "m", OFFICIAL).sign(&key(512));
        assert!([403, 503].contains(&endpoint.exchange(&forged.wire()).status));
    }
    let told = endpoint.told();
    let weak: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("The signing key is weak"))
        .collect();
    assert!(
        weak.len() == 1 && weak[0].contains("key_bits=512 not_after=2016-07-01"),
        "{told}"
    );
}

#[test]
fn certificates_are_listed_with_their_size_and_validity_and_garbage_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let list = |code, told: &str| run(dir.path(), &["certificate", "list"]).assert(code, told);
    list(0, "No certificates are cached in certs/signing");
    fs::write(dir.path().join("garbage.pem"), "<html>404</html>").unwrap();
    for (file, told) in [
        (
            "garbage.pem",
            "cannot use garbage.pem: it is not an X.509 certificate in PEM or DER",
        ),
        ("none.pem", "cannot read none.pem: No such file"),
        (".", "cannot read .: Is a directory"),
    ] {
        run(dir.path(), &["certificate", "add", OFFICIAL, file]).assert(1, told);
    }
    list(0, "No certificates are cached");
    add(dir.path(), OFFICIAL, REAL_CERTIFICATE, 512);
    let line = "mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem  RSA 512 bits, \
        valid until 2016-07-01";
    list(0, line);
    let foreign = [
        "certificate",
        "add",
        "https://a.example/x.pem",
        REAL_CERTIFICATE,
    ];
    run(dir.path(), &foreign).assert(0, "add its prefix to signing.certificate_prefixes");
    fs::write(dir.path().join("certs/signing/a.example/x.pem"), "cut").unwrap();
    list(1, "a.example/x.pem  UNUSABLE");
    list(1, line);
    let blocked = run(
        dir.path(),
        &[
            &foreign[..],
            &["--set", "signing.certificate_dir=garbage.pem"],
        ]
        .concat(),
    );
    blocked.assert(78, "signing.certificate_dir: cannot make the directory");
    blocked.assert(78, "mend it with: ");
}

#[test]
fn health_recognises_a_healthy_endpoint_no_endpoint_and_another_server() {
    let endpoint = Endpoint::start(&Options::default());
    let address = endpoint.address.to_string();
    let health = |args: &[&str]| run(endpoint.path(), &[&["health"], args].concat());
    health(&["--listen", &address]).assert(0, &format!("healthy: http://{address}/healthz"));
    let any = format!("server.listen=0.0.0.0:{}", endpoint.address.port());
    health(&["--set", &any]).assert(0, "healthy: http://127.0.0.1:");
    health(&["--listen", &address, "--set", "server.health_path=/other"]).assert(1, "answered 404");
    health(&["--set", "server.health_path="]).assert(1, "server.health_path are off");
    health(&["--listen", "127.0.0.1:1"]).assert(
        1,
        "Connection refused (os error 111); is serve running there?",
    );
    let other = CertificateHost::start(Mode::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()));
    health(&["--listen", &other.address.to_string()]).assert(1, "is serve running there?");
}

#[test]
fn the_diagnostic_file_is_daily_and_has_no_line_for_a_request() {
    let host = CertificateHost::serving(&key(512));
    let options = Options {
        trust: vec![host.prefix()],
        ..Options::listing(&host.prefix())
    };
    let endpoint = Endpoint::start(&options.set("logs.diagnostics", "true"));
    let push = || {
        Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"))
            .sign(&key(512))
            .wire()
    };
    assert_eq!(endpoint.exchange(&push()).status, 201);
    let logs = fs::read_dir(endpoint.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let daily = regex::Regex::new(r"/diagnostics\.\d{4}-\d\d-\d\d$").unwrap();
    let file = logs
        .into_iter()
        .find(|path| daily.is_match(path.to_str().unwrap()))
        .unwrap();
    // The last line that a first push causes: the certificate is saved in the background.
    let before = eventually("the certificate is kept", || {
        Some(fs::read_to_string(&file).unwrap())
            .filter(|text| text.contains("Cached a signing certificate on disk"))
    });
    assert!(before.contains("TRUSTING"), "{before}");
    for _ in 0..25 {
        assert_eq!(endpoint.exchange(&push()).status, 201);
        assert_eq!(
            endpoint
                .exchange(b"POST /notifications HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
                .status,
            403
        );
    }
    let (_rest, _dir) = endpoint.stop();
    let after = fs::read_to_string(&file).unwrap();
    let since: Vec<&str> = after.strip_prefix(&before).unwrap().lines().collect();
    assert!(
        since.len() == 2 && since[0].contains("Stopping") && since[1].contains("Stopped"),
        "{since:#?}"
    );
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[server]\nlisten = \"127.0.0.1:1\"\nhealth_path = \"/file\"\n";
    fs::create_dir(dir.path().join("config")).unwrap();
    fs::write(dir.path().join("config/endpoint.toml"), text).unwrap();
    fs::write(
        dir.path().join("named.toml"),
        text.replace("/file", "/named"),
    )
    .unwrap();
    let environment = ("MNS_ENDPOINT_SERVER__HEALTH_PATH", "/environment");
    // A variable with a single underscore is not a key: Kubernetes sets such names.
    let injected = ("MNS_ENDPOINT_SERVER_HEALTH_PATH", "/injected");
    let flag = ["--set", "server.health_path=/flag"];
    for (variable, args, path) in [
        (injected, &[][..], "/file"),
        (injected, &["--config", "named.toml"], "/named"),
        (environment, &["--config", "named.toml"], "/environment"),
        (environment, &flag, "/flag"),
        (
            environment,
            &[&flag[..], &["--set", "server.health_path=/last"]].concat(),
            "/last",
        ),
    ] {
        let ended = finish(
            program()
                .current_dir(dir.path())
                .arg("health")
                .args(args)
                .env(variable.0, variable.1),
            b"",
        );
        ended.assert(1, &format!("no answer from http://127.0.0.1:1{path}: "));
    }
    let listening = run(
        dir.path(),
        &[
            "health",
            "--listen",
            "127.0.0.2:1",
            "--set",
            "server.listen=127.0.0.3:1",
        ],
    );
    listening.assert(1, "no answer from http://127.0.0.2:1/file: ");
}
