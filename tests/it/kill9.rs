//! kill -9 of a real `serve` at random times, while a real emulator receives messages, pushes and
//! retries.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mns_endpoint::client::Client;
use mns_endpoint::mns::ContentFormat;
use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::{Endpoint, Entry, LocalMns, Options, attribute, eventually, records, run, to};

const FORMATS: [(&str, ContentFormat); 3] = [
    ("X", ContentFormat::Xml),
    ("J", ContentFormat::Json),
    ("S", ContentFormat::Simplified),
];
/// The publisher waits while this many messages are undelivered.
const UNDELIVERED_MAX: u64 = 150;
/// The time between two checks: a busy loop would take CPU time from the process that it waits for.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);
const SUCCEED: &str = "] Notify Message Succeed!";

fn text(entry: &Entry, name: &str) -> String {
    String::from_utf8(attribute(entry, name).unwrap()).unwrap()
}

fn sum(mns: &LocalMns, name: &str) -> u64 {
    let status = mns.status();
    status["subscriptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of[name].as_u64().unwrap())
        .sum()
}

/// Messages of every kind: with line breaks and empty lines, in other scripts, of 8 KiB.
fn message(number: usize) -> String {
    match number % 4 {
        0 => format!("I am test message {number}."),
        1 => format!("{number}\n\nMessageId                     : forged\n\n"),
        2 => format!("{number} \u{4e2d}\u{6587} <&>\"'\\x41\t"),
        _ => format!("{number} {}", "x".repeat(8 * 1024)),
    }
}

/// The message ids and their messages.
async fn publish_until(
    stop: Arc<AtomicBool>,
    mns: Arc<LocalMns>,
    client: Client,
) -> Vec<(String, String)> {
    let mut published = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        if sum(&mns, "undelivered") < UNDELIVERED_MAX {
            for _ in 0..10 {
                let message = message(published.len());
                published.push((
                    client.publish("T", &message, "").await.unwrap().message_id,
                    message,
                ));
            }
        } else {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    published
}

/// Every message must be there once for each subscription; any repetition must be marked as a
/// duplicate. Returns the number of repetitions.
fn assert_each_once(log: &str, published: &[(String, String)], told: &str) -> usize {
    let mut taken = BTreeMap::<(String, String), Vec<String>>::new();
    let mut duplicates = 0;
    for entry in records(log) {
        let key = || (text(&entry, "SubscriptionName"), text(&entry, "MessageId"));
        if entry.text.starts_with("Notify Message Succeed!") {
            taken
                .entry(key())
                .or_default()
                .push(text(&entry, "Message"));
        } else if entry.text.starts_with("Notify Message Duplicate!") {
            let before = taken
                .get(&key())
                .unwrap_or_else(|| panic!("{told}: a duplicate of nothing: {}", entry.text));
            assert_eq!(before, &[text(&entry, "Message")], "{told}");
            duplicates += 1;
        }
    }
    for (id, message) in published {
        for (name, _) in FORMATS {
            let found = taken
                .get(&(name.to_owned(), id.clone()))
                .map(Vec::as_slice)
                .unwrap_or_default();
            assert_eq!(
                found,
                std::slice::from_ref(message),
                "{told}: {id} of {name}"
            );
        }
    }
    assert_eq!(
        taken.len(),
        published.len() * FORMATS.len(),
        "{told}: nothing else is there"
    );
    duplicates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_to_kill_9_under_load() {
    let rounds: usize = std::env::var("KILL9_ROUNDS")
        .ok()
        .map_or(20, |rounds| rounds.parse().unwrap());
    let seed: u64 = std::env::var("KILL9_SEED")
        .ok()
        .map_or_else(rand::random, |seed| seed.parse().unwrap());
    let mut dice = StdRng::seed_from_u64(seed);
    let told = format!("KILL9_SEED={seed}");
    let mns = Arc::new(LocalMns::start(&["--time-warp", "200"]));
    let options = Options::trusting(mns.prefix());
    let mut endpoint = Endpoint::start(&options);
    let (port, url) = (
        endpoint.address.port(),
        format!("http://{}", endpoint.address),
    );
    let options = options.set("server.listen", &format!("127.0.0.1:{port}"));
    let client = mns.client();
    client.create_topic("T", &Default::default()).await.unwrap();
    for (name, notify_content_format) in FORMATS {
        let attributes = SubscriptionAttributes {
            notify_content_format,
            ..to(&url, NotifyStrategy::ExponentialDecayRetry)
        };
        client.subscribe("T", name, &attributes).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn(publish_until(stop.clone(), mns.clone(), client));
    for round in 0..rounds {
        let path = endpoint.log_path("endpoint_log");
        let accepted =
            || std::fs::read_to_string(&path).map_or(0, |log| log.matches(SUCCEED).count());
        let enough = accepted() + dice.random_range(1..40);
        eventually("enough is accepted", || {
            (accepted() >= enough).then_some(())
        });
        let dir = endpoint.kill();
        // Every message that counts as delivered has its own record by now, whatever the kill tore.
        let delivered = sum(&mns, "delivered");
        let found = String::from_utf8_lossy(&std::fs::read(&path).unwrap())
            .matches(SUCCEED)
            .count();
        assert!(
            u64::try_from(found).unwrap() >= delivered,
            "round {round}, {told}: {delivered} delivered, {found} found"
        );
        endpoint = Endpoint::start_in(dir, &options);
    }
    stop.store(true, Ordering::SeqCst);
    let published = publishing.await.unwrap();
    eventually("everything is delivered", || {
        (sum(&mns, "undelivered") == 0).then_some(())
    });
    let delivered = sum(&mns, "delivered");
    assert_eq!(
        delivered,
        u64::try_from(published.len() * FORMATS.len()).unwrap(),
        "{told}"
    );
    let duplicates = assert_each_once(&endpoint.endpoint_log(), &published, &told);
    let address = endpoint.address.to_string();
    run(
        endpoint.path(),
        &["logs", "verify", "--log-dir", "logs", "--listen", &address],
    )
    .assert(0, "");
    let line = format!(
        "{rounds} rounds of kill -9: {} published to {} subscriptions, {delivered} delivered, \
         {duplicates} duplicates, none lost\n",
        published.len(),
        FORMATS.len(),
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
