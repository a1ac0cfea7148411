//! A 201 is true: every acknowledged push is on disk, however the process ends.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mns_endpoint::mns::ContentFormat;

use crate::support::{
    CertificateHost, Draft, Endpoint, OFF, Options, attribute, eventually, exchange, key, records,
    run,
};

fn push(host: &CertificateHost, message: &str) -> Draft {
    Draft::new(ContentFormat::Xml, message, &host.url("x.pem")).sign(&key(512))
}

/// The ids of all accepted notifications in a log, in order.
fn accepted(log: &str) -> Vec<String> {
    let succeeded = records(log)
        .into_iter()
        .filter(|entry| entry.text.starts_with("Notify Message Succeed!"));
    succeeded
        .map(|entry| String::from_utf8(attribute(&entry, "MessageId").unwrap()).unwrap())
        .collect()
}

#[test]
fn a_notification_is_in_both_logs_when_its_201_arrives() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    for number in 1..=50 {
        let draft = push(&host, "m");
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        // Read at once, without waiting.
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
        // A new port, and so new logs, for each round: the rounds are independent.
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
                        // kill -9 looks like a broken connection to the client.
                        let answer =
                            std::panic::catch_unwind(|| exchange(address, &draft.wire()).status);
                        match answer {
                            Ok(201) => acknowledged.lock().unwrap().push(draft.message_id),
                            Ok(_) | Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        let enough = 100 + round * 37;
        eventually("enough pushes are acknowledged", || {
            (acknowledged.lock().unwrap().len() >= enough).then_some(())
        });
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
        assert_eq!(found.len(), count, "a record is there twice");
        for id in acknowledged.lock().unwrap().iter() {
            assert!(
                found.binary_search(id).is_ok(),
                "round {round}: {id} was answered 201 and is not in the log"
            );
        }
    }
}

#[test]
fn a_torn_end_is_set_aside_and_the_log_continues_after_it() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix());
    let endpoint = Endpoint::start(&options);
    let port = endpoint.address.port().to_string();
    let first = push(&host, "first");
    assert_eq!(endpoint.exchange(&first.wire()).status, 201);
    let (endpoint_log, access_log) = (
        endpoint.log_path("endpoint_log"),
        endpoint.log_path("access_log"),
    );
    let dir = endpoint.kill();
    let torn = b"[2026-11-24 10:00:00] [root] [INFO] [receive.rs:1] [7] Headers:x\n    y\0\0\0\n\n";
    let append = |path, bytes: &[u8]| {
        std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    append(&endpoint_log, torn);
    append(&access_log, b"[24/Nov/2026 10:00:00]\"PO");
    let again = Endpoint::start_in(
        dir,
        &options.set("server.listen", &format!("127.0.0.1:{port}")),
    );
    let second = push(&host, "second");
    assert_eq!(again.exchange(&second.wire()).status, 201);
    assert_eq!(
        accepted(&again.endpoint_log()),
        [first.message_id, second.message_id]
    );
    assert_eq!(again.access_log().lines().count(), 2);
    assert_eq!(
        std::fs::read(
            again
                .log_path("endpoint_log")
                .with_extension(format!("{port}.torn"))
        )
        .unwrap(),
        torn
    );
    assert!(
        !again.endpoint_log().contains('\0'),
        "the torn end is still there"
    );
    let told = again.told();
    assert!(
        told.contains("A crash left an unfinished record")
            && told.contains(&format!("bytes={}", torn.len())),
        "{told}"
    );
}

#[test]
fn two_processes_cannot_share_a_log() {
    let endpoint = Endpoint::start(&Options::default());
    let other_address = format!("127.0.0.2:{}", endpoint.address.port());
    let second = run(
        endpoint.path(),
        &["serve", "--log-dir", "logs", "--listen", &other_address],
    );
    second.assert(1, "in use by another process");
}

#[test]
fn a_blank_that_became_nul_affects_no_other_record_and_is_reported() {
    let host = CertificateHost::serving(&key(512));
    // With a commit log the start would repair it.
    let options = Options::trusting(host.prefix()).set("logs.commit_log", "off");
    let endpoint = Endpoint::start(&options);
    let address = endpoint.address.to_string();
    let options = options.set("server.listen", &address);
    for _ in 0..20 {
        assert_eq!(endpoint.exchange(&push(&host, "m").wire()).status, 201);
    }
    let (path, sent) = (
        endpoint.log_path("endpoint_log"),
        accepted(&endpoint.endpoint_log()),
    );
    let dir = endpoint.kill();
    let mut bytes = std::fs::read(&path).unwrap();
    // In the request of the second push.
    let place = String::from_utf8(bytes.clone())
        .unwrap()
        .match_indices("] Headers:")
        .nth(1)
        .unwrap()
        .0
        + 1;
    assert_eq!(bytes[place], b' ');
    bytes[place] = 0;
    std::fs::write(&path, &bytes).unwrap();
    let again = Endpoint::start_in(dir, &options);
    again.assert_tells("ERROR A log is damaged");
    let last = push(&host, "m");
    assert_eq!(again.exchange(&last.wire()).status, 201);
    let log = again.endpoint_log();
    assert!(log.as_bytes().starts_with(&bytes), "something was cut off");
    assert!(
        !path
            .with_extension(format!("{}.torn", again.address.port()))
            .exists()
    );
    assert_eq!(
        accepted(&log.replace('\0', " ")),
        [sent, vec![last.message_id]].concat()
    );
    let verify = ["logs", "verify", "--log-dir", "logs", "--listen", &address];
    run(again.path(), &verify).assert(1, "is broken: it has control characters");
    // While serve is running; an appended part makes it examine the file again.
    let mut bytes = log.into_bytes();
    let place = bytes.len() - 50;
    bytes[place] = 0;
    std::fs::write(&path, [&bytes[..], b"[2026"].concat()).unwrap();
    let last = push(&host, "m");
    assert_eq!(again.exchange(&last.wire()).status, 201);
    let log = again.endpoint_log();
    assert!(log.as_bytes().starts_with(&bytes), "something was cut off");
    assert_eq!(
        accepted(&log.replace('\0', " ")).last(),
        Some(&last.message_id)
    );
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk_and_heals_when_it_is_lifted() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    let process = Pid::from_raw(i32::try_from(endpoint.id()).unwrap());
    let limit = |current| {
        prlimit(
            process,
            Resource::Fsize,
            Rlimit {
                current,
                maximum: None,
            },
        )
        .map(drop)
        .unwrap()
    };
    let first = push(&host, "m");
    assert_eq!(endpoint.exchange(&first.wire()).status, 201);
    // In the middle of the next record.
    limit(Some(
        std::fs::metadata(endpoint.log_path("endpoint_log"))
            .unwrap()
            .len()
            + 100,
    ));
    for _ in 0..3 {
        assert_eq!(endpoint.exchange(&push(&host, "m").wire()).status, 503);
    }
    assert_eq!(
        endpoint
            .exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .status,
        503
    );
    limit(None);
    let second = push(&host, "m");
    assert_eq!(endpoint.exchange(&second.wire()).status, 201);
    assert_eq!(
        accepted(&endpoint.endpoint_log()),
        [first.message_id, second.message_id]
    );
    endpoint.stop();
}

#[test]
fn a_start_needs_no_stdout() {
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into()
    };
    let (reader, broken) = std::io::pipe().unwrap();
    drop(reader);
    for (stdout, redirect) in [
        (full(), ""),
        (Stdio::from(broken), ""),
        (Stdio::null(), ">&-"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .env_clear()
            .env("TZ", "UTC")
            .envs(OFF)
            .current_dir(dir.path());
        let script = format!("exec \"$0\" serve --log-dir logs --listen 127.0.0.1:0 {redirect}");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_mns-endpoint")])
            .stdin(Stdio::null())
            .stdout(stdout);
        let stderr = std::fs::File::create(dir.path().join("stderr")).unwrap();
        let mut child = command.stderr(stderr).spawn().unwrap();
        let address = eventually("it has started", || {
            let status = child.try_wait().unwrap();
            assert!(
                status.is_none(),
                "{status:?}: {}",
                std::fs::read_to_string(dir.path().join("stderr")).unwrap()
            );
            let logs = std::fs::read_dir(dir.path().join("logs"))
                .ok()?
                .filter_map(Result::ok)
                .map(|entry| entry.path());
            let log = logs.into_iter().find(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("endpoint_log")
            });
            let text = std::fs::read_to_string(log?).ok()?;
            let (_, address) = text.strip_suffix("\n\n")?.split_once("Address: http://")?;
            address.split('/').next()?.parse().ok()
        });
        for _ in 0..3 {
            assert_eq!(
                exchange(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status,
                200
            );
        }
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        assert!(child.wait().unwrap().success());
    }
}
