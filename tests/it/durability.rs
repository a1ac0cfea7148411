//! A 201 is true: what was answered is on disk, whatever ends the process.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mns_endpoint::mns::ContentFormat;

use crate::support::{CertificateHost, Draft, Endpoint, Options, attribute, eventually, exchange, key, records, run};

fn push(host: &CertificateHost, message: &str) -> Draft {
    Draft::new(ContentFormat::Xml, message, &host.url("x.pem")).sign(&key(512))
}

/// The ids of all accepted notifications in a log, in order.
fn accepted(log: &str) -> Vec<String> {
    let succeeded = records(log).into_iter().filter(|entry| entry.text.starts_with("Notify Message Succeed!"));
    succeeded.map(|entry| String::from_utf8(attribute(&entry, "MessageId").unwrap()).unwrap()).collect()
}

#[test]
fn a_notification_is_in_both_logs_when_its_201_arrives() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    for number in 1..=50 {
        let draft = push(&host, "m");
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        // Read at once: nothing is waited for.
        let log = endpoint.endpoint_log();
        assert_eq!(accepted(&log).last(), Some(&draft.message_id));
        assert_eq!(endpoint.access_log().lines().count(), number);
    }
}

#[test]
fn nothing_that_was_answered_201_is_lost_to_kill_9_under_load() {
    const ROUNDS: usize = 5;
    const SENDERS: usize = 8;
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix()).set("server.listen", "127.0.0.1:0");
    let mut dir = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        // A new port each time, and so new logs: the round stands for itself.
        let endpoint = Endpoint::start_in(dir, &options);
        let (address, path) = (endpoint.address, endpoint.log_path("endpoint_log"));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
                let drafts: Vec<Draft> = (0..80).map(|_| push(&host, "m")).collect();
                std::thread::spawn(move || {
                    for draft in drafts {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        // A connection that breaks in the middle is what kill -9 looks like from here.
                        let answer = std::panic::catch_unwind(|| exchange(address, &draft.wire()).status);
                        match answer {
                            Ok(201) => acknowledged.lock().unwrap().push(draft.message_id),
                            Ok(_) | Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        let enough = 100 + round * 37;
        eventually("enough pushes are acknowledged", || (acknowledged.lock().unwrap().len() >= enough).then_some(()));
        dir = endpoint.kill();
        stop.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.join().unwrap();
        }
        let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let whole = log.rfind("\n\n").map_or("", |end| &log[..end + 2]);
        let mut found = accepted(whole);
        found.sort();
        let count = found.len();
        found.dedup();
        assert_eq!(found.len(), count, "a record stands there twice");
        for id in acknowledged.lock().unwrap().iter() {
            assert!(found.binary_search(id).is_ok(), "round {round}: {id} was answered 201 and is not in the log");
        }
    }
}

#[test]
fn what_a_crash_tore_is_set_aside_and_the_log_goes_on_behind_it() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix());
    let endpoint = Endpoint::start(&options);
    let port = endpoint.address.port().to_string();
    let first = push(&host, "first");
    assert_eq!(endpoint.exchange(&first.wire()).status, 201);
    let (endpoint_log, access_log) = (endpoint.log_path("endpoint_log"), endpoint.log_path("access_log"));
    let dir = endpoint.kill();
    let torn = b"[2026-11-24 10:00:00] [root] [INFO] [receive.rs:1] [7] Headers:x\n    y\0\0\0\n\n";
    let append = |path, bytes: &[u8]| {
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
    };
    append(&endpoint_log, torn);
    append(&access_log, b"[24/Nov/2026 10:00:00]\"PO");
    let again = Endpoint::start_in(dir, &options.set("server.listen", &format!("127.0.0.1:{port}")));
    let second = push(&host, "second");
    assert_eq!(again.exchange(&second.wire()).status, 201);
    assert_eq!(accepted(&again.endpoint_log()), [first.message_id, second.message_id]);
    assert_eq!(again.access_log().lines().count(), 2);
    assert_eq!(std::fs::read(again.log_path("endpoint_log").with_extension(format!("{port}.torn"))).unwrap(), torn);
    assert!(!again.endpoint_log().contains('\0'), "the torn end is still there");
    let told = again.told();
    assert!(
        told.contains("A crash left an unfinished record") && told.contains(&format!("bytes={}", torn.len())),
        "{told}"
    );
}

#[test]
fn two_processes_cannot_share_a_log() {
    let endpoint = Endpoint::start(&Options::default());
    let other_address = format!("127.0.0.2:{}", endpoint.address.port());
    let second = run(endpoint.path(), &["serve", "--log-dir", "logs", "--listen", &other_address]);
    second.assert(1, "in use by another process");
}
