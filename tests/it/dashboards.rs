//! The alerts, the dashboard and the lnav format in `deploy/`: every metric, label and reason that
//! they name is one of a real scrape, and promtool takes every expression.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use mns_endpoint::forward;
use mns_endpoint::server::Reason;
use regex::Regex;
use serde_json::Value;
use strum::IntoEnumIterator as _;

use crate::admin::{PROMTOOL, bench, get};
use crate::support::{Bench, Identity, key};

const FILES: [&str; 3] = [
    "deploy/alerts.yml",
    "deploy/alerts_test.yml",
    "deploy/grafana.json",
];
const LNAV: &str = "/usr/bin/lnav";
/// Labels that Prometheus adds to each sample.
const ADDED: [&str; 2] = ["instance", "job"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn file(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// All that can be scraped: of an endpoint that has accepted a push and has a destination, and of
/// one with TLS.
pub fn scrape() -> String {
    let (plain, admin) = bench(|options| {
        options
            .set("forward.orders.to", "nats")
            // Nobody listens there.
            .set("forward.orders.servers", "nats://127.0.0.1:1")
    });
    plain.accept(&plain.draft().sign(&key(512)));
    let identity = tempfile::tempdir().unwrap();
    Identity::new().write(identity.path());
    let file = |name: &str| identity.path().join(name).display().to_string();
    let (_tls, tls_admin) = bench(|options| {
        options
            .set("server.tls.certificate", &file("server.pem"))
            .set("server.tls.private_key", &file("server.key"))
            .set("forward.orders.to", "nats")
            .set("forward.orders.servers", "nats://127.0.0.1:1")
            .set("forward.orders.ack", "forward")
    });
    [admin, tls_admin]
        .map(|admin| get(admin, "/metrics", "").body)
        .concat()
}

/// The labels of each sample, by its name.
fn samples(scrape: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let sample = Regex::new(r"(?m)^(\w+)(?:\{(.*)\})? \S+$").unwrap();
    let label = Regex::new(r#"(\w+)=""#).unwrap();
    let mut samples = BTreeMap::<_, BTreeSet<_>>::new();
    for found in sample.captures_iter(scrape) {
        let labels = found.get(2).map_or("", |labels| labels.as_str());
        let labels = label.captures_iter(labels);
        let labels = labels.map(|label| label.get(1).unwrap().as_str());
        let name = found.get(1).unwrap().as_str();
        samples.entry(name).or_default().extend(labels);
    }
    samples
}

/// What a text names that no scrape has: metrics, their labels, and reasons.
fn strangers(text: &str, scrape: &str) -> Vec<String> {
    let samples = samples(scrape);
    // JSON writes a quote of an expression with a backslash before it.
    let text = text.replace("\\\"", "\"");
    let named = Regex::new(r"\b((?:mns_endpoint|process)_\w+)\b(?:\{([^}]*)\})?").unwrap();
    let label = Regex::new(r#"(\w+)(?:=~|!~|!=|=)"([^"]*)""#).unwrap();
    let mut strangers = Vec::new();
    for found in named.captures_iter(&text) {
        let name = &found[1];
        let Some(known) = samples.get(name) else {
            strangers.push(name.to_owned());
            continue;
        };
        let labels = found.get(2).map_or("", |labels| labels.as_str());
        for label in label.captures_iter(labels) {
            let (label, value) = (&label[1], &label[2]);
            if !known.contains(label) && !ADDED.contains(&label) {
                strangers.push(format!("{name}{{{label}}}"));
            }
            if label == "reason" {
                let patterns = value.split('|').filter(|pattern| !is_reason(pattern));
                strangers.extend(patterns.map(|pattern| format!("reason {pattern}")));
            }
        }
    }
    strangers
}

fn is_reason(pattern: &str) -> bool {
    let pattern = Regex::new(&format!("^(?:{pattern})$")).unwrap();
    let of_forwarding = forward::Reason::iter().any(|reason| pattern.is_match(reason.key()));
    of_forwarding || Reason::iter().any(|reason| pattern.is_match(reason.key()))
}

/// The expressions of the dashboard, as Prometheus gets them.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap())
        .map(|expr| expr.replace("$__rate_interval", "5m"))
        .collect()
}

#[test]
fn every_metric_label_and_reason_is_one_of_a_scrape() {
    let scrape = scrape();
    for name in FILES {
        let text = file(name);
        assert!(text.matches("mns_endpoint_").count() > 10, "{name}");
        assert_eq!(strangers(&text, &scrape), Vec::<String>::new(), "{name}");
    }
    // A misspelt one is found, wherever it is.
    let text = file("deploy/grafana.json");
    for (right, wrong, found) in [
        (
            "mns_endpoint_accepted_total",
            "mns_endpoint_acepted_total",
            "mns_endpoint_acepted_total",
        ),
        (
            "answer_seconds_bucket",
            "answer_seconds_buckets",
            "mns_endpoint_answer_seconds_buckets",
        ),
        ("reason=~", "raison=~", "mns_endpoint_reasons_total{raison}"),
        (
            "owner_not_accepted",
            "owner_not_excepted",
            "reason owner_not_excepted",
        ),
        (
            "process_open_fds",
            "process_opened_fds",
            "process_opened_fds",
        ),
    ] {
        let misspelt = text.replacen(right, wrong, 1);
        assert_ne!(misspelt, text);
        assert_eq!(strangers(&misspelt, &scrape), [found]);
    }
}

#[test]
fn the_dashboard_has_no_panel_over_another() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana.json")).unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let text = file("deploy/alerts.yml");
    let alerts = text.matches("- alert: ").count();
    assert!(alerts > 12);
    for needed in [
        "          summary: ",
        "          runbook: ",
        "        labels: { severity: ",
    ] {
        assert_eq!(text.matches(needed).count(), alerts, "{needed}");
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn promtool_takes_the_alerts_their_tests_and_every_expression_of_the_dashboard() {
    if !Path::new(PROMTOOL).exists() {
        assert!(
            std::env::var_os("REQUIRE_PROMTOOL").is_none(),
            "{PROMTOOL} is missing: apt-get install prometheus"
        );
        println!("SKIPPED: {PROMTOOL} is missing, so alerts and dashboard are NOT checked by it");
        return;
    }
    let promtool = |args: &[&str]| {
        let output = Command::new(PROMTOOL).args(args).output().unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), printed)
    };
    let check = ["check", "rules", "--lint=all", "--lint-fatal"];
    let alerts = path("deploy/alerts.yml").display().to_string();
    let tests = path("deploy/alerts_test.yml").display().to_string();
    let rules = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let records: Vec<Value> = (0..)
        .zip(expressions())
        .map(|(number, expr)| serde_json::json!({ "record": format!("panel:{number}"), "expr": expr }))
        .collect();
    assert!(records.len() > 25);
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": records }] });
    // JSON is YAML.
    std::fs::write(rules.path(), groups.to_string()).unwrap();
    let rules = rules.path().display().to_string();
    for args in [
        [&check[..], &[alerts.as_str()]].concat(),
        vec!["test", "rules", &tests],
        [&check[..], &[rules.as_str()]].concat(),
    ] {
        let (is_right, printed) = promtool(&args);
        assert!(is_right, "{args:?}: {printed}");
    }
    // What it is asked for is what it refuses.
    std::fs::write(&rules, groups.to_string().replacen("sum(", "sun(", 1)).unwrap();
    assert!(!promtool(&[&check[..], &[rules.as_str()]].concat()).0);
}

#[test]
fn lnav_begins_a_record_where_one_begins() {
    let formats: Value = serde_json::from_str(&file("deploy/lnav.json")).unwrap();
    let format = &formats["mns_endpoint_log"];
    let pattern = format["regex"]["std"]["pattern"].as_str().unwrap();
    let pattern = Regex::new(pattern).unwrap();
    let log = file("tests/golden/endpoint_log.txt");
    for record in log.split_terminator("\n\n") {
        let mut lines = record.lines();
        let first = pattern.captures(lines.next().unwrap()).unwrap();
        let level = &first["level"];
        assert!(format["level"][level.to_lowercase()] == level, "{level}");
        assert!(!lines.any(|line| pattern.is_match(line)), "{record}");
    }
    let sample = format["sample"][0]["line"].as_str().unwrap();
    assert!(pattern.is_match(sample));
    // Each value that is named is a part of the pattern.
    for name in format["value"].as_object().unwrap().keys() {
        assert!(
            format!("{pattern:?}").contains(&format!("?<{name}>")),
            "{name}"
        );
    }
}

/// lnav with one format besides its own: its exit code, and what it printed on both streams.
fn lnav(format: &str, args: &[&str]) -> (bool, Vec<u8>, String) {
    let home = tempfile::tempdir().unwrap();
    let formats = home.path().join("formats/mns_endpoint");
    std::fs::create_dir_all(&formats).unwrap();
    std::fs::write(formats.join("lnav.json"), format).unwrap();
    let output = Command::new(LNAV)
        .env("HOME", home.path())
        .env("TERM", "dumb")
        .arg("-I")
        .arg(home.path())
        .args(args)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), output.stdout, told)
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn lnav_takes_every_record_of_a_real_log_apart() {
    if !Path::new(LNAV).exists() {
        assert!(
            std::env::var_os("REQUIRE_LNAV").is_none(),
            "{LNAV} is missing: apt-get install lnav"
        );
        println!("SKIPPED: {LNAV} is missing, so deploy/lnav.json is NOT tried");
        return;
    }
    let bench = Bench::with(|options| options);
    bench.accept(&bench.draft().sign(&key(512)));
    bench.ask(&bench.draft());
    let log = bench.endpoint.log_path("endpoint_log");
    let log = log.to_str().unwrap();
    let query = [
        "-n",
        "-c",
        ";SELECT log_time, logger, log_level, place, thread, log_body FROM mns_endpoint_log",
        "-c",
        ":write-json-to -",
        log,
    ];
    let format = file("deploy/lnav.json");
    let (is_right, printed, told) = lnav(&format, &query);
    assert!(is_right, "{told}");
    let rows: Vec<BTreeMap<String, String>> = serde_json::from_slice(&printed).unwrap();
    let text = bench.endpoint.endpoint_log();
    let records: Vec<&str> = text.split_terminator("\n\n").collect();
    // The start, the push and its outcome, and the refusal.
    assert_eq!((rows.len(), records.len()), (4, 4), "{text}");
    for (row, record) in rows.iter().zip(records) {
        let fields: Vec<&str> = record.splitn(6, "] ").collect();
        let field = |number: usize| fields[number].trim_start_matches('[');
        assert_eq!(row["log_time"], format!("{}.000", field(0)));
        assert_eq!(row["log_level"], field(2).to_lowercase());
        for (name, number) in [("logger", 1), ("place", 3), ("thread", 4)] {
            assert_eq!(row[name], field(number), "{name}");
        }
        assert_eq!(row["log_body"].trim_end(), fields[5].trim_end());
    }
    // Its own check of a format, which tries the sample, and what comes of a wrong pattern.
    let (is_right, _, told) = lnav(&format, &["-C"]);
    assert!(is_right, "{told}");
    let (is_right, _, told) = lnav(&format.replace("INFO|WARNING", "NOTE"), &query);
    assert!(!is_right && told.contains("does not match"), "{told}");
}
