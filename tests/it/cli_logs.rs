//! `logs verify` as a terminal shows it.

use std::fs;

use mns_endpoint::mns::ContentFormat;

use std::path::Path;

use crate::support::{Bench, CertificateHost, Draft, Ended, Endpoint, Options, key, run};

/// The directory of a stopped endpoint with five pushes and one refusal in its logs, and its
/// address.
fn five_pushes() -> (tempfile::TempDir, String) {
    let bench = Bench::with(|options| options);
    (0..5).for_each(|_| bench.accept(&bench.draft().sign(&key(512))));
    bench.endpoint.exchange(&bench.draft().wire());
    let address = bench.endpoint.address.to_string();
    (bench.endpoint.stop().1, address)
}

fn verify(dir: &Path, address: &str, more: &[&str]) -> Ended {
    run(
        dir,
        &[
            &["logs", "verify", "--log-dir", "logs", "--listen", address],
            more,
        ]
        .concat(),
    )
}

fn json(dir: &Path, address: &str) -> serde_json::Value {
    serde_json::from_str(&verify(dir, address, &["--output", "json"]).stdout).unwrap()
}

#[test]
fn files_that_are_left_out_are_counted_with_their_reason_and_all_is_there_as_json() {
    let (dir, address) = five_pushes();
    let port = address.split(':').nth(1).unwrap();
    for name in [
        format!("endpoint_log.{port}.7.gz"),
        format!("access_log.{port}-20261128"),
        format!("access_log.{port}0"),
    ] {
        fs::write(dir.path().join("logs").join(name), "x").unwrap();
    }
    let told = verify(dir.path(), &address, &[]);
    told.assert(
        0,
        &format!(
            "endpoint_log.{port}.7.gz: left out: it is compressed: decompress it to have it read\n"
        ),
    );
    told.assert(
        0,
        &format!("access_log.{port}-20261128: left out: its name does not end in .PORT.N\n"),
    );
    told.assert(0, "\n2 files read, 2 left out\n");
    assert!(
        !told.stdout.contains(&format!("access_log.{port}0")),
        "the file of another port"
    );
    let found = json(dir.path(), &address);
    assert_eq!(
        (&found["sound"], found["left_out"].as_array().unwrap().len()),
        (&true.into(), 2)
    );
    assert_eq!(
        found["left_out"][0]["reason"],
        "it is compressed: decompress it to have it read"
    );
    let file = |log: &str| {
        let files = found["files"].as_array().unwrap();
        files
            .iter()
            .find(|file| file["log"] == log)
            .unwrap()
            .clone()
    };
    let (endpoint, access) = (file("endpoint_log"), file("access_log"));
    assert_eq!(
        (&endpoint["accepted"], &endpoint["broken"]),
        (&5.into(), &0.into())
    );
    assert_eq!(
        (&access["accepted"], &access["records"]),
        (&5.into(), &6.into())
    );
    // A file that should have been read is not just a remark.
    let fifo = dir.path().join(format!("logs/endpoint_log.{port}.1"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    verify(dir.path(), &address, &[]).assert(1, "\n2 files read, 3 left out\n");
    assert_eq!(json(dir.path(), &address)["sound"], false);
}

#[test]
fn both_logs_are_compared() {
    let (dir, address) = five_pushes();
    let port = address.split(':').nth(1).unwrap();
    let (endpoint, access) = (
        format!("logs/endpoint_log.{port}"),
        format!("logs/access_log.{port}"),
    );
    let (endpoint, access) = (dir.path().join(endpoint), dir.path().join(access));
    verify(dir.path(), &address, &[]).assert(0, " with pushes compared, the same in both\n");
    let (records, lines) = (
        fs::read_to_string(&endpoint).unwrap(),
        fs::read_to_string(&access).unwrap(),
    );
    // A line of the access log is missing: a crash may cause that.
    let (first, rest) = lines.split_once('\n').unwrap();
    assert!(first.contains("\"201\""));
    fs::write(&access, rest).unwrap();
    let told = verify(dir.path(), &address, &[]);
    told.assert(
        0,
        "\nboth logs: 1 outcome in the endpoint log without a line in the access log, first in the \
         minute of 20",
    );
    assert_eq!(
        json(dir.path(), &address)["both"]["outcomes_without_line"],
        1
    );
    fs::write(&access, &lines).unwrap();
    // Both records of a push are missing, and each remaining record is complete.
    let all: Vec<&str> = records.split_inclusive("\n\n").collect();
    let request = all
        .iter()
        .position(|record| record.contains("Headers:"))
        .unwrap();
    assert!(all[request + 1].contains("Notify Message Succeed!"));
    fs::write(
        &endpoint,
        [&all[..request], &all[request + 2..]].concat().concat(),
    )
    .unwrap();
    let told = verify(dir.path(), &address, &[]);
    told.assert(
        1,
        "\nboth logs: 1 line of a 201 in the access log without an outcome in the endpoint log",
    );
    assert!(!told.stdout.contains("NOT all whole"), "{}", told.stdout);
    let found = json(dir.path(), &address);
    assert_eq!(
        (&found["sound"], &found["both"]["lines_without_outcome"]),
        (&false.into(), &1.into())
    );
}

#[test]
fn logs_that_cannot_be_compared_are_not_called_damaged() {
    // With "drop" a duplicate only leaves its access line.
    let bench = Bench::with(|options| options.set("accept.duplicates", "drop"));
    let draft = bench.draft().sign(&key(512));
    (0..3).for_each(|_| bench.accept(&draft));
    let address = bench.endpoint.address.to_string();
    let dir = bench.endpoint.stop().1;
    let dropping = ["--set", "accept.duplicates=drop"];
    verify(dir.path(), &address, &dropping).assert(
        0,
        "\nboth logs: not compared: with accept.duplicates = \"drop\"",
    );

    let (dir, address) = five_pushes();
    let port = address.split(':').nth(1).unwrap();
    let at = |name: &str| dir.path().join("logs").join(format!("{name}.{port}"));
    // Summer time ended, or a clock was set back: the same minutes occur again.
    let records = fs::read_to_string(at("endpoint_log")).unwrap();
    let later = format!(
        "[2099-01-01 00:00:00] [root] [INFO] [serve.rs:1] [1] Start Endpoint! Address: \
         x\n\n{records}"
    );
    fs::write(at("endpoint_log"), later).unwrap();
    fs::write(
        at("access_log"),
        format!("{0}{0}", fs::read_to_string(at("access_log")).unwrap()),
    )
    .unwrap();
    verify(dir.path(), &address, &[]).assert(0, "\nboth logs: not compared: their times go back");
    // Of the rotated files only the older one was decompressed.
    fs::write(at("endpoint_log"), "").unwrap();
    fs::write(
        at("endpoint_log").with_extension(format!("{port}.7")),
        &records,
    )
    .unwrap();
    fs::write(
        at("endpoint_log").with_extension(format!("{port}.8.gz")),
        "x",
    )
    .unwrap();
    verify(dir.path(), &address, &[]).assert(0, "\nboth logs: not compared: a file between others");
}

#[test]
fn verify_reads_all_files_of_a_port_and_reports_damage_and_torn_ends() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix()).set("logs.rotate_size", "8KiB");
    let endpoint = Endpoint::start(&options);
    let (address, live) = (
        endpoint.address.to_string(),
        endpoint.log_path("endpoint_log"),
    );
    let draft = Draft::new(ContentFormat::Xml, "two\n\nlines", &host.url("x.pem")).sign(&key(512));
    for _ in 0..20 {
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
    }
    assert_eq!(
        endpoint
            .exchange(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            .status,
        404
    );
    let verify = |dir: &Path| {
        run(
            dir,
            &["logs", "verify", "--log-dir", "logs", "--listen", &address],
        )
    };
    // While serve is running.
    let told = verify(endpoint.path());
    told.assert(0, ", all whole");
    assert!(
        !told.stdout.contains("broken") && told.stdout.matches("all whole").count() >= 5,
        "{}",
        told.stdout
    );
    let counted = |what: &str| -> usize {
        let files = told
            .stdout
            .lines()
            .filter(|line| line.contains("/endpoint_log."));
        let counts = files.filter_map(|line| {
            line.split(", ")
                .find_map(|part| part.trim_end_matches('s').strip_suffix(what))
        });
        counts.map(|count| count.parse::<usize>().unwrap()).sum()
    };
    assert_eq!((counted(" accepted"), counted(" duplicate")), (1, 19));
    // A torn end is reported both before the start that truncates it and after.
    let dir = endpoint.kill();
    let whole = fs::read(&live).unwrap();
    fs::write(&live, [&whole[..], b"[2026-11"].concat()).unwrap();
    verify(dir.path()).assert(
        0,
        "8 bytes of a record that is being written, or that a crash left",
    );
    let again = Endpoint::start_in(dir, &options.set("server.listen", &address));
    let dir = again.stop().1;
    verify(dir.path()).assert(0, ".torn: 8 bytes that crashes cut off");
    // One byte is changed.
    let first = dir.path().join(format!(
        "logs/endpoint_log.{}.1",
        address.split(':').nth(1).unwrap()
    ));
    let mut bytes = fs::read(&first).unwrap();
    let place = bytes.len() / 2;
    bytes[place] = 0;
    fs::write(&first, bytes).unwrap();
    let told = verify(dir.path());
    told.assert(1, "NOT all whole");
    told.assert(1, "is broken: it has control characters");
    // A rotated file is complete: a missing end is damage, even at the end of a record.
    let second = fs::read(first.with_extension("2")).unwrap();
    let whole = second.strip_suffix(b"\n").unwrap();
    let outcome = whole.windows(2).rposition(|pair| pair == b"\n\n").unwrap() + 2;
    for (end, problem) in [
        (whole.len(), "its end is missing"),
        (outcome, "its outcome does not follow"),
    ] {
        fs::write(&first, &whole[..end]).unwrap();
        verify(dir.path()).assert(1, problem);
    }
    verify(tempfile::tempdir().unwrap().path()).assert(1, "cannot read logs");
}
