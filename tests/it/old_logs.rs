//! Logs of versions before `Target` are read like today's logs, by every reader.

use std::path::Path;

use mns_endpoint::journal::{
    Entry, FileOptions, Journal, Log, LogFiles, NotificationKey, Records, Settings, accepted,
    verify,
};

/// Both forms of the endpoint log, old and new.
const LOGS: [[&str; 2]; 2] = [
    ["before_target/endpoint_log.txt", "endpoint_log.txt"],
    ["before_target/endpoint_log.json", "endpoint_log.json"],
];

fn golden(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(dir.join(name)).unwrap()
}

fn keys(log: &[u8]) -> Vec<NotificationKey> {
    let mut records = Records::new(Log::Endpoint, log);
    let mut found = Vec::new();
    while let Some(record) = records.next_whole().unwrap() {
        found.extend(accepted(record));
    }
    found
}

#[test]
fn a_log_of_an_old_version_has_the_same_records_and_notifications() {
    for [old, new] in LOGS.map(|names| names.map(golden)) {
        let [was, is] = [&old, &new].map(|log| verify(Log::Endpoint, &log[..]).unwrap());
        assert_eq!((&was.problems, &is.problems), (&vec![], &vec![]));
        assert_eq!(
            (was.records, was.accepted, was.without_outcome),
            (is.records, is.accepted, is.without_outcome)
        );
        assert!(was.accepted >= 7 && was.accepted == keys(&old).len() as u64);
        assert_eq!(keys(&old), keys(&new));
        // A file written by both versions.
        let both = verify(Log::Endpoint, &[old, new].concat()[..]).unwrap();
        assert_eq!(
            (both.records, both.problems),
            (was.records + is.records, vec![])
        );
    }
    for form in ["txt", "json"] {
        let old = golden(&format!("before_target/access_log.{form}"));
        let new = golden(&format!("access_log.{form}"));
        let [was, is] = [&old, &new].map(|log| verify(Log::Access, &log[..]).unwrap());
        assert_eq!(
            (was.problems, was.records, was.accepted),
            (is.problems, is.records, is.accepted)
        );
    }
}

#[test]
fn notifications_in_logs_of_any_version_are_duplicates_after_a_start() {
    for name in LOGS.as_flattened() {
        let log = golden(name);
        let key = keys(&log).into_iter().next().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("endpoint_log.8080"), &log).unwrap();
        let files = LogFiles::open(FileOptions {
            dir: dir.path().to_owned(),
            port: 8080,
            mode: 0o640,
        })
        .unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (journal, _) = Journal::start(files, Settings::default(), None).unwrap();
            for (parts, is_duplicate) in [
                (key.parts(), true),
                ([&b"1"[..], b"MyTopic1", b"MyTopic1-Sub1", b"new"], false),
            ] {
                let entry = Entry {
                    identity: journal.identify(parts, None),
                    ..Entry::default()
                };
                let receipt = journal.append(entry).await.unwrap();
                assert_eq!(receipt.is_duplicate(), is_duplicate, "{name}");
            }
            journal.close().await.unwrap();
        });
    }
}
