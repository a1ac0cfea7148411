//! `logs replay` against receivers on loopback.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use mns_endpoint::mns::ContentFormat;

use crate::support::{Bench, Draft, Ended, finish, key, program, read_request};

fn replay(bench: &Bench, args: &[&str]) -> Ended {
    let address = bench.endpoint.address.to_string();
    let mut command = program();
    command
        .current_dir(bench.endpoint.path())
        .args(["logs", "replay", "--log-dir", "logs", "--listen", &address])
        .args(args);
    finish(&mut command, b"")
}

/// A receiver that answers each request with the next of its statuses, then with 200.
fn receiver(statuses: Vec<&'static str>) -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let (taken, mut statuses) = (received.clone(), statuses.into_iter());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            taken.lock().unwrap().push(read_request(&mut stream));
            let status = statuses.next().unwrap_or("200 OK");
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

fn with_messages(messages: &[&str]) -> (Bench, Vec<Draft>) {
    let bench = Bench::with(|options| options);
    let url = bench.host.url("a.pem");
    let drafts: Vec<Draft> = messages
        .iter()
        .map(|message| Draft::new(ContentFormat::Simplified, message, &url).sign(&key(512)))
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
