//! The admin listener: access, answers, and that every metric is documented.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use mns_endpoint::mns::{ContentFormat, Notation};
use mns_endpoint::server::Reason;
use rustix::process::Signal;

use crate::support::{
    Answer, Bench, Options, attribute, cheap, eventually, exchange, finish, key, run,
};

pub const PROMTOOL: &str = "/usr/bin/promtool";

pub fn bench(set: impl FnOnce(Options) -> Options) -> (Bench, SocketAddr) {
    let bench = Bench::with(|options| set(options.set("admin.listen", "127.0.0.1:0")));
    let address = eventually("the admin listener is reported", || {
        let told = bench.endpoint.stderr();
        let line = told
            .lines()
            .find(|line| line.contains("Health, readiness and metrics are served"))?;
        line.split("address=").nth(1)?.trim().parse().ok()
    });
    (bench, address)
}

pub fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    exchange(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes(),
    )
}

#[track_caller]
pub fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {text}"))
        .parse()
        .unwrap()
}

#[test]
fn the_outcomes_of_requests_are_counted() {
    let (bench, admin) = bench(|options| options);
    for _ in 0..3 {
        bench.accept(&bench.draft().sign(&key(512)));
    }
    bench.check(&bench.draft(), cheap(403, Reason::HeaderMissing));
    let late = bench.draft().set("Date", crate::support::date(-3600));
    let body = String::from_utf8(late.body.clone())
        .unwrap()
        .replace("<MessageMD5>", "<MessageMD5>0");
    bench.accept(&late.swap_body(body).notation(Notation::Hex).sign(&key(512)));
    let text = get(admin, "/metrics", "").body;
    assert_eq!(metric(&text, "mns_endpoint_accepted_total"), 4.0);
    let reason =
        |reason: Reason| format!("mns_endpoint_reasons_total{{reason=\"{}\"}}", reason.key());
    assert_eq!(metric(&text, &reason(Reason::HeaderMissing)), 1.0);
    assert_eq!(metric(&text, &reason(Reason::DateLate)), 1.0);
    assert_eq!(metric(&text, &reason(Reason::MessageMd5Mismatch)), 1.0);
    assert_eq!(metric(&text, &reason(Reason::SignatureWrong)), 0.0);
    let labels = "{topic=\"MyTopic1\",subscription=\"MyTopic1-Sub1\"}";
    assert_eq!(
        metric(&text, &format!("mns_endpoint_notifications_total{labels}")),
        4.0
    );
    let last = metric(
        &text,
        &format!("mns_endpoint_last_notification_timestamp_seconds{labels}"),
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "the endpoint under test has the same clock"
    )]
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!((now - last).abs() < 60.0, "{last}");
    for name in ["verify", "commit", "answer"] {
        assert_eq!(
            metric(&text, &format!("mns_endpoint_{name}_seconds_count")),
            4.0
        );
        assert_eq!(
            metric(
                &text,
                &format!("mns_endpoint_{name}_seconds_bucket{{le=\"+Inf\"}}")
            ),
            4.0
        );
        assert!(metric(&text, &format!("mns_endpoint_{name}_seconds_sum")) > 0.0);
    }
    assert_eq!(metric(&text, "mns_endpoint_connections_total"), 5.0);
    let idle = crate::support::send(bench.endpoint.address, b"");
    eventually("an open connection is counted", || {
        (metric(
            &get(admin, "/metrics", "").body,
            "mns_endpoint_open_connections",
        ) == 1.0)
            .then_some(())
    });
    drop(idle);
    eventually("its end is counted", || {
        (metric(
            &get(admin, "/metrics", "").body,
            "mns_endpoint_open_connections",
        ) == 0.0)
            .then_some(())
    });
}

#[test]
fn a_subscription_backs_off_from_a_refusal_until_a_push_is_accepted() {
    let (bench, admin) = bench(|options| options);
    let backing_off = || {
        let text = get(admin, "/metrics", "").body;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("mns_endpoint_backing_off{"));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let incomplete = || {
        let body = String::from_utf8(bench.draft().body).unwrap();
        let body = body.replace("PublishTime>", "PublishDate>");
        let draft = bench.draft().swap_body(body).notation(Notation::Hex);
        draft.sign(&key(512)).wire()
    };
    let accept = || {
        let push = bench.draft().sign(&key(512)).wire();
        assert_eq!(bench.endpoint.exchange(&push).status, 201);
    };
    // Nothing is remembered of an unknown subscription.
    assert_eq!(bench.endpoint.exchange(&incomplete()).status, 400);
    assert_eq!(backing_off(), Vec::<String>::new());
    accept();
    assert_eq!(backing_off(), ["0"]);
    assert_eq!(bench.endpoint.exchange(&incomplete()).status, 400);
    assert_eq!(backing_off(), ["1"]);
    // A forged push does not count for it.
    assert_eq!(bench.endpoint.exchange(&bench.draft().wire()).status, 403);
    assert_eq!(backing_off(), ["1"]);
    accept();
    assert_eq!(backing_off(), ["0"]);
}

#[test]
fn files_in_quarantine_are_counted() {
    let (bench, admin) = bench(|options| options.set("logs.quarantine_bytes", "16KiB"));
    let large = bench.draft().swap_body(vec![b'x'; 9000]);
    for draft in [
        large,
        bench.draft(),
        bench.draft(),
        bench.draft(),
        bench.draft(),
        bench.draft(),
    ] {
        assert_eq!(bench.endpoint.exchange(&draft.wire()).status, 403);
    }
    // They are saved in the background, and a scrape may come in the middle of it.
    let values = [
        ("kept_total{provenance=\"unproved\"}", 5.0),
        ("kept_total{provenance=\"genuine\"}", 0.0),
        ("dropped_total{provenance=\"unproved\"}", 1.0),
        ("dropped_total{provenance=\"genuine\"}", 0.0),
        ("pushed_out_total{provenance=\"unproved\"}", 1.0),
        ("pushed_out_total{provenance=\"genuine\"}", 0.0),
        ("requests", 4.0),
        ("bytes", 16384.0),
    ];
    eventually("all are counted", || {
        let text = get(admin, "/metrics", "").body;
        let metric = |name: &str| metric(&text, &format!("mns_endpoint_quarantine_{name}"));
        let are_as_wanted = values.iter().all(|(name, value)| metric(name) == *value);
        are_as_wanted.then_some(())
    });
}

/// Waits until a metric has a value, and returns all metrics.
#[track_caller]
fn once(admin: SocketAddr, name: &str, value: f64) -> String {
    eventually("a metric has its value", || {
        let text = get(admin, "/metrics", "").body;
        (metric(&text, name) == value).then_some(text)
    })
}

#[test]
fn the_work_of_the_journal_is_measured() {
    let (bench, admin) = bench(|options| {
        options
            .set("logs.rotate_size", "8KiB")
            .set("logs.refused_rate", "1/s")
    });
    let drafts: Vec<_> = (0..12).map(|_| bench.draft().sign(&key(512))).collect();
    drafts
        .iter()
        .chain([&drafts[0], &drafts[1]])
        .for_each(|draft| {
            assert_eq!(bench.endpoint.exchange(&draft.wire()).status, 201);
        });
    for _ in 0..20 {
        assert_eq!(
            bench
                .endpoint
                .exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .status,
            404
        );
    }
    // Twelve pushes, two duplicates, twenty refusals, the start, and a summary for each second with
    // more than one refusal.
    let summaries = |log: &str| {
        let counts = crate::support::records(log)
            .into_iter()
            .filter_map(|record| attribute(&record, "Count"));
        counts
            .map(|count| String::from_utf8(count).unwrap().parse::<f64>().unwrap())
            .collect::<Vec<f64>>()
    };
    let files = |name: &str| {
        let port = bench.endpoint.address.port();
        let all = std::fs::read_dir(bench.endpoint.path().join("logs"))
            .unwrap()
            .map(|file| file.unwrap().path());
        all.filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&format!("{name}.{port}"))
        })
        .collect()
    };
    let (text, log) = eventually("all is written", || {
        let paths: Vec<std::path::PathBuf> = files("endpoint_log");
        let log: String = paths
            .iter()
            .map(|path| crate::support::whole(path, "\n\n"))
            .collect();
        let text = get(admin, "/metrics", "").body;
        let entries = metric(&text, "mns_endpoint_journal_batch_entries_sum");
        let left_out = metric(&text, "mns_endpoint_refusals_left_out_total");
        let full = log.matches("[receive.rs:7]").count();
        let told = summaries(&log);
        let is_told = told.iter().sum::<f64>() == left_out
            && left_out > 0.0
            && left_out + full as f64 == 20.0;
        (is_told && entries == 35.0 + told.len() as f64).then_some((text, log))
    });
    assert!(log.contains("Notify Message Duplicate!"));
    let value = |name: &str| metric(&text, &format!("mns_endpoint_{name}"));
    assert_eq!(
        (value("duplicates_total"), value("remembered_notifications")),
        (2.0, 12.0)
    );
    let batches = value("journal_batch_entries_count");
    assert!(batches >= 14.0, "each push was alone: {batches}");
    assert_eq!(
        (
            value("journal_batch_bytes_count"),
            value("journal_batch_seconds_count")
        ),
        (batches, batches)
    );
    assert!(value("journal_batch_seconds_sum") > 0.0);
    let len = |path: &Path| std::fs::metadata(path).unwrap().len() as f64;
    let both = [files("endpoint_log"), files("access_log")].concat();
    assert_eq!(
        value("journal_batch_bytes_sum"),
        both.iter().map(|path| len(path)).sum::<f64>()
    );
    for log in ["endpoint_log", "access_log"] {
        assert_eq!(
            value(&format!("log_bytes{{log=\"{log}\"}}")),
            len(&bench.endpoint.log_path(log))
        );
    }
    assert!(both.len() > 2);
    assert_eq!(
        (value("log_rotations_total"), value("log_reopenings_total")),
        (both.len() as f64 - 2.0, 0.0)
    );
    for kind in ["push", "refusal"] {
        let waiting = |what: &str| value(&format!("journal_queue_{what}{{kind=\"{kind}\"}}"));
        assert_eq!((waiting("entries"), waiting("bytes")), (0.0, 0.0));
    }
    // One of the two files is moved away, as logrotate does.
    let path = bench.endpoint.log_path("access_log");
    std::fs::rename(&path, path.with_extension("moved")).unwrap();
    let text = once(admin, "mns_endpoint_log_reopenings_total", 1.0);
    assert_eq!(
        metric(&text, "mns_endpoint_log_bytes{log=\"access_log\"}"),
        0.0
    );
}

#[test]
fn certificates_and_clocks_are_measured() {
    let (bench, admin) = bench(|options| options);
    assert!(
        !get(admin, "/metrics", "")
            .body
            .contains("mns_endpoint_clock_skew_seconds")
    );
    for (offset, expected) in [(-3600, 3600.0), (300, -300.0)] {
        bench.accept(
            &bench
                .draft()
                .set("Date", crate::support::date(offset))
                .sign(&key(512)),
        );
        let skew = metric(
            &get(admin, "/metrics", "").body,
            "mns_endpoint_clock_skew_seconds",
        );
        assert!((skew - expected).abs() < 30.0, "{offset}: {skew}");
    }
    // A push that is not verified says nothing about MNS's clock.
    let forged = bench.draft().set("Date", crate::support::date(-7200));
    assert_eq!(
        bench
            .endpoint
            .exchange(&forged.sign(&key(1024)).wire())
            .status,
        403
    );
    bench.host.set(crate::support::Mode::Hang);
    assert_eq!(
        bench
            .endpoint
            .exchange(&bench.draft().sign(&key(512)).wire())
            .status,
        503
    );
    let text = get(admin, "/metrics", "").body;
    assert!((metric(&text, "mns_endpoint_clock_skew_seconds") + 300.0).abs() < 30.0);
    let value = |name: &str| metric(&text, &format!("mns_endpoint_certificate_{name}"));
    assert_eq!(
        (
            value("addresses{state=\"held\"}"),
            value("addresses{state=\"missing\"}")
        ),
        (3.0, 1.0)
    );
    // Because of the forged one the certificate was fetched again.
    assert_eq!(
        (value("fetches_total"), value("fetches_failed_total")),
        (5.0, 1.0)
    );
    let ready = get(admin, "/readyz", "");
    let parts: serde_json::Value = serde_json::from_str(&ready.body).unwrap();
    let counts = serde_json::json!({ "held": 3, "missing": 1, "fetches": 5, "failed": 1 });
    assert_eq!(parts["parts"]["certificates"], counts);
    assert_eq!(
        (ready.status, &parts["ready"]),
        (200, &true.into()),
        "never a part of the verdict"
    );
}

#[test]
fn readiness_says_how_long_the_commit_log_is() {
    const LEN: u64 = 8 * 1024 * 1024;
    for (name, value, expected) in [
        ("logs.commit_log", "8MiB", LEN),
        ("logs.commit_log", "off", 0),
        ("logs.sync", "os", 0),
    ] {
        let (bench, admin) = bench(|options| options.set(name, value));
        bench.accept(&bench.draft().sign(&key(512)));
        eventually("the commit log has its length", || {
            let ready = get(admin, "/readyz", "").body;
            let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
            (ready["parts"]["sync"]["commit_log_bytes"] == expected).then_some(())
        });
    }
}

#[test]
fn readiness_has_the_sync_mode_and_the_age_of_the_last_sync() {
    for (mode, syncs) in [("always", true), ("os", false)] {
        let (bench, admin) = bench(|options| options.set("logs.sync", mode));
        let age = || {
            let parts: serde_json::Value =
                serde_json::from_str(&get(admin, "/readyz", "").body).unwrap();
            assert_eq!(parts["parts"]["sync"]["ready"], true);
            assert_eq!(parts["parts"]["sync"]["mode"], mode);
            parts["parts"]["sync"]["last_ms_ago"].as_u64().unwrap()
        };
        let old = eventually("time has passed", || Some(age()).filter(|age| *age > 700));
        bench.accept(&bench.draft().sign(&key(512)));
        // The journal answers the push first and publishes the sync afterwards.
        if syncs {
            eventually("the push was synced", || (age() < old).then_some(()));
        } else {
            assert!(age() >= old);
        }
    }
}

#[test]
fn totals_are_shown_with_the_token_and_to_check() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "letmein").unwrap();
    let token = token.display().to_string();
    let (bench, admin) = bench(|options| options.set("admin.token_file", &token));
    for (topic, owner) in [("MyTopic1", "2"), ("MyTopic0", "1"), ("MyTopic1", "1")] {
        let draft = bench
            .draft_in(ContentFormat::Simplified)
            .set("x-mns-topic-name", topic);
        bench.accept(&draft.set("x-mns-topic-owner", owner).sign(&key(512)));
    }
    // A forgery does not count.
    let forged = bench
        .draft_in(ContentFormat::Simplified)
        .set("x-mns-topic-owner", "3")
        .sign(&key(1024));
    assert_eq!(bench.endpoint.exchange(&forged.wire()).status, 403);
    let seen = r#"topic_owners = ["1", "2"], topics = ["MyTopic0", "MyTopic1"]"#;
    let parts = get(admin, "/readyz", "Authorization: Bearer letmein\r\n").body;
    let parts: serde_json::Value = serde_json::from_str(&parts).unwrap();
    let names =
        serde_json::json!({ "topic_owners": ["1", "2"], "topics": ["MyTopic0", "MyTopic1"] });
    assert_eq!(parts["parts"]["seen"], names);
    assert!(!get(admin, "/readyz", "").body.contains("MyTopic"));
    let address = format!("admin.listen={admin}");
    let file = format!("admin.token_file={token}");
    let check = |set: &[&str]| run(dir.path(), &[&["check"], set].concat()).stdout;
    let found = check(&["--set", &address, "--set", &file]);
    let note = format!("note     accept: the running serve has accepted so far: {seen}");
    assert!(found.contains(&note), "{found}");
    assert!(
        !check(&["--set", &address]).contains("so far"),
        "without the token"
    );
}

#[test]
fn openmetrics_is_served_on_request() {
    let (_bench, admin) = bench(|options| options);
    let plain = get(admin, "/metrics", "");
    assert_eq!(
        plain.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(
        !plain.body.contains("# EOF")
            && plain
                .body
                .contains("# TYPE mns_endpoint_accepted_total counter\n")
    );
    let open = get(
        admin,
        "/metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    assert_eq!(
        open.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        open.body.ends_with("# EOF\n")
            && open.body.contains("# TYPE mns_endpoint_accepted counter\n")
    );
}

#[test]
fn exactly_the_existing_metrics_are_documented() {
    let text = crate::dashboards::scrape();
    let told: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md"))
            .unwrap();
    let row = regex::Regex::new(r"(?m)^\| `((?:mns_endpoint|process)_\w+)` ").unwrap();
    let explained: BTreeSet<&str> = row
        .captures_iter(&page)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(told.len() > 10);
    assert_eq!(told, explained);
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn promtool_finds_nothing_in_a_scrape_under_load() {
    if !Path::new(PROMTOOL).exists() {
        assert!(
            std::env::var_os("REQUIRE_PROMTOOL").is_none(),
            "{PROMTOOL} is missing: apt-get install prometheus"
        );
        println!("SKIPPED: {PROMTOOL} is missing, so the metrics are NOT checked by it");
        return;
    }
    let (bench, admin) = bench(|options| options);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                (0..50).for_each(|_| {
                    assert_eq!(
                        bench
                            .endpoint
                            .exchange(&bench.draft().sign(&key(512)).wire())
                            .status,
                        201
                    );
                })
            });
        }
        eventually("there is load", || {
            (metric(
                &get(admin, "/metrics", "").body,
                "mns_endpoint_accepted_total",
            ) > 5.0)
                .then_some(())
        });
        let text = get(admin, "/metrics", "").body;
        let mut promtool = Command::new(PROMTOOL);
        promtool
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = promtool.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success() && told.is_empty(), "{told}");
    });
}

#[test]
fn readiness_has_its_parts_and_ends_with_the_stop() {
    let (bench, admin) = bench(|options| options.set("server.drain_delay", "1h"));
    assert_eq!(
        (
            get(admin, "/healthz", "").status,
            get(admin, "/readyz", "").status
        ),
        (200, 200)
    );
    let parts: serde_json::Value = serde_json::from_str(&get(admin, "/readyz", "").body).unwrap();
    assert_eq!(
        (&parts["ready"], &parts["parts"]["journal"]["ready"]),
        (&true.into(), &true.into())
    );
    let health = ["health", "--set", &format!("admin.listen={admin}")];
    run(bench.endpoint.path(), &health).assert(0, &format!("healthy: http://{admin}/readyz"));
    bench.endpoint.signal(Signal::TERM);
    bench.endpoint.assert_tells("Stopping");
    // Alive until the end, but not ready.
    let ready = get(admin, "/readyz", "");
    assert_eq!(
        (get(admin, "/healthz", "").status, ready.status),
        (200, 503)
    );
    let parts: serde_json::Value = serde_json::from_str(&ready.body).unwrap();
    assert_eq!(
        parts["parts"]["stop"],
        serde_json::json!({ "ready": false, "draining": true })
    );
    let stopping =
        format!("http://{admin}/readyz answered 503 Service Unavailable: stop: serve is stopping");
    run(bench.endpoint.path(), &health).assert(1, &stopping);
}

#[test]
fn health_prints_what_readyz_says_and_readyz_says_it_in_numbers() {
    let (bench, admin) = bench(|options| options.set("logs.low_water", "1000TiB"));
    bench.accept(&bench.draft().sign(&key(512)));
    let ready = eventually("the space was looked at", || {
        let answer = get(admin, "/readyz", "");
        (answer.status == 503)
            .then(|| serde_json::from_str::<serde_json::Value>(&answer.body).unwrap())
    });
    let disk = &ready["parts"]["disk"];
    assert_eq!(
        (&disk["ready"], disk["low_water_bytes"].as_u64()),
        (&false.into(), Some(1000 << 40))
    );
    assert!(disk["free_bytes"].as_u64().unwrap() < 1000 << 40);
    for (name, part) in ready["parts"].as_object().unwrap() {
        for (key, fact) in part.as_object().unwrap() {
            let is_for_machines = match (name.as_str(), key.as_str()) {
                ("seen", "topic_owners" | "topics") => fact.is_array(),
                ("sync", "mode") => fact == "always",
                _ => fact.is_boolean() || fact.is_u64(),
            };
            assert!(is_for_machines, "{name}.{key}: {fact}");
        }
    }
    let health = ["health", "--set", &format!("admin.listen={admin}")];
    let told = run(bench.endpoint.path(), &health);
    told.assert(
        1,
        &format!("http://{admin}/readyz answered 503 Service Unavailable: disk: "),
    );
    told.assert(
        1,
        " are free, less than logs.low_water (1000.0 TiB): make room in logs.dir\n",
    );
    let address = bench.endpoint.address.to_string();
    let told = run(
        bench.endpoint.path(),
        &["health", "--set", "admin.listen=off", "--listen", &address],
    );
    told.assert(
        1,
        "/healthz answered 503 Service Unavailable: Service Unavailable; its reasons \
        are in /readyz",
    );
}

#[test]
fn a_token_is_required_except_for_public_paths() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let path = file.path().to_str().unwrap();
    let (bench, admin) = bench(|options| options.set("admin.token_file", path));
    for wrong in [
        "",
        "Authorization: Bearer s3cre\r\n",
        "Authorization: Bearer s3cret1\r\n",
        "Authorization: s3cret\r\n",
    ] {
        assert_eq!(get(admin, "/metrics", wrong).status, 401, "{wrong}");
        let ready = get(admin, "/readyz", wrong);
        assert_eq!(
            (ready.status, ready.body.as_str()),
            (200, "OK\n"),
            "the verdict only"
        );
    }
    let shown = "Authorization: Bearer s3cret\r\n";
    assert_eq!(get(admin, "/metrics", shown).status, 200);
    assert!(get(admin, "/readyz", shown).body.contains("\"journal\""));
    let health = |file: &str| {
        let (listen, file) = (
            format!("admin.listen={admin}"),
            format!("admin.token_file={file}"),
        );
        run(
            bench.endpoint.path(),
            &[
                "health",
                "--set",
                &listen,
                "--set",
                "admin.open=[]",
                "--set",
                &file,
            ],
        )
    };
    health(path).assert(0, "healthy");
    for (key, value, told) in [
        (
            "admin.listen",
            "0.0.0.0:0",
            "admin.listen = \"0.0.0.0:0\": other machines reach it: admin.token_file is needed",
        ),
        (
            "admin.listen",
            "x:9080",
            "admin.listen = \"x:9080\": write an address and a port",
        ),
        (
            "admin.open",
            "/metric",
            "admin.open = \"/metric\": /healthz, /readyz and /metrics are possible",
        ),
        (
            "admin.token_file",
            "none",
            "admin.token_file = \"none\": the file cannot be read",
        ),
        ("admin.token_file", "/dev/null", "there is no token in it"),
    ] {
        let (on, set) = ("admin.listen=127.0.0.1:0", format!("{key}={value}"));
        run(
            bench.endpoint.path(),
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--set",
                on,
                "--set",
                &set,
            ],
        )
        .assert(78, told);
    }
}

#[test]
fn unknown_host_names_and_other_requests_are_rejected() {
    let (_bench, admin) = bench(|options| options.set("admin.hosts", "metrics.internal"));
    let with_host = |host: &str| {
        let answer = exchange(
            admin,
            format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(),
        );
        answer.status
    };
    for known in [
        "localhost",
        "localhost:9080",
        "127.0.0.1",
        "[::1]:9080",
        "10.1.2.3:80",
        "metrics.internal:9080",
    ] {
        assert_eq!(with_host(known), 200, "{known}");
    }
    for strange in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "a b",
        "xmetrics.internal",
    ] {
        assert_eq!(with_host(strange), 421, "{strange}");
    }
    assert_eq!(get(admin, "/other", "").status, 404);
    assert_eq!(
        exchange(
            admin,
            b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        )
        .status,
        405
    );
}

#[test]
fn a_port_in_use_is_reported_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let listen = format!("admin.listen={}", taken.local_addr().unwrap());
    let mut serve = crate::support::program();
    serve
        .current_dir(dir.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--set", &listen]);
    finish(&mut serve, b"").assert(1, "choose another address for admin.listen, or \"off\"");
}
