//! A secret path that only MNS and the owner know: what is served under it, and that nothing prints
//! it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mns_endpoint::server::Reason;
use rustix::process::Signal;

use crate::support::{Bench, Endpoint, Options, eventually, exchange, key, run};

const ONE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1";
const TWO: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2";
const TOKEN: &str = "the-token-of-the-admin-listener";

fn bench(set: impl FnOnce(Options) -> Options) -> Bench {
    Bench::with(|options| set(options.set("server.secret_path_file", "state/path")))
}

fn segment(endpoint: &Endpoint) -> String {
    fs::read_to_string(endpoint.path().join("state/path"))
        .unwrap()
        .trim()
        .to_owned()
}

/// The status of a genuine push to a path.
fn status(bench: &Bench, path: &str) -> u16 {
    bench
        .endpoint
        .exchange(&bench.draft().to(path).sign(&key(512)).wire())
        .status
}

#[test]
fn only_the_secret_path_is_served_and_a_restart_keeps_it() {
    let bench = bench(|options| options);
    let secret = segment(&bench.endpoint);
    assert!(secret.len() >= 43, "{secret}");
    assert_eq!(status(&bench, &format!("/n/{secret}")), 201);
    assert_eq!(status(&bench, &format!("/n/{secret}?x=1")), 201);
    for other in [
        "/notifications",
        "/n/***",
        "/n/",
        &format!("/{secret}"),
        &format!("/n/{secret}/"),
        &format!("/n/{TWO}"),
    ] {
        assert_eq!(status(&bench, other), 404, "{other}");
    }
    let address = bench.endpoint.address;
    assert_eq!(
        bench.endpoint.start_lines[0],
        format!("Start Endpoint! Address: http://{address}/n/***")
    );
    let dir = bench.endpoint.kill();
    let again = Endpoint::start_in(
        dir,
        &Options::default().set("server.secret_path_file", "state/path"),
    );
    assert_eq!(segment(&again), secret);
}

#[test]
fn two_segments_are_served_at_once_so_that_one_can_replace_the_other() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("path"), format!("{ONE}\n{TWO}\n")).unwrap();
    let file = dir.path().join("path").display().to_string();
    let bench = Bench::with(|options| options.set("server.secret_path_file", &file));
    assert_eq!(
        [ONE, TWO].map(|segment| status(&bench, &format!("/n/{segment}"))),
        [201; 2]
    );
}

#[test]
fn it_follows_the_part_of_the_path_that_a_proxy_removed() {
    let bench = bench(|options| options.set("server.public_path_prefix", "/a"));
    let secret = segment(&bench.endpoint);
    let draft = bench.draft().to(&format!("/a/n/{secret}")).sign(&key(512));
    assert_eq!(
        bench
            .endpoint
            .exchange(&draft.to(&format!("/n/{secret}")).wire())
            .status,
        201
    );
    assert!(
        bench.endpoint.start_lines[0].ends_with("/a/n/***"),
        "{:?}",
        bench.endpoint.start_lines
    );
}

/// All bytes of all files below a directory.
fn all_below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true => all_below(&path),
        false => vec![(path.display().to_string(), fs::read(&path).unwrap())],
    };
    entries.flat_map(read).collect()
}

#[test]
fn no_output_shows_a_secret_whatever_is_sent() {
    for format in ["text", "json"] {
        let elsewhere = tempfile::tempdir().unwrap();
        let token = elsewhere.path().join("token");
        fs::write(&token, TOKEN).unwrap();
        let bench = bench(|options| {
            let options = options.set("admin.listen", "127.0.0.1:0");
            let options = options.set("admin.token_file", &token.display().to_string());
            let options = options
                .set("logs.format", format)
                .set("logs.access_fields", "peer,reason,message_id");
            options
                .set("logs.diagnostics", "true")
                .env("RUST_LOG", "trace")
        });
        let secret = segment(&bench.endpoint);
        let path = format!("/n/{secret}");
        let admin = eventually("the admin listener is reported", || {
            let told = bench.endpoint.stderr();
            let line = told
                .lines()
                .find(|line| line.contains("Health, readiness and metrics are served"))?;
            line.split("address=")
                .nth(1)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        // A proxy may report the requested path.
        let told = |draft: crate::support::Draft| {
            draft
                .add("X-Original-URI", &path)
                .set("User-Agent", format!("proxy of {path}"))
                .add("Referer", format!("http://x{path}"))
        };
        let accepted = told(bench.draft().to(&path)).sign(&key(512));
        let forged = told(bench.draft().to(&path)).sign(&key(1024));
        let nearby = told(bench.draft().to(&format!("{path}/x"))).sign(&key(512));
        let get = told(bench.draft().to(&path)).method("GET");
        let statuses = [&accepted, &forged, &nearby, &get]
            .map(|draft| bench.endpoint.exchange(&draft.wire()).status);
        assert_eq!(statuses, [201, 403, 404, 405]);
        for path in ["/metrics", "/readyz", "/healthz"] {
            let ask = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            );
            let body = exchange(admin, ask.as_bytes()).body;
            assert!(
                !body.is_empty() && !body.contains(&secret) && !body.contains(TOKEN),
                "{path}: {body}"
            );
        }
        let port = bench.endpoint.address.port();
        bench.endpoint.signal(Signal::HUP);
        bench.endpoint.assert_tells("Reloaded the configuration");
        let (printed, dir) = bench.endpoint.stop();
        fs::write(dir.path().join("stdout"), printed).unwrap();
        let files = all_below(dir.path());
        let text = |name: &str| {
            let found = files
                .iter()
                .find(|(path, _)| path.ends_with(&format!("/{name}.{port}")))
                .unwrap_or_else(|| panic!("no {name}"));
            String::from_utf8_lossy(&found.1).into_owned()
        };
        assert!(
            text("access_log").matches("/n/***").count() >= 4,
            "{}",
            text("access_log")
        );
        assert!(text("endpoint_log").contains(Reason::SignatureWrong.key()));
        let targets = match format {
            "text" => [
                "\nTarget: POST /n/***\n",
                ": GET /n/***\n",
                ": POST /n/***/x\n",
            ],
            _ => ["POST /n/***", "GET /n/***", "POST /n/***/x"].map(|target| target),
        };
        for target in targets {
            assert!(text("endpoint_log").contains(target), "{format}: {target}");
        }
        assert!(
            text("endpoint_log").matches("/n/***").count() > 8,
            "{}",
            text("endpoint_log")
        );
        // A request in quarantine is complete, so that it can be verified again. Only the owner of
        // the process can read it.
        let (kept, shown): (Vec<_>, Vec<_>) = files
            .iter()
            .partition(|(path, _)| path.contains("/quarantine."));
        assert_eq!(kept.len(), 1, "the forgery");
        let quarantine = dir.path().join(format!("logs/quarantine.{port}"));
        assert_eq!(
            fs::metadata(quarantine).unwrap().permissions().mode() & 0o777,
            0o700
        );
        for (path, content) in shown
            .into_iter()
            .filter(|(path, _)| !path.ends_with("state/path"))
        {
            for hidden in [secret.as_str(), TOKEN] {
                let is_shown = content
                    .windows(hidden.len())
                    .any(|window| window == hidden.as_bytes());
                assert!(!is_shown, "{path} shows a secret");
            }
        }
    }
}

#[test]
fn requests_to_a_path_that_is_no_longer_served_are_not_recovered() {
    let bench = bench(|options| options.set("accept.topic_owners", "1"));
    let path = format!("/n/{}", segment(&bench.endpoint));
    assert_eq!(status(&bench, &path), 403);
    let (address, prefix) = (bench.endpoint.address.to_string(), bench.host.prefix());
    // It is written in the background, and a stop does not wait for it.
    bench
        .endpoint
        .assert_tells("Cached a signing certificate on disk");
    let dir = bench.endpoint.stop().1;
    let file = dir.path().join("state/path");
    let kept = format!(
        "logs/quarantine.{}/0000000001.genuine.http",
        address.split(':').nth(1).unwrap()
    );
    let flags = [
        "--listen",
        &address,
        "--trust",
        &prefix,
        "--set",
        "server.secret_path_file=state/path",
    ];
    let recover = || run(dir.path(), &[&["logs", "recover"], &flags[..]].concat());
    let explain = || run(dir.path(), &[&["explain", &kept], &flags[..]].concat());
    let old = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    for ended in [recover(), explain()] {
        ended.assert(
            1,
            "state/path is created by the first serve; until then no path is served",
        );
    }
    assert!(!file.exists(), "only serve makes it");
    fs::write(&file, format!("{TWO}\n")).unwrap();
    explain().assert(1, "Verdict: serve would answer 404 (path_not_served)");
    recover().assert(0, ".http: refused again, path_not_served: ");
    assert!(dir.path().join(&kept).exists());
    fs::write(&file, format!("{TWO}\n{old}")).unwrap();
    explain().assert(0, "path          ok");
    recover().assert(0, ": 1 recovered, ");
}

#[test]
fn check_prints_the_complete_address_on_demand_only() {
    let dir = tempfile::tempdir().unwrap();
    let set = |more: &[&str]| {
        let base = [
            "check",
            "--listen",
            "127.0.0.1:8080",
            "--set",
            "server.secret_path_file=path",
        ];
        run(dir.path(), &[&base[..], more].concat())
    };
    let missing = set(&["--show-address"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("path is made by the first serve"),
        "{}",
        missing.stderr
    );
    assert!(
        set(&[])
            .stdout
            .contains("note     server.secret_path_file: path does not exist yet")
    );
    fs::write(dir.path().join("path"), format!("{ONE}\n{TWO}\n")).unwrap();
    let found = set(&[]);
    assert!(!found.stdout.contains(ONE), "{}", found.stdout);
    for line in [
        "http://127.0.0.1:8080/n/***",
        "path has two segments",
        "other users can read path",
        "without TLS everyone on the network path can read it",
    ] {
        assert!(
            found.stdout.contains(line),
            "{line:?} is not in {}",
            found.stdout
        );
    }
    assert_eq!(
        set(&["--show-address"]).stdout,
        format!("http://127.0.0.1:8080/n/{ONE}\n")
    );
    let public = set(&[
        "--show-address",
        "--set",
        "server.public_url=https://mns.example.com",
    ]);
    assert_eq!(public.stdout, format!("https://mns.example.com/n/{ONE}\n"));
    let with_path = set(&[
        "--set",
        "server.public_url=https://mns.example.com/notifications",
    ]);
    assert_eq!(with_path.code, 78);
    assert!(
        with_path.stdout.contains("leave its path out"),
        "{}",
        with_path.stdout
    );
}

#[test]
fn a_file_without_a_secret_prevents_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for (text, told) in [
        ("short", "line 1 is not a segment"),
        ("", "holds 0 segments"),
    ] {
        fs::write(dir.path().join("path"), text).unwrap();
        let serve = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--set",
            "server.secret_path_file=path",
        ];
        let ended = run(dir.path(), &serve);
        assert_eq!(ended.code, 78, "{ended:#?}");
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        assert!(!dir.path().join("logs").exists(), "nothing was made");
    }
}
