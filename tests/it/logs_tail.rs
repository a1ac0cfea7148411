//! `logs tail` and `logs find` beside a real `serve`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mns_endpoint::mns::ContentFormat;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{
    Bench, CertificateHost, Draft, Ended, Endpoint, Options, Running, eventually, finish, key,
    program,
};

/// A command on the logs of an endpoint.
fn logs(dir: &Path, address: &str, args: &[&str]) -> Command {
    let mut command = program();
    command.current_dir(dir).arg("logs").args(args).args([
        "--log-dir",
        "logs",
        "--listen",
        address,
    ]);
    command
}

fn run(bench: &Bench, args: &[&str]) -> Ended {
    let address = bench.endpoint.address.to_string();
    finish(&mut logs(bench.endpoint.path(), &address, args), b"")
}

/// A push of SIMPLIFIED, whose tag and topic are in its headers.
fn tagged(bench: &Bench, message: &str, tag: &str, topic: &str) -> Draft {
    Draft::new(ContentFormat::Simplified, message, &bench.host.url("a.pem"))
        .set("x-mns-message-tag", tag)
        .set("x-mns-topic-name", topic)
        .set("x-mns-subscription-name", "billing")
        .sign(&key(512))
}

/// An endpoint with one row of each kind.
fn of_each_kind() -> (Bench, String) {
    let bench = Bench::with(|options| options);
    let paid = tagged(
        &bench,
        "{\"name\":\"\u{738b}\u{5c0f}\u{660e}\"}\n\u{202e}x",
        "vip",
        "orders",
    );
    bench.accept(&paid);
    bench.accept(&paid);
    let forged = tagged(&bench, "m", "", "payments").set("x-mns-version", "2");
    bench.ask(&forged);
    bench.ask(&bench.draft().without("Content-MD5"));
    bench.accept(&tagged(&bench, "aGVsbG8gd29ybGQ=", "", "stock"));
    let scanner = b"GET /wp-login.php HTTP/1.1\r\nhost: x\r\n\r\n";
    bench.endpoint.exchange(scanner);
    eventually("the last refusal is logged", || {
        bench
            .endpoint
            .endpoint_log()
            .contains("path_not_served")
            .then_some(())
    });
    (bench, paid.message_id)
}

fn without_time(text: &str) -> Vec<String> {
    let time = regex::Regex::new(r"^\d\d:\d\d:\d\d  ").unwrap();
    text.lines()
        .map(|line| {
            assert!(time.is_match(line), "{line}");
            time.replace(line, "").into_owned()
        })
        .collect()
}

#[test]
fn the_last_rows_are_shown_as_lines_as_json_as_messages_and_as_they_are() {
    let (bench, id) = of_each_kind();
    let shown = run(&bench, &["tail", "--no-follow", "--width", "0"]);
    shown.assert(0, "");
    assert_eq!(shown.stderr, "");
    let peer = r"POST /notifications 127\.0\.0\.1:\d+";
    let expected = [
        r#"201  orders/billing               \[vip\] \{"name":"王小明"\}\\x0a\\xe2\\x80\\xaex"#
            .to_owned(),
        format!("201  orders/billing               \\[vip\\] duplicate of {id}"),
        format!("403  payments/billing             signature_wrong: .* \\(claimed\\) {peer}"),
        format!("403  MyTopic1/MyTopic1-Sub1       header_missing: .* \\(claimed\\) {peer}"),
        "201  stock/billing                aGVsbG8gd29ybGQ=".to_owned(),
    ];
    let lines = without_time(&shown.stdout);
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(&expected) {
        let pattern = regex::Regex::new(&format!("^{expected}$")).unwrap();
        assert!(pattern.is_match(line), "{line} is not {expected}");
    }
    // Cut to a width, in columns.
    let cut = run(&bench, &["tail", "--no-follow", "--width", "60", "-n", "5"]);
    assert!(cut.stdout.lines().all(|line| line.chars().count() <= 60));
    // A scanner only if it is asked for.
    let all = run(&bench, &["tail", "--no-follow", "--all", "-n", "1"]);
    assert!(all.stdout.contains("404  -"), "{}", all.stdout);

    let json = run(&bench, &["tail", "--no-follow", "--output", "json"]);
    let objects: Vec<Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes: Vec<&str> = objects
        .iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(
        outcomes,
        ["accepted", "duplicate", "refused", "refused", "accepted"]
    );
    let names: Vec<&str> = objects[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "position",
            "time",
            "outcome",
            "status",
            "MessageMD5",
            "TopicOwner",
            "PublishTime",
            "Subscriber",
            "MessageTag",
            "SubscriptionName",
            "MessageId",
            "Message",
            "TopicName",
            "Peer",
            "Target"
        ]
    );
    assert_eq!(objects[0]["Message"], "{\"name\":\"王小明\"}\n\u{202e}x");
    assert_eq!(
        (&objects[0]["status"], &objects[0]["MessageId"]),
        (&201.into(), &id.into())
    );
    assert!(json.stdout.contains("\\u202e") && !json.stdout.contains('\u{202e}'));
    assert_eq!(objects[2]["Reason"], "signature_wrong");
    assert_eq!(objects[2]["Headers"]["x-mns-version"], "2");

    let message = run(
        &bench,
        &["tail", "--no-follow", "--message", "--topic", "orders"],
    );
    let exact = "{\"name\":\"王小明\"}\n\u{202e}x\n";
    assert_eq!(message.stdout, [exact, exact].concat());
    let decoded = [
        "tail",
        "--no-follow",
        "--message",
        "--decode",
        "base64",
        "-n",
        "1",
    ];
    assert_eq!(run(&bench, &decoded).stdout, "hello world\n");
    let raw = run(
        &bench,
        &[
            "tail",
            "--no-follow",
            "--output",
            "raw",
            "--all",
            "-n",
            "99",
        ],
    );
    assert_eq!(raw.stdout, bench.endpoint.endpoint_log());
    let colored = run(
        &bench,
        &["tail", "--no-follow", "--color", "always", "-n", "1"],
    );
    assert!(
        colored.stdout.contains("\x1b[32m201\x1b[0m"),
        "{:?}",
        colored.stdout
    );
}

#[test]
fn filters_are_anded_and_their_repeats_ored() {
    let (bench, id) = of_each_kind();
    let count = |args: &[&str]| {
        let args = [&["tail", "--no-follow", "-n", "99"], args].concat();
        let shown = run(&bench, &args);
        shown.assert(0, "");
        shown.stdout.lines().count()
    };
    let all = bench.log().len() - 3; // three requests have a record of their own
    for (args, expected) in [
        (&["--topic", "orders"][..], 2),
        (&["--topic", "orders", "--topic", "stock"], 3),
        (&["--topic", "orders", "--outcome", "duplicate"], 1),
        (&["--topic", "orders", "--outcome", "refused"], 0),
        (&["--outcome", "refused"], 2),
        (&["--reason", "signature_wrong"], 1),
        (&["--subscription", "billing"], 4),
        (&["--tag", "vip"], 2),
        (&["--message-id", &id], 2),
        (&["--peer", "127.0.0.0/8"], 5),
        (&["--peer", "10.0.0.0/8"], 0),
        (&["--contains", "王小明"], 2),
        (&["--contains", "NAME"], 0),
        (&["--contains", "HELLO", "--contains", "小明"], 2),
        (&["--since", "1h"], 5),
        (&["--until", "1h"], 0),
        (&["--all"], all),
    ] {
        assert_eq!(count(args), expected, "{args:?}");
    }
    run(&bench, &["tail", "--since", "soon"]).assert(1, "--since soon: write a span");
    run(&bench, &["tail", "--outcome", "odd"]).assert(2, "write accepted, duplicate");
    run(&bench, &["tail", "-f", "--no-follow"]).assert(2, "cannot be used with");
}

/// `logs tail` as it follows.
struct Following {
    child: Running,
    out: BufReader<std::process::ChildStdout>,
}

impl Following {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let address = bench.endpoint.address.to_string();
        let args = [&["tail"], args].concat();
        let mut child = logs(bench.endpoint.path(), &address, &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let child = Running(child);
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Its code and what it said.
    fn end(mut self) -> (i32, String) {
        drop(self.out);
        let code = self.child.0.wait().unwrap().code().unwrap();
        let mut told = String::new();
        self.child
            .0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        (code, told)
    }
}

#[test]
fn rows_that_come_are_shown_until_ctrl_c_or_until_nobody_reads() {
    let bench = Bench::with(|options| options);
    bench.accept(&tagged(&bench, "before", "", "orders"));
    let mut following = Following::start(&bench, &["-f", "-n", "1"]);
    assert!(following.line().contains("before"));
    bench.accept(&tagged(&bench, "after", "", "orders"));
    assert!(following.line().contains("after"));
    kill_process(Pid::from_child(&following.child.0), Signal::INT).unwrap();
    let (code, told) = following.end();
    assert_eq!(code, 0, "{told}");
    let live = format!("endpoint_log.{}", bench.endpoint.address.port());
    assert_eq!(told, format!("Following logs/{live}, Ctrl-C stops\n"));

    let mut following = Following::start(&bench, &["-n", "1"]);
    assert!(following.line().contains("after"));
    let (child, out) = (following.child, following.out);
    drop(out);
    let mut child = child;
    let code = eventually("it ends as nobody reads", || {
        bench.accept(&tagged(&bench, "unread", "", "orders"));
        child.0.try_wait().unwrap()
    });
    assert_eq!(code.code(), Some(0));
}

/// A consumer that appends what it gets to a file.
struct Appending<'a> {
    dir: &'a Path,
    address: String,
}

impl Appending<'_> {
    fn out(&self) -> PathBuf {
        self.dir.join("out.jsonl")
    }

    fn command(&self, more: &[&str]) -> Command {
        let args = [
            "tail", "--output", "json", "--state", "state", "--topic", "MyTopic1",
        ];
        let mut command = logs(self.dir, &self.address, &[&args, more].concat());
        let out = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.out());
        let told = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.join("stderr"));
        command.stdout(out.unwrap()).stderr(told.unwrap());
        command
    }

    fn start(&self) -> Child {
        self.command(&[]).spawn().unwrap()
    }

    /// Kills it in whatever it is at. A line that it was at is not delivered.
    fn kill(&self, mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
        let mut out = fs::read(self.out()).unwrap();
        let end = out
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        if end < out.len() {
            out.truncate(end);
            fs::write(self.out(), out).unwrap();
        }
    }

    /// How often each accepted message came; all but the first say that they may have come before.
    fn delivered(&self) -> BTreeMap<String, usize> {
        let mut delivered = BTreeMap::new();
        for line in fs::read_to_string(self.out()).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            if row["outcome"] != "accepted" {
                continue;
            }
            let id = row["MessageId"].as_str().unwrap().to_owned();
            let count = delivered.entry(id).or_insert(0);
            *count += 1;
            assert!(*count == 1 || row["may_repeat"] == true, "{line}");
        }
        delivered
    }
}

#[test]
fn nothing_is_missing_through_rotations_kills_of_both_sides_and_a_copy_that_was_cut() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix()).set("logs.rotate_size", "8KiB");
    let mut endpoint = Endpoint::start(&options);
    let address = endpoint.address.to_string();
    let options = options.set("server.listen", &address);
    let mut accepted = Vec::new();
    let mut push = |endpoint: &Endpoint, count: usize| {
        for _ in 0..count {
            let message = format!("message {}", accepted.len());
            let draft = Draft::new(ContentFormat::Xml, message, &host.url("a.pem"));
            let draft = draft.sign(&key(512));
            assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
            accepted.push(draft.message_id);
        }
        accepted.len()
    };
    for round in 0..9 {
        let consumer = Appending {
            dir: endpoint.path(),
            address: address.clone(),
        };
        let before = accepted_so_far(&consumer);
        let tail = consumer.start();
        let count = push(&endpoint, 7 + round);
        if round == 0 {
            eventually("it waits for more", || {
                (accepted_so_far(&consumer) == count).then_some(())
            });
            push(&endpoint, 7);
            eventually("it has seen a rotation", || {
                let told = fs::read_to_string(consumer.dir.join("stderr")).ok()?;
                told.contains("was rotated to .").then_some(())
            });
        } else if round % 2 == 0 {
            eventually("it has begun", || {
                (accepted_so_far(&consumer) > before).then_some(())
            });
        }
        consumer.kill(tail);
        push(&endpoint, 4);
        if round % 3 == 1 {
            endpoint = Endpoint::start_in(endpoint.kill(), &options);
        }
    }
    let port = endpoint.address.port();
    let live = endpoint.log_path("endpoint_log").with_extension("");
    let name = live.file_name().unwrap().to_owned();
    let log = |endpoint: &Endpoint, end: &str| {
        endpoint.path().join("logs").join(&name).with_extension(end)
    };
    let rotations = (1..)
        .take_while(|number| log(&endpoint, &format!("{port}.{number}")).exists())
        .count();
    assert!(rotations >= 25, "{rotations}");
    let finish = |consumer: &Appending<'_>, code: i32| {
        let status = consumer.command(&["--no-follow"]).status().unwrap();
        let told = fs::read_to_string(consumer.dir.join("stderr"));
        assert_eq!(status.code(), Some(code), "{told:?}");
    };
    finish(
        &Appending {
            dir: endpoint.path(),
            address: address.clone(),
        },
        0,
    );
    // Files that do not rotate, so that what is copied is what is read.
    let large = options.set("logs.rotate_size", "1MiB");
    endpoint = Endpoint::start_in(endpoint.kill(), &large);
    let consumer = Appending {
        dir: endpoint.path(),
        address,
    };
    finish(&consumer, 0);
    push(&endpoint, 2);
    let live = log(&endpoint, &port.to_string());
    fs::copy(&live, log(&endpoint, &format!("{port}.copy"))).unwrap();
    fs::write(&live, "").unwrap();
    let count = push(&endpoint, 9);
    // Whether something came between the copy and the cut nobody knows.
    finish(&consumer, 1);
    let told = fs::read_to_string(consumer.dir.join("stderr")).unwrap();
    assert!(told.contains("may have been missed"), "{told}");
    let delivered = consumer.delivered();
    let missing: Vec<&String> = accepted
        .iter()
        .filter(|id| !delivered.contains_key(*id))
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "of {count}");
    assert_eq!(delivered.len(), count);
    let repeated = delivered.values().filter(|count| **count > 1).count();
    let line =
        format!("{count} pushes, {rotations} rotations: none missing, {repeated} repeated\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    // All of it is read: one more start has nothing to say.
    let before = fs::metadata(consumer.out()).unwrap().len();
    finish(&consumer, 0);
    assert_eq!(fs::metadata(consumer.out()).unwrap().len(), before);
}

fn accepted_so_far(consumer: &Appending<'_>) -> usize {
    fs::read_to_string(consumer.out())
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn a_state_has_one_consumer_at_a_time() {
    let bench = Bench::with(|options| options);
    bench.accept(&tagged(&bench, "first", "", "orders"));
    let mut first = Following::start(&bench, &["--output", "json", "--state", "s"]);
    assert!(first.line().contains("first"));
    let second = ["tail", "--no-follow", "--state", "s"];
    let in_use = "s is in use: another logs tail or logs replay uses it";
    for args in [&second[..], &["replay", "--state", "s"]] {
        let refused = run(&bench, args);
        refused.assert(1, in_use);
        assert_eq!(refused.stdout, "");
    }
    // It only looks, and another state is another consumer's.
    run(&bench, &["replay", "--state", "s", "--dry-run"]).assert(0, "Would replay ");
    run(&bench, &["tail", "--no-follow", "--state", "t"]).assert(0, "first");
    // The lock ends with its process, in whatever way that ends.
    drop(first.child);
    run(&bench, &second).assert(0, "");
}

#[test]
fn a_row_is_done_when_its_position_comes_back() {
    let bench = Bench::with(|options| options);
    for number in 0..5 {
        bench.accept(&tagged(&bench, &format!("m{number}"), "", "orders"));
    }
    let address = bench.endpoint.address.to_string();
    let args = [
        "tail",
        "--no-follow",
        "--output",
        "json",
        "--state",
        "s",
        "--ack",
    ];
    let round = |acknowledged: usize| {
        let mut command = logs(bench.endpoint.path(), &address, &args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut rows = Vec::new();
        for _ in 0..acknowledged {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            let row: Value = serde_json::from_str(&line).unwrap();
            writeln!(stdin, "{}", row["position"].as_str().unwrap()).unwrap();
            rows.push((
                row["Message"].as_str().unwrap().to_owned(),
                row["may_repeat"] == true,
            ));
        }
        drop((stdin, out));
        assert_eq!(child.wait().unwrap().code(), Some(0));
        rows
    };
    let row = |number: usize, may_repeat| (format!("m{number}"), may_repeat);
    assert_eq!(round(2), [row(0, false), row(1, false)]);
    // The other three were written, and nobody said that they were worked off.
    assert_eq!(round(2), [row(2, true), row(3, true)]);
    bench.accept(&tagged(&bench, "m5", "", "orders"));
    assert_eq!(round(2), [row(4, true), row(5, false)]);
}

#[test]
fn a_search_finds_the_newest_first_and_ends_with_1_if_it_finds_nothing() {
    let (bench, id) = of_each_kind();
    let found = run(&bench, &["find", "王小明", "--width", "0"]);
    found.assert(0, "Found 2 in ");
    let line = |number: usize| found.stdout.lines().nth(number).unwrap().to_owned();
    let date = regex::Regex::new(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  201  ").unwrap();
    assert!(date.is_match(&line(0)) && line(0).ends_with(&format!("duplicate of {id}")));
    let end = format!("orders/billing               {id}  …ip] {{\"name\":\"王小明\"}}\\x0a");
    assert!(line(1).contains(&end), "{}", line(1));
    assert!(found.stderr.contains(", back to 20"), "{}", found.stderr);
    run(&bench, &["find", "nowhere"]).assert(1, "Found 0 in ");
    let limited = run(&bench, &["find", "--limit", "1", "--output", "json"]);
    let row: Value = serde_json::from_str(&limited.stdout).unwrap();
    assert_eq!(row["TopicName"], "stock");
    // Both conditions.
    run(&bench, &["find", "王小明", "--contains", "hello"]).assert(1, "Found 0 in ");
    let packed = bench
        .endpoint
        .log_path("endpoint_log")
        .display()
        .to_string()
        + ".7.gz";
    fs::write(&packed, "").unwrap();
    let told = run(&bench, &["find", "x"]).stderr;
    assert!(told.contains(".7.gz: left out: it is compressed"), "{told}");
}
