//! `logs replay` against receivers on loopback.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;
use mns_endpoint::traces::TraceContext;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Bench, Draft, Ended, Endpoint, Identity, Options, Running, eventually, finish, key, program,
    read_request,
};

fn command(bench: &Bench, args: &[&str]) -> Command {
    let address = bench.endpoint.address.to_string();
    let mut command = program();
    command
        .current_dir(bench.endpoint.path())
        .args(["logs", "replay", "--log-dir", "logs", "--listen", &address])
        .args(args);
    command
}

fn replay(bench: &Bench, args: &[&str]) -> Ended {
    finish(&mut command(bench, args), b"")
}

/// A receiver that answers each request with the next of its statuses, then with 200.
fn receiver(statuses: Vec<&'static str>) -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut statuses = statuses.into_iter();
    receiver_that(move || statuses.next().unwrap_or("200 OK"))
}

/// A receiver that answers each request with what a closure returns after it came.
fn receiver_that(
    mut status: impl FnMut() -> &'static str + Send + 'static,
) -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let taken = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            taken.lock().unwrap().push(read_request(&mut stream));
            let status = status();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, received)
}

fn bodies(received: &Mutex<Vec<Vec<u8>>>) -> Vec<String> {
    let received = received.lock().unwrap();
    let body = |request: &Vec<u8>| {
        let text = String::from_utf8(request.clone()).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    received.iter().map(body).collect()
}

fn saying(bench: &Bench, message: &str) -> Draft {
    Draft::new(ContentFormat::Simplified, message, &bench.host.url("a.pem")).sign(&key(512))
}

fn with_messages(messages: &[&str]) -> (Bench, Vec<Draft>) {
    let bench = Bench::with(|options| options);
    let drafts: Vec<Draft> = messages
        .iter()
        .map(|message| saying(&bench, message))
        .collect();
    drafts.iter().for_each(|draft| bench.accept(draft));
    (bench, drafts)
}

#[test]
fn accepted_messages_are_posted_once_and_in_order_and_the_state_goes_on() {
    let (bench, drafts) = with_messages(&["one", "two", "three"]);
    bench.accept(&drafts[0]);
    bench.ask(&bench.draft());
    let (url, received) = receiver(Vec::new());
    let dry = replay(&bench, &["--to", &url, "--dry-run"]);
    dry.assert(0, "Would replay 3 notifications from ");
    let args = ["--to", &url, "--state", "s"];
    replay(&bench, &args).assert(0, "Replayed 3 in ");
    assert_eq!(bodies(&received), ["one", "two", "three"]);
    let first = String::from_utf8(received.lock().unwrap()[0].clone()).unwrap();
    assert!(first.starts_with("POST /hook HTTP/1.1\r\n"), "{first}");
    let id = format!("\r\nmns-message-id: {}\r\n", drafts[0].message_id);
    assert!(first.contains(&id) && first.contains("\r\nmns-topic-name: MyTopic1\r\n"));
    assert!(first.contains("\r\nmns-endpoint-replay: 1\r\n"));
    replay(&bench, &args).assert(0, "Replaying 0 notifications");
    assert_eq!(received.lock().unwrap().len(), 3);
    replay(&bench, &["--to", &url, "--state", "s", "--restart"]).assert(0, "Replayed 3 in ");
    // As it was sent, signature and all.
    replay(
        &bench,
        &["--to", &url, "--as", "request", "--concurrency", "3"],
    )
    .assert(0, "Replayed 3");
    let last = received.lock().unwrap().last().unwrap().clone();
    assert!(
        String::from_utf8(last)
            .unwrap()
            .contains("\r\nauthorization: ")
    );
    // Without a receiver it is JSON.
    let printed = replay(&bench, &[]);
    assert_eq!(printed.stdout.lines().count(), 3);
    assert!(printed.stdout.contains("\"Message\":\"two\""));
}

#[test]
fn a_failure_is_tried_again_and_then_stops_where_it_was() {
    let (bench, drafts) = with_messages(&["one", "two", "three"]);
    let down = "503 Service Unavailable";
    let (url, received) = receiver(vec!["200 OK", down, down, "200 OK"]);
    let args = ["--to", &url, "--state", "s", "--retries", "1"];
    let stopped = replay(&bench, &args);
    stopped.assert(1, "was not delivered: it was answered 503");
    assert!(
        stopped.stderr.contains(&drafts[1].message_id),
        "{}",
        stopped.stderr
    );
    assert_eq!(bodies(&received), ["one", "two", "two"]);
    replay(&bench, &args).assert(0, "Replayed 2 in ");
    assert_eq!(bodies(&received), ["one", "two", "two", "two", "three"]);
}

#[test]
fn following_sends_what_arrives_and_ctrl_c_finishes_what_is_in_flight() {
    let (bench, _) = with_messages(&["one"]);
    // Holds back the answer to the third.
    let (answer, held) = mpsc::channel();
    let mut count = 0;
    let (url, received) = receiver_that(move || {
        count += 1;
        if count == 3 {
            held.recv().unwrap();
        }
        "200 OK"
    });
    let args = ["--to", &url, "--state", "s"];
    let follow = [&args[..], &["--follow", "--concurrency", "2"]].concat();
    let mut following = Running(command(&bench, &follow).spawn().unwrap());
    let arrived = |number: usize| {
        eventually("it is sent", || {
            (bodies(&received).len() == number).then_some(())
        });
    };
    arrived(1);
    bench.accept(&saying(&bench, "two"));
    arrived(2);
    bench.accept(&saying(&bench, "three"));
    arrived(3);
    kill_process(Pid::from_child(&following.0), Signal::INT).unwrap();
    bench.accept(&saying(&bench, "four"));
    assert_eq!(
        following.0.try_wait().unwrap(),
        None,
        "it waits for its answer"
    );
    answer.send(()).unwrap();
    let ended = eventually("it ends", || following.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    // The state is behind the third, and before the fourth.
    replay(&bench, &args).assert(0, "failed 0. State: s");
    assert_eq!(bodies(&received), ["one", "two", "three", "four"]);
}

#[test]
fn what_arrives_while_a_replay_starts_is_not_passed_over() {
    let (bench, _) = with_messages(&["one"]);
    let (url, received) = receiver(Vec::new());
    let args = ["--to", &url, "--follow", "--topic", "orders"];
    let mut command = command(&bench, &args);
    let mut following = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut told = String::new();
    let mut stderr = BufReader::new(following.0.stderr.take().unwrap());
    stderr.read_line(&mut told).unwrap();
    assert!(told.starts_with("Replaying 0 notifications"), "{told}");
    // It has counted, and may not have begun to follow.
    let draft = Draft::new(ContentFormat::Simplified, "two", &bench.host.url("a.pem"));
    bench.accept(&draft.set("x-mns-topic-name", "orders").sign(&key(512)));
    eventually("it is sent", || {
        (bodies(&received) == ["two"]).then_some(())
    });
    kill_process(Pid::from_child(&following.0), Signal::INT).unwrap();
    let ended = eventually("it ends", || following.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_rate_is_not_exceeded() {
    let (bench, _) = with_messages(&["one", "two", "three", "four", "five"]);
    let (url, received) = receiver(Vec::new());
    let begun = Instant::now();
    let replayed = replay(&bench, &["--to", &url, "--rate", "2/s"]);
    replayed.assert(0, ", at most 2/s\n");
    // Four pauses of half a second.
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let sent = bodies(&received);
    assert_eq!(sent, ["one", "two", "three", "four", "five"]);
}

#[test]
fn with_keep_going_those_that_fail_are_named_counted_and_left_behind() {
    let (bench, drafts) = with_messages(&["one", "two", "three", "four"]);
    let down = "503 Service Unavailable";
    let (url, received) = receiver(vec!["200 OK", down, down, "200 OK", down, down]);
    let args = [
        "--to",
        &url,
        "--state",
        "s",
        "--retries",
        "1",
        "--keep-going",
    ];
    let replayed = replay(&bench, &args);
    replayed.assert(1, "Replayed 2 in ");
    replayed.assert(1, "failed 2. State: s");
    for draft in [&drafts[1], &drafts[3]] {
        let failed = format!(
            "{} was not delivered: it was answered 503",
            draft.message_id
        );
        replayed.assert(1, &failed);
    }
    let sent = ["one", "two", "two", "three", "four", "four"];
    assert_eq!(bodies(&received), sent);
    replay(&bench, &args).assert(0, "Replaying 0 notifications");
    assert_eq!(bodies(&received), sent);
}

#[test]
fn an_https_receiver_is_checked_by_the_ca_that_is_named() {
    let (bench, _) = with_messages(&["one", "two"]);
    let dir = tempfile::tempdir().unwrap();
    Identity::new().write(dir.path());
    let options = Options::trusting(bench.host.prefix())
        .set("server.tls.certificate", "server.pem")
        .set("server.tls.private_key", "server.key");
    let receiver = Endpoint::start_in(dir, &options);
    let url = format!("https://localhost:{}", receiver.address.port());
    let args = ["--to", &url, "--as", "request", "--retries", "0"];
    let distrusted = replay(&bench, &args);
    distrusted.assert(
        1,
        "was issued by a CA that is not trusted here: name the file of its CA",
    );
    assert!(!receiver.endpoint_log().contains("Succeed!"));
    let ca = receiver.path().join("server.pem");
    let with_ca = [&args[..], &["--ca", ca.to_str().unwrap()]].concat();
    replay(&bench, &with_ca).assert(0, "Replayed 2 in ");
    // The signature of MNS is still on them.
    let log = receiver.endpoint_log();
    assert_eq!(log.matches("Notify Message Succeed!").count(), 2, "{log}");
}

#[test]
fn each_delivery_is_a_span_of_the_trace_that_the_environment_names() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (bench, _) = with_messages(&["one"]);
    // A proxy had put it into a trace of its own.
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    bench.accept(&saying(&bench, "two").add("traceparent", other));
    let (url, received) = receiver(Vec::new());
    for form in ["message", "request"] {
        for environment in [Some(TRACE), None] {
            received.lock().unwrap().clear();
            let mut command = command(&bench, &["--to", &url, "--as", form]);
            command.envs(environment.map(|value| ("TRACEPARENT", value)));
            finish(&mut command, b"").assert(0, "Replayed 2 in ");
            let sent: BTreeSet<String> = received
                .lock()
                .unwrap()
                .iter()
                .map(|request| {
                    let text = String::from_utf8_lossy(request).into_owned();
                    let values: Vec<&str> = text
                        .lines()
                        .filter_map(|line| line.strip_prefix("traceparent: "))
                        .collect();
                    assert_eq!(values.len(), 1, "{text}");
                    values[0].to_owned()
                })
                .collect();
            assert_eq!(sent.len(), 2, "each is a span of its own: {sent:?}");
            for value in &sent {
                assert!(TraceContext::parse(value.as_bytes()).unwrap().is_sampled);
                assert_eq!(value[..35] == TRACE[..35], environment.is_some(), "{value}");
            }
            assert!(!sent.contains(TRACE) && !sent.contains(other), "{sent:?}");
        }
    }
}
