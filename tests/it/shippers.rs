//! The settings for log shippers in `deploy/`: their patterns are applied to every kind of record
//! and line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mns_endpoint::journal::{Log, Names};
use regex::Regex;
use serde_json::Value;
use strum::IntoEnumIterator as _;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// All records, split by the empty line at their end and by no pattern.
fn golden() -> Vec<String> {
    let text = file("tests/golden/endpoint_log.txt");
    let records: Vec<String> = text
        .split_terminator("\n\n")
        .map(|record| format!("{record}\n"))
        .collect();
    assert!(records.len() > 20);
    records
}

/// The events of a shipper for a log in which each line that satisfies `begins` starts one.
fn events(log: &str, begins: impl Fn(&str) -> bool) -> Vec<String> {
    let mut events: Vec<Vec<&str>> = Vec::new();
    for line in log.lines() {
        match events.last_mut() {
            Some(event) if !begins(line) => event.push(line),
            Some(_) | None => events.push(vec![line]),
        }
    }
    events.iter().map(|lines| lines.join("\n")).collect()
}

/// The only value of a key, unquoted.
fn yaml<'t>(text: &'t str, key: &str) -> &'t str {
    let line = Regex::new(&format!(r"(?m)^ *{key}: (.+)$")).unwrap();
    let found: Vec<&str> = line
        .captures_iter(text)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert_eq!(found.len(), 1, "{key}");
    found[0].trim_matches('\'')
}

fn logtail(log: &str) -> Value {
    let all: Vec<Value> = serde_json::from_str(&file("deploy/logtail.json")).unwrap();
    let path = format!("{log}.8080");
    all.into_iter()
        .map(|one| one["inputDetail"].clone())
        .find(|one| one["filePattern"] == path.as_str())
        .unwrap()
}

/// Logtail's patterns must match from end to end.
fn whole(detail: &Value, key: &str) -> Regex {
    Regex::new(&format!(r"\A(?:{})\z", detail[key].as_str().unwrap())).unwrap()
}

/// The fields that Logtail extracts from an event, in the order of its keys.
fn fields(detail: &Value, event: &str) -> Vec<String> {
    let found = whole(detail, "regex")
        .captures(event)
        .unwrap_or_else(|| panic!("does not fit: {event}"));
    let fields: Vec<String> = found
        .iter()
        .skip(1)
        .map(|field| field.unwrap().as_str().to_owned())
        .collect();
    assert_eq!(fields.len(), detail["key"].as_array().unwrap().len());
    fields
}

#[test]
fn filebeat_takes_each_record_as_one_event() {
    let text = file("deploy/filebeat.yml");
    assert_eq!(
        (yaml(&text, "negate"), yaml(&text, "match")),
        ("true", "after")
    );
    let pattern = Regex::new(yaml(&text, "pattern")).unwrap();
    let log = file("tests/golden/endpoint_log.txt");
    assert_eq!(events(&log, |line| pattern.is_match(line)), golden());
    let lines_max: usize = yaml(&text, "max_lines").parse().unwrap();
    let bytes_max: usize = yaml(&text, "message_max_bytes").parse().unwrap();
    // A body of 512 KiB: each byte becomes an indented line, or an escape.
    assert!(
        lines_max > 512 * 1024 && bytes_max > 512 * 1024 * 6,
        "a record could be cut"
    );
}

#[test]
fn filebeat_reads_the_rotated_files_and_nothing_else() {
    let text = file("deploy/filebeat.yml");
    let inputs: Vec<&str> = text.split("- type: filestream").skip(1).collect();
    assert_eq!(inputs.len(), Log::iter().count());
    let dir = Path::new("/var/log/mns-endpoint");
    let names = Names {
        dir: dir.to_owned(),
        port: 8080,
    };
    let beside = |path: PathBuf, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    for input in &inputs {
        // Identified by the first 1024 bytes, the default of version 9, a short log would be
        // ignored.
        assert_eq!(
            (
                yaml(input, "prospector.scanner.fingerprint.enabled"),
                yaml(input, "file_identity.native")
            ),
            ("false", "~")
        );
    }
    for log in Log::iter() {
        let read = [
            names.live(log),
            names.rotated(log, 1),
            names.rotated(log, 12),
            names.rotated(log, 907),
        ];
        for path in &read {
            let readers = inputs.iter().filter(|input| is_read(input, path)).count();
            assert_eq!(readers, 1, "{}", path.display());
        }
        // Neither torn ends nor unacknowledged records, nothing compressed and nothing of other
        // ports.
        let not_read = [
            names.torn(log),
            names.suspect(log, 0),
            names.suspect(log, 3),
            names.lock(),
            names.snapshot(),
            beside(names.snapshot(), ".new"),
            beside(names.live(log), ".seen"),
            beside(names.rotated(log, 12), ".gz"),
            Names {
                dir: dir.to_owned(),
                port: 80,
            }
            .rotated(log, 8080),
            Names {
                dir: dir.to_owned(),
                port: 18080,
            }
            .live(log),
        ];
        for path in &not_read {
            assert!(
                !inputs.iter().any(|input| is_read(input, path)),
                "{}",
                path.display()
            );
        }
    }
}

/// Whether an input of Filebeat has a glob that matches this path, and no pattern that excludes it.
fn is_read(input: &str, path: &Path) -> bool {
    let path = path.to_str().unwrap();
    let globs = Regex::new(r"(?m)^ *- (/\S+)$").unwrap();
    let mut globs = globs
        .captures_iter(input)
        .map(|found| glob(&found[1]))
        .peekable();
    assert!(globs.peek().is_some(), "an input without paths");
    let list = yaml(input, "prospector.scanner.exclude_files");
    let excluded = Regex::new(r"'([^']+)'").unwrap();
    let mut excluded = excluded
        .captures_iter(list)
        .map(|found| Regex::new(&found[1]).unwrap());
    globs.any(|glob| glob.is_match(path)) && !excluded.any(|pattern| pattern.is_match(path))
}

/// Converts a glob of Go to a pattern, as far as needed: `*` within a directory, and character
/// classes.
fn glob(glob: &str) -> Regex {
    assert!(!glob.contains(['?', '\\', '{']), "{glob}");
    Regex::new(&format!(
        r"\A{}\z",
        glob.replace('.', r"\.").replace('*', "[^/]*")
    ))
    .unwrap()
}

#[test]
fn the_command_of_the_docs_prints_one_whole_record() {
    let docs = file("docs/operations.md");
    let command = docs.lines().find(|line| line.starts_with("awk ")).unwrap();
    let id = Regex::new("[0-9A-F]{32}")
        .unwrap()
        .find(command)
        .unwrap()
        .as_str();
    let golden = golden();
    let record = golden
        .iter()
        .find(|record| record.contains("\nMessageId ") && record.contains("\n    "))
        .unwrap();
    let named = Regex::new(r"\nMessageId +: (\S+)")
        .unwrap()
        .captures(record)
        .unwrap()[1]
        .to_owned();
    let command = command
        .replace(id, &named)
        .replace("logs/endpoint_log.8080", "tests/golden/endpoint_log.txt");
    let mut shell = std::process::Command::new("/bin/sh");
    let printed = shell
        .args(["-c", &command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let ends = Regex::new(&format!(r"\nMessageId +: {named}(\n|$)")).unwrap();
    let expected: String = golden
        .iter()
        .filter(|record| ends.is_match(record))
        .map(|one| format!("{one}\n"))
        .collect();
    assert!(
        printed == expected && expected.contains(record.as_str()),
        "{printed}"
    );
}

#[test]
fn logtail_takes_each_record_as_one_event_with_its_fields() {
    let detail = logtail("endpoint_log");
    let begins = whole(&detail, "logBeginRegex");
    let events = events(&file("tests/golden/endpoint_log.txt"), |line| {
        begins.is_match(line)
    });
    assert_eq!(events, golden());
    let mut kinds = BTreeSet::new();
    for event in &events {
        let fields = fields(&detail, event);
        assert_eq!(
            (fields[0].as_str(), fields[1].as_str()),
            ("2016-05-17 17:10:56", "root")
        );
        kinds.insert((fields[2].clone(), fields[3].clone()));
        assert!(
            event.ends_with(&fields[5]) && fields[5].contains(['!', ':']),
            "{event}"
        );
    }
    assert!(kinds.contains(&("INFO".to_owned(), "receive.rs:2".to_owned())));
    assert!(kinds.contains(&("WARNING".to_owned(), "receive.rs:3".to_owned())));
}

#[test]
fn logtail_takes_an_access_line_apart_with_and_without_more_fields() {
    let detail = logtail("access_log");
    let golden = file("tests/golden/access_log.txt");
    assert!(golden.lines().count() > 10);
    for line in golden.lines() {
        let found = fields(&detail, line);
        assert_eq!(
            (found[0].as_str(), found[10].matches(" \"").count()),
            ("17/May/2016 17:10:56", 3),
            "{line}"
        );
        assert!(
            found[2]
                .parse::<u16>()
                .is_ok_and(|status| status == 201 || status >= 400),
            "{line}"
        );
        let bare = line.strip_suffix(&found[10]).unwrap();
        assert_eq!(fields(&detail, bare)[..10], found[..10]);
    }
    let left_out = file("tests/golden/left_out.txt");
    let line = left_out
        .lines()
        .find(|line| line.contains("refusals-left-out") && line.starts_with('['))
        .unwrap();
    assert_eq!(fields(&detail, line)[2], "0", "no answer has this status");
}
