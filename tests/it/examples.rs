//! The consumers of `examples/`, each whose interpreter is there.

use std::path::Path;
use std::process::Command;

use mns_endpoint::mns::ContentFormat;

use crate::support::{Bench, Draft, finish, key};

#[test]
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn every_consumer_works_off_each_row_and_does_not_get_it_again() {
    let bench = Bench::with(|options| options);
    for message in ["one", "two", "three"] {
        let url = bench.host.url("a.pem");
        let draft = Draft::new(ContentFormat::Simplified, message, &url);
        bench.accept(&draft.sign(&key(512)));
    }
    let address = bench.endpoint.address.to_string();
    let consumers = [
        ("python3", &["consumer.py"][..]),
        ("node", &["consumer.mjs"]),
        ("sh", &["consumer.sh"]),
        ("go", &["run", "consumer.go"]),
    ];
    for (interpreter, consumer) in consumers {
        if Command::new(interpreter).arg("--help").output().is_err() {
            println!("SKIPPED: {interpreter} is missing, so its consumer is NOT tested");
            continue;
        }
        let run = || {
            let mut command = Command::new(interpreter);
            let (file, flags) = consumer.split_last().unwrap();
            let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
            command
                .current_dir(bench.endpoint.path())
                .env("TZ", "UTC")
                .args(flags)
                .arg(examples.join(file))
                .arg(env!("CARGO_BIN_EXE_mns-endpoint"))
                .args(["logs", "tail", "--no-follow", "--output", "json", "--ack"])
                .args(["--log-dir", "logs", "--listen", &address])
                .args(["--state", &format!("{interpreter}.state")]);
            finish(&mut command, b"")
        };
        let first = run();
        first.assert(0, "");
        let messages = ["one", "two", "three"];
        let lines: Vec<&str> = first.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{interpreter}: {first:?}");
        let has_all = lines
            .iter()
            .zip(messages)
            .all(|(line, message)| line.contains(message));
        assert!(has_all, "{interpreter}: {lines:?}");
        let second = run();
        second.assert(0, "");
        assert_eq!(second.stdout, "", "{interpreter}");
    }
}
