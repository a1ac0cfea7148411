//! The output of `serve` for a container: accepted notifications on stdout, and a diagnostic log in
//! JSON on stderr.

use mns_endpoint::journal::unescape_bytes;
use mns_endpoint::mns::ATTRIBUTES;
use serde_json::Value;

use crate::support::{Bench, attribute, key, records};

const HOSTILE: &[u8] =
    b"{\"outcome\":\"accepted\"}\n\n[x] \x1b[2J\xff\\x41\xe2\x80\xae \xe4\xb8\xad";

fn objects(lines: &str) -> Vec<Value> {
    let object = |line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    lines.lines().map(object).collect()
}

fn bytes(object: &Value, name: &str) -> Vec<u8> {
    unescape_bytes(object[name].as_str().unwrap().as_bytes())
}

#[test]
fn stdout_has_one_object_for_each_accepted_notification_and_nothing_else_after_the_start() {
    for (format, duplicates) in [("text", "mark"), ("json", "mark"), ("text", "drop")] {
        let bench = Bench::with(|options| {
            options
                .set("logs.stdout", "messages")
                .set("logs.format", format)
                .set("accept.duplicates", duplicates)
        });
        let plain = bench.draft().sign(&key(512));
        let hostile = bench.draft_in(mns_endpoint::mns::ContentFormat::Simplified);
        let hostile = hostile
            .swap_body(HOSTILE)
            .notation(mns_endpoint::mns::Notation::Hex)
            .set("x-mns-message-tag", "vip")
            .sign(&key(512));
        let late = bench.draft().set("Date", crate::support::date(-3600));
        let forged = bench.draft().sign(&key(1024));
        for (draft, status) in [
            (&plain, 201),
            (&forged, 403),
            (&hostile, 201),
            (&plain, 201),
            (&late.sign(&key(512)), 201),
        ] {
            assert_eq!(bench.endpoint.exchange(&draft.wire()).status, status);
        }
        let log = bench.endpoint.endpoint_log();
        let (printed, _dir) = bench.endpoint.stop();
        // The lines of the start come first.
        let printed = &printed[printed.find('{').unwrap()..];
        let found = objects(printed);
        let outcomes: Vec<&str> = found
            .iter()
            .map(|object| object["outcome"].as_str().unwrap())
            .collect();
        // A dropped duplicate only leaves an access line.
        let expected: &[&str] = match duplicates {
            "mark" => &["accepted", "accepted", "duplicate", "accepted"],
            _ => &["accepted"; 3],
        };
        assert_eq!(outcomes, expected);
        assert_eq!(bytes(&found[1], "Message"), HOSTILE);
        assert_eq!(bytes(&found[1], "MessageTag"), b"vip");
        assert_eq!(found.last().unwrap()["Reason"], "date_late");
        assert!(!printed.contains(['\u{1b}', '\u{202e}']));
        if format == "text" {
            // The names and values of the log.
            let outcomes = records(&log)
                .into_iter()
                .filter(|entry| ["receive.rs:2", "receive.rs:6"].contains(&entry.place.as_str()));
            let outcomes: Vec<_> = outcomes.collect();
            assert_eq!(outcomes.len(), found.len());
            for (object, entry) in found.iter().zip(&outcomes) {
                for name in ATTRIBUTES {
                    assert_eq!(Some(bytes(object, name)), attribute(entry, name), "{name}");
                }
            }
        } else {
            let logged = objects(&log);
            let outcomes = logged.iter().filter(|record| {
                record["event"]
                    .as_str()
                    .unwrap()
                    .starts_with("Notify Message")
            });
            for (object, record) in found.iter().zip(outcomes) {
                for name in ATTRIBUTES.iter().chain(&["time"]) {
                    assert_eq!(object[*name], record[*name], "{name}");
                }
            }
        }
    }
}

#[test]
fn the_diagnostic_log_is_one_object_per_line_on_demand() {
    let bench = Bench::with(|options| {
        options
            .set("telemetry.format", "json")
            .set("logs.diagnostics", "true")
    });
    bench.accept(&bench.draft().sign(&key(512)));
    // Another thread saves the certificate, and a slow disk may take longer than the stop.
    bench
        .endpoint
        .assert_tells("Cached a signing certificate on disk");
    let (_printed, dir) = bench.endpoint.stop();
    let stderr = std::fs::read_to_string(dir.path().join("stderr")).unwrap();
    let daily = std::fs::read_dir(dir.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("/diagnostics."))
        .unwrap();
    assert_eq!(stderr, std::fs::read_to_string(daily).unwrap());
    let found = objects(&stderr);
    assert!(found.len() > 2);
    for line in &found {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(["INFO", "WARN"].contains(&line["level"].as_str().unwrap()));
        assert!(!line["message"].as_str().unwrap().is_empty());
    }
    let last = found.last().unwrap();
    assert_eq!(
        (&last["message"], &last["broken_heads"]),
        (&Value::from("Stopped"), &Value::from(0))
    );
}
