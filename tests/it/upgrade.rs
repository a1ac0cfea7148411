//! Files of builds without a commit log, which synced both logs, opened by this build and vice
//! versa.

use std::fs;
use std::path::{Path, PathBuf};

use mns_endpoint::mns::ContentFormat;
use tempfile::TempDir;

use crate::support::{CertificateHost, Draft, Endpoint, Options, attribute, key, program, records};

/// The files of such a build after a kill: two messages, the first of them twice. The port in the
/// names is 8080.
const KILLED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/two-syncs/killed"
);
/// The same after a stop and with a third message.
const STOPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/two-syncs/stopped"
);
/// An older build that alternates with this one.
const OLDER: &str = "OLDER_BUILD";

/// The ids of a log's messages, and whether each is a duplicate, in order.
fn messages(log: &str) -> Vec<(String, bool)> {
    let outcomes = records(log)
        .into_iter()
        .filter(|record| record.text.starts_with("Notify Message "));
    outcomes
        .map(|record| {
            let id = String::from_utf8(attribute(&record, "MessageId").unwrap()).unwrap();
            (id, record.text.starts_with("Notify Message Duplicate!"))
        })
        .collect()
}

/// Replaces this endpoint's logs with the files of an older build.
fn replace_logs(logs: &Path, left: &str, port: u16) {
    fs::remove_dir_all(logs).unwrap();
    fs::create_dir(logs).unwrap();
    for file in fs::read_dir(left).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name.replace("8080", &port.to_string());
        fs::copy(&path, logs.join(name)).unwrap();
    }
}

fn push(host: &CertificateHost, id: &str) -> Draft {
    Draft::of(id, ContentFormat::Xml, b"text", &host.url("x.pem")).sign(&key(512))
}

#[test]
fn logs_without_a_commit_log_are_preserved_and_their_messages_known() {
    let host = CertificateHost::serving(&key(512));
    for (left, count) in [(KILLED, 3), (STOPPED, 4)] {
        let options = Options::trusting(host.prefix());
        let empty = Endpoint::start(&options);
        let (port, options) = (
            empty.address.port(),
            options.set("server.listen", &empty.address.to_string()),
        );
        let dir = empty.stop().1;
        replace_logs(&dir.path().join("logs"), left, port);
        let before = fs::read_to_string(dir.path().join(format!("logs/endpoint_log.{port}")));
        let endpoint = Endpoint::start_in(dir, &options);
        let known = messages(&before.unwrap());
        assert_eq!(known.len(), count);
        let [(first, false), .., (last, _)] = known.as_slice() else {
            panic!("{known:?}");
        };
        for id in [first, last, "000000000000000000000000000000FF"] {
            assert_eq!(endpoint.exchange(&push(&host, id).wire()).status, 201);
        }
        let mut expected = known.clone();
        expected.extend([
            (first.clone(), true),
            (last.clone(), true),
            ("000000000000000000000000000000FF".to_owned(), false),
        ]);
        assert_eq!(messages(&endpoint.endpoint_log()), expected);
        assert_eq!(endpoint.access_log().lines().count(), expected.len());
    }
}

/// With the program of an older build in [`OLDER`]: stops and kills of both, each followed by the
/// other build on the same files.
#[test]
#[ignore = "needs a build without a commit log, which .ci/long makes"]
fn an_older_build_and_this_one_take_turns_on_the_same_files() {
    let older = PathBuf::from(std::env::var_os(OLDER).expect(OLDER));
    let host = CertificateHost::serving(&key(512));
    let mut turns = Turns {
        host: &host,
        this: Options::trusting(host.prefix()),
        dir: Some(tempfile::tempdir().unwrap()),
        sent: Vec::new(),
    };
    let older = Options {
        older: Some(older),
        ..Options::default()
    };
    for is_older in [true, false, true, false, false, true, false] {
        for is_killed in [false, true] {
            turns.run(is_older.then_some(&older), is_killed);
        }
    }
}

/// Two builds that alternate on one directory.
struct Turns<'a> {
    host: &'a CertificateHost,
    this: Options,
    dir: Option<TempDir>,
    sent: Vec<Draft>,
}

impl Turns<'_> {
    /// Sends all earlier pushes again and a new one, then ends the endpoint.
    fn run(&mut self, older: Option<&Options>, is_killed: bool) {
        let options = Options {
            older: older.and_then(|options| options.older.clone()),
            ..self.this.clone()
        };
        let endpoint = Endpoint::start_in(self.dir.take().unwrap(), &options);
        let address = endpoint.address.to_string();
        if self.sent.is_empty() {
            self.this = self.this.clone().set("server.listen", &address);
        }
        let log = messages(&endpoint.endpoint_log());
        for draft in &self.sent {
            let of_this = (draft.message_id.clone(), false);
            assert_eq!(log.iter().filter(|message| **message == of_this).count(), 1);
            assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        }
        let draft = push(self.host, &format!("{:032X}", self.sent.len()));
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        let log = messages(&endpoint.endpoint_log());
        let (again, last) = log[log.len() - self.sent.len() - 1..].split_at(self.sent.len());
        assert!(
            again.iter().all(|(_, is_duplicate)| *is_duplicate),
            "{log:?}"
        );
        assert!(!last[0].1, "{log:?}");
        self.sent.push(draft);
        let dir = if is_killed {
            endpoint.kill()
        } else {
            endpoint.stop().1
        };
        if older.is_none() {
            // As docs/migration.md says, before an older build is started after a crash.
            Self::complete(&dir);
        }
        self.dir = Some(dir);
    }

    fn complete(dir: &TempDir) {
        let mut repair = program();
        repair.current_dir(dir.path());
        let repaired = repair
            .args(["logs", "repair", "--log-dir", "logs"])
            .output();
        let repaired = repaired.unwrap();
        assert!(repaired.status.success(), "{repaired:?}");
    }
}
