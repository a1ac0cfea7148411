//! The recipe of docs/operations.md under the real logrotate.
//!
//! Without logrotate this test prints that and passes, unless `REQUIRE_LOGROTATE` is set, as it is
//! in `.ci/run`.

use std::path::Path;
use std::process::Command;

use mns_endpoint::mns::ContentFormat;

use crate::support::{CertificateHost, Draft, Endpoint, Options, attribute, key, records};

const LOGROTATE: &str = "/usr/sbin/logrotate";
const OPERATIONS: &str = include_str!("../../docs/operations.md");

#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn is_there() -> bool {
    let is_there = Path::new(LOGROTATE).exists();
    assert!(
        is_there || std::env::var_os("REQUIRE_LOGROTATE").is_none(),
        "{LOGROTATE} is missing"
    );
    if !is_there {
        println!("SKIPPED: {LOGROTATE} is missing, so its recipe is NOT tested");
    }
    is_there
}

/// The recipe with the paths of this endpoint's logs.
fn recipe(endpoint: &Endpoint) -> String {
    let blocks: Vec<&str> = OPERATIONS.split("```").skip(1).step_by(2).collect();
    let mut blocks = blocks
        .into_iter()
        .filter(|block| block.contains("delaycompress"));
    let (block, None) = (blocks.next().unwrap(), blocks.next()) else {
        panic!("there are two recipes")
    };
    let [access, log] =
        ["access_log", "endpoint_log"].map(|name| endpoint.log_path(name).display().to_string());
    let text = block.replace("/var/log/mns-endpoint/access_log.8080", &access);
    text.replace("/var/log/mns-endpoint/endpoint_log.8080", &log)
}

#[test]
fn a_rename_is_noticed_without_a_signal_and_every_message_is_in_one_file() {
    if !is_there() {
        return;
    }
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix())
        .set("logs.rotate_size", "off")
        .set("logs.keep", "off");
    let endpoint = Endpoint::start(&options);
    let dir = endpoint.path().to_owned();
    std::fs::write(dir.join("logrotate.conf"), recipe(&endpoint)).unwrap();
    let mut published = Vec::new();
    for _ in 0..3 {
        let draft = Draft::new(ContentFormat::Xml, "m", &host.url("a.pem")).sign(&key(512));
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        published.push(draft.message_id);
        let mut command = Command::new(LOGROTATE);
        let rotated = command
            .current_dir(&dir)
            .args(["--force", "--state", "state", "logrotate.conf"])
            .output()
            .unwrap();
        assert!(
            rotated.status.success(),
            "{}",
            String::from_utf8_lossy(&rotated.stderr)
        );
    }
    let last = Draft::new(ContentFormat::Xml, "m", &host.url("a.pem")).sign(&key(512));
    assert_eq!(endpoint.exchange(&last.wire()).status, 201);
    published.push(last.message_id);
    let live = endpoint.log_path("endpoint_log");
    let log = |end: &str| std::path::PathBuf::from(format!("{}{end}", live.display()));
    let unpack = |path| {
        String::from_utf8(
            Command::new("gzip")
                .arg("-dc")
                .arg(path)
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap()
    };
    let read = |path| std::fs::read_to_string(path).unwrap();
    let files = [
        unpack(log(".3.gz")),
        unpack(log(".2.gz")),
        read(log(".1")),
        read(log("")),
    ];
    for (file, published) in files.iter().zip(&published) {
        let ids: Vec<_> = records(file)
            .iter()
            .filter_map(|record| attribute(record, "MessageId"))
            .collect();
        assert_eq!(ids, [published.as_bytes()]);
    }
}
