//! The consumers of `examples/`, each whose interpreter or compiler is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use mns_endpoint::mns::ContentFormat;

use crate::support::{Bench, Draft, finish, key};

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(file)
}

/// Whether a program is there. One that is required must be.
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
pub fn has(program: &str) -> bool {
    let is_there = Command::new(program).arg("--help").output().is_ok();
    if !is_there {
        let required = format!("REQUIRE_{}", program.to_uppercase());
        assert!(
            std::env::var_os(&required).is_none(),
            "{program} is missing, and {required} is set"
        );
        println!("SKIPPED: {program} is missing, so its consumer is NOT tested");
    }
    is_there
}

/// Runs the Go tool, which keeps what it has compiled for the next time.
fn go(args: &[&str], file: &Path) {
    let output = Command::new("go")
        .env(
            "GOCACHE",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"),
        )
        .env("GOPROXY", "off")
        .args(args)
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "go {args:?}: {output:?}");
}

#[test]
fn every_consumer_works_off_each_row_and_does_not_get_it_again() {
    let bench = Bench::with(|options| options);
    let messages = [&b"one"[..], b"two", b"three", b"\xff"];
    for message in messages {
        let url = bench.host.url("a.pem");
        let draft = Draft::new(ContentFormat::Simplified, message, &url);
        bench.accept(&draft.sign(&key(512)));
    }
    let address = bench.endpoint.address.to_string();
    for (program, file) in [
        ("python3", "consumer.py"),
        ("node", "consumer.mjs"),
        ("sh", "consumer.sh"),
        ("go", "consumer.go"),
    ] {
        if !has(program) {
            continue;
        }
        let file = example(file);
        let binary = bench.endpoint.path().join("consumer");
        if program == "go" {
            go(&["vet"], &file);
            go(&["build", "-o", binary.to_str().unwrap()], &file);
        }
        let run = || {
            let mut command = if program == "go" {
                Command::new(&binary)
            } else {
                let mut command = Command::new(program);
                command.arg(&file);
                command
            };
            command
                .current_dir(bench.endpoint.path())
                .env("TZ", "UTC")
                .arg(env!("CARGO_BIN_EXE_mns-endpoint"))
                .args(["logs", "tail", "--no-follow", "--output", "json", "--ack"])
                .args(["--log-dir", "logs", "--listen", &address])
                .args(["--state", &format!("{program}.state")]);
            finish(&mut command, b"")
        };
        let first = run();
        first.assert(0, "");
        // What is no text comes as base64.
        let shown = ["one", "two", "three", "/w=="];
        let lines: Vec<&str> = first.stdout.lines().collect();
        assert_eq!(lines.len(), messages.len(), "{program}: {first:?}");
        let has_all = lines
            .iter()
            .zip(shown)
            .all(|(line, message)| line.contains(message));
        assert!(has_all, "{program}: {lines:?}");
        let second = run();
        second.assert(0, "");
        assert_eq!(second.stdout, "", "{program}");
    }
}
