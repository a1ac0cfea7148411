//! The emulator's pusher with endpoints that fail in various ways: schedules, limits, restarts,
//! chaos.

use std::time::{Duration, Instant};

use mns_endpoint::mns::api::NotifyStrategy;

use crate::support::{
    Endpoint, LocalMns, Options, Subscriber, attribute, data, eventually, key, records, to,
};

use NotifyStrategy::{BackoffRetry, ExponentialDecayRetry};

fn waits(subscriber: &Subscriber) -> Vec<Duration> {
    let at: Vec<_> = subscriber.pushed().iter().map(|pushed| pushed.at).collect();
    at.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// The ids of the messages that an endpoint has accepted, in order.
fn accepted(endpoint: &Endpoint) -> Vec<String> {
    let all = records(&endpoint.endpoint_log());
    let taken = all
        .iter()
        .filter(|entry| entry.text.starts_with("Notify Message Succeed!"));
    taken
        .map(|entry| String::from_utf8(attribute(entry, "MessageId").unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn backoff_retry_retries_three_times_and_gives_up() {
    let subscriber = Subscriber::start(|_| Some(500));
    let mns = LocalMns::start(&["--time-warp", "50"]);
    mns.subscribe(&subscriber.url(), BackoffRetry)
        .await
        .publish("T", "m", "")
        .await
        .unwrap();
    mns.await_count("given_up", 1);
    // It is counted before the message is removed.
    mns.await_count("undelivered", 0);
    assert_eq!(mns.count("failed_pushes"), 4);
    let waits = waits(&subscriber);
    assert_eq!(waits.len(), 3);
    for wait in waits {
        // 10 to 20 s, divided by fifty, with a tolerance for a busy machine.
        assert!(
            (Duration::from_millis(180)..Duration::from_millis(1500)).contains(&wait),
            "{wait:?}"
        );
    }
    let (ids, dates) = (
        subscriber.header("x-mns-message-id"),
        subscriber.header("x-mns-request-id"),
    );
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let mut fresh = dates.clone();
    fresh.sort();
    fresh.dedup();
    assert_eq!(
        fresh.len(),
        4,
        "each try has a request id of its own: {dates:?}"
    );
    assert!(
        mns.stop()
            .contains("T/S: 0 delivered, 0 undelivered, 1 given up, 4 failed pushes")
    );
}

#[tokio::test]
async fn exponential_decay_retry_doubles_its_wait() {
    let subscriber = Subscriber::start(|_| Some(403));
    let mns = LocalMns::start(&["--time-warp", "50"]);
    mns.subscribe(&subscriber.url(), ExponentialDecayRetry)
        .await
        .publish("T", "m", "")
        .await
        .unwrap();
    eventually("seven pushes have come", || {
        (subscriber.pushed().len() >= 7).then_some(())
    });
    for (index, wait) in waits(&subscriber).into_iter().take(6).enumerate() {
        let due = Duration::from_secs(1 << index) / 50;
        let late = due + due / 2 + Duration::from_millis(500);
        assert!(
            wait + Duration::from_millis(15) >= due && wait < late,
            "retry {index} came after {wait:?}"
        );
    }
}

#[tokio::test]
async fn exponential_decay_retry_gives_up_after_176_retries() {
    let subscriber = Subscriber::start(|_| Some(500));
    let mns = LocalMns::start(&["--time-warp", "1000000"]);
    mns.subscribe(&subscriber.url(), ExponentialDecayRetry)
        .await
        .publish("T", "m", "")
        .await
        .unwrap();
    mns.await_count("given_up", 1);
    assert_eq!(
        (mns.count("failed_pushes"), subscriber.pushed().len()),
        (177, 177)
    );
}

#[tokio::test]
async fn an_endpoint_that_fails_for_a_while_gets_every_message() {
    let subscriber = Subscriber::start(|number| Some(if number < 40 { 503 } else { 204 }));
    let mns = LocalMns::start(&["--time-warp", "200"]);
    let client = mns
        .subscribe(&subscriber.url(), ExponentialDecayRetry)
        .await;
    let mut published = Vec::new();
    for number in 0..10 {
        published.push(
            client
                .publish("T", &format!("{number}"), "")
                .await
                .unwrap()
                .message_id,
        );
    }
    mns.await_count("undelivered", 0);
    assert_eq!(
        (mns.count("delivered"), mns.count("failed_pushes")),
        (10, 40)
    );
    let mut taken: Vec<String> = subscriber.header("x-mns-message-id")[40..].to_vec();
    taken.sort();
    published.sort();
    assert_eq!(taken, published);
}

#[tokio::test]
async fn a_failing_endpoint_slows_its_subscription_down() {
    let subscriber = Subscriber::start(|_| Some(500));
    let mns = LocalMns::start(&["--time-warp", "100"]);
    let client = mns
        .subscribe(&subscriber.url(), ExponentialDecayRetry)
        .await;
    for number in 0..40 {
        client.publish("T", &format!("{number}"), "").await.unwrap();
    }
    eventually("the slowest pace is reached", || {
        (mns.count("gap_ms") == 60_000).then_some(())
    });
    let (begun, before) = (Instant::now(), subscriber.pushed().len());
    eventually("it goes on all the same", || {
        (subscriber.pushed().len() >= before + 5).then_some(())
    });
    // One push may be in flight already and one may be due at once. The other three begin 600 ms
    // apart, however late they arrive.
    assert!(
        begun.elapsed() >= Duration::from_millis(1800),
        "{:?}",
        begun.elapsed()
    );
    // Other subscriptions are not slowed down.
    let healthy = Subscriber::start(|_| Some(200));
    client.create_topic("U", &Default::default()).await.unwrap();
    client
        .subscribe("U", "S", &to(&healthy.url(), BackoffRetry))
        .await
        .unwrap();
    client.publish("U", "m", "").await.unwrap();
    eventually("another subscription gets its message", || {
        (healthy.pushed().len() == 1).then_some(())
    });
}

#[tokio::test]
async fn an_endpoint_that_never_answers_times_out_after_five_seconds() {
    let subscriber = Subscriber::start(|number| (number > 0).then_some(201));
    let mns = LocalMns::start(&["--time-warp", "1000"]);
    mns.subscribe(&subscriber.url(), ExponentialDecayRetry)
        .await
        .publish("T", "m", "")
        .await
        .unwrap();
    mns.await_count("delivered", 1);
    let waits = waits(&subscriber);
    assert_eq!(waits.len(), 1);
    assert!(
        (Duration::from_millis(4900)..Duration::from_secs(7)).contains(&waits[0]),
        "{waits:?}"
    );
    let reason = mns.status()["subscriptions"][0]["last_failure"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(reason.contains("no answer within 5s"), "{reason}");
}

#[tokio::test]
async fn at_most_32_pushes_of_a_subscription_are_in_flight() {
    /// The time for an answer: then another push begins.
    const TIMEOUT: Duration = Duration::from_secs(5);
    for _ in 0..10 {
        let subscriber = Subscriber::start(|_| None);
        let mns = LocalMns::start(&[]);
        let client = mns
            .subscribe(&subscriber.url(), ExponentialDecayRetry)
            .await;
        let begun = Instant::now();
        for number in 0..40 {
            client.publish("T", &format!("{number}"), "").await.unwrap();
        }
        eventually("32 have come", || {
            (subscriber.pushed().len() >= 32).then_some(())
        });
        let counts = (mns.count("undelivered"), subscriber.pushed().len());
        if begun.elapsed() < TIMEOUT {
            assert_eq!(counts, (40, 32));
            return;
        }
    }
    panic!("40 messages were never published within {TIMEOUT:?}");
}

#[tokio::test]
async fn every_2xx_is_a_delivery_and_no_3xx() {
    let subscriber = Subscriber::start(|number| [Some(301), Some(299), Some(200)][number.min(2)]);
    let mns = LocalMns::start(&["--time-warp", "1000"]);
    let client = mns
        .subscribe(&subscriber.url(), ExponentialDecayRetry)
        .await;
    client.publish("T", "m", "").await.unwrap();
    mns.await_count("delivered", 1);
    assert_eq!(mns.count("failed_pushes"), 1);
    assert_eq!(subscriber.pushed().len(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_the_endpoint_closed_is_no_failure() {
    let subscriber = Subscriber::closing(|_| Some(201));
    let mns = LocalMns::start(&[]);
    let client = mns.subscribe(&subscriber.url(), BackoffRetry).await;
    for count in 1..=5 {
        client.publish("T", "m", "").await.unwrap();
        mns.await_count("delivered", count);
    }
    assert_eq!(
        (mns.count("failed_pushes"), subscriber.pushed().len()),
        (0, 5)
    );
}

#[tokio::test]
async fn a_subscription_that_is_created_again_uses_its_new_endpoint() {
    let (old, new) = (
        Subscriber::start(|_| Some(201)),
        Subscriber::start(|_| Some(201)),
    );
    let mns = LocalMns::start(&[]);
    let client = mns.subscribe(&old.url(), BackoffRetry).await;
    client.publish("T", "first", "").await.unwrap();
    mns.await_count("delivered", 1);
    client.unsubscribe("T", "S").await.unwrap();
    client
        .subscribe("T", "S", &to(&new.url(), BackoffRetry))
        .await
        .unwrap();
    client.publish("T", "second", "").await.unwrap();
    eventually("the second message has come", || {
        (!new.pushed().is_empty()).then_some(())
    });
    assert_eq!(
        (old.pushed().len(), new.pushed()[0].request.body().as_ref()),
        (1, b"second".as_slice())
    );
}

#[tokio::test]
async fn a_filter_lets_its_own_tag_pass_and_no_other() {
    let subscriber = Subscriber::start(|_| Some(201));
    let mns = LocalMns::start(&[]);
    let client = mns.client();
    client.create_topic("T", &Default::default()).await.unwrap();
    let mut attributes = to(&subscriber.url(), BackoffRetry);
    attributes.filter_tag = "important".to_owned();
    client.subscribe("T", "S", &attributes).await.unwrap();
    for (message, tag) in [
        ("none", ""),
        ("other", "import"),
        ("own", "important"),
        ("longer", "importantly"),
    ] {
        client.publish("T", message, tag).await.unwrap();
    }
    client.publish("T", "last", "important").await.unwrap();
    mns.await_count("delivered", 2);
    let bodies: Vec<_> = subscriber
        .pushed()
        .into_iter()
        .map(|pushed| pushed.request.into_body())
        .collect();
    assert_eq!(bodies.len(), 2);
    assert!(
        bodies.contains(&"own".into()) && bodies.contains(&"last".into()),
        "{bodies:?}"
    );
    assert_eq!(
        subscriber.header("x-mns-message-tag"),
        ["important", "important"]
    );
}

#[tokio::test]
async fn a_restart_after_kill_9_delivers_all_that_was_published() {
    const BEFORE: usize = 150;
    let dir = tempfile::tempdir().unwrap();
    let mns = LocalMns::start(&data(dir.path()));
    let address = mns.address.clone();
    let endpoint = Endpoint::start(&Options::trusting(mns.prefix()));
    let client = mns
        .subscribe(
            &format!("http://{}", endpoint.address),
            ExponentialDecayRetry,
        )
        .await;
    client
        .set_topic(
            "T",
            &mns_endpoint::mns::api::TopicAttributes {
                maximum_message_size: Some(2048),
                logging_enabled: None,
            },
        )
        .await
        .unwrap();
    let mut published = Vec::new();
    for number in 0..BEFORE {
        published.push(
            client
                .publish("T", &format!("{number}"), "")
                .await
                .unwrap()
                .message_id,
        );
    }
    // The endpoint stops, so that messages accumulate and are in the middle of their retries.
    endpoint.signal(rustix::process::Signal::STOP);
    for number in 0..BEFORE {
        published.push(
            client
                .publish("T", &format!("late {number}"), "")
                .await
                .unwrap()
                .message_id,
        );
    }
    assert!(mns.count("undelivered") > 0);
    mns.kill();
    endpoint.signal(rustix::process::Signal::CONT);
    let again = LocalMns::listen(&address, &data(dir.path()));
    eventually("every message is in the log", || {
        let found = accepted(&endpoint);
        published.iter().all(|id| found.contains(id)).then_some(())
    });
    again.await_count("undelivered", 0);
    let topic = again.client().topic("T").await.unwrap();
    assert_eq!((topic.maximum_message_size, topic.message_count), (2048, 0));
}

#[test]
fn a_change_of_key_keeps_its_size() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key(1024).to_key_pem().unwrap()).unwrap();
    let mns = LocalMns::start(&[
        "--key",
        file.path().to_str().unwrap(),
        "--rotate-key",
        "100ms",
    ]);
    let first = key(1024).certificate_file();
    let changed = eventually("the key has changed", || {
        let status = mns.status();
        (!status["certificate_url"]
            .as_str()
            .unwrap()
            .ends_with(&first))
        .then_some(status)
    });
    assert_eq!(changed["key_bits"], 1024);
}

#[tokio::test]
async fn a_change_of_key_loses_nothing_and_old_certificates_are_served() {
    let mns = LocalMns::start(&["--rotate-key", "100ms"]);
    let endpoint = Endpoint::start(&Options::trusting(mns.prefix()));
    let client = mns
        .subscribe(
            &format!("http://{}", endpoint.address),
            ExponentialDecayRetry,
        )
        .await;
    let first = mns.status()["certificate_url"].as_str().unwrap().to_owned();
    let mut published = 0;
    let mut addresses = std::collections::BTreeSet::new();
    while addresses.len() < 4 {
        client.publish("T", "m", "").await.unwrap();
        published += 1;
        addresses.insert(mns.status()["certificate_url"].as_str().unwrap().to_owned());
    }
    mns.await_count("undelivered", 0);
    assert_eq!(
        (mns.count("delivered"), mns.count("failed_pushes")),
        (published, 0),
        "{}",
        endpoint.stderr()
    );
    let path = first.rsplit('/').next().unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = crate::support::exchange(mns.address.parse().unwrap(), request.as_bytes());
    assert!(
        answer.status == 200 && answer.body.starts_with("-----BEGIN CERTIFICATE-----"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn each_forgery_is_refused_for_its_own_reason_and_the_message_follows() {
    for (kind, reason) in [
        ("bad-signature", "signature_wrong"),
        ("bad-md5", "content_md5_mismatch"),
        ("foreign-cert", "certificate_address_refused"),
    ] {
        let mns = LocalMns::start(&["--chaos", &format!("{kind}=1")]);
        let endpoint = Endpoint::start(&Options::trusting(mns.prefix()));
        let client = mns
            .subscribe(&format!("http://{}", endpoint.address), BackoffRetry)
            .await;
        let id = client.publish("T", "m", "").await.unwrap().message_id;
        mns.await_count("delivered", 1);
        assert_eq!(accepted(&endpoint), [id]);
        let refused: Vec<_> = eventually("the refusal is logged", || {
            // The record that is being written may be incomplete.
            let all = records(&endpoint.endpoint_log()).into_iter();
            let refused: Vec<_> = all
                .filter(|entry| entry.text.starts_with("Access Forbidden!"))
                .collect();
            (!refused.is_empty()).then_some(refused)
        });
        assert_eq!(refused.len(), 1);
        assert_eq!(
            attribute(&refused[0], "Reason").unwrap(),
            reason.as_bytes(),
            "{kind}"
        );
        assert!(
            mns.stop()
                .contains("Forgeries: believed 0, refused 1, unanswered 0")
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_accepts_forgeries_is_reported() {
    let subscriber = Subscriber::start(|_| Some(200));
    let mns = LocalMns::start(&["--chaos", "bad-signature=1,bad-md5=1,foreign-cert=1"]);
    mns.subscribe(&subscriber.url(), BackoffRetry)
        .await
        .publish("T", "m", "")
        .await
        .unwrap();
    mns.await_count("delivered", 1);
    mns.assert_tells("The endpoint BELIEVED a forgery");
    let bodies: Vec<_> = subscriber
        .pushed()
        .into_iter()
        .map(|pushed| pushed.request.into_body())
        .collect();
    assert_eq!(
        bodies,
        [
            "This message is forged.",
            "This message is forged.",
            "This message is forged.",
            "m"
        ]
    );
    assert!(
        mns.stop()
            .contains("Forgeries: believed 3, refused 0, unanswered 0")
    );
}

#[tokio::test]
async fn lost_answers_and_truncated_requests_cause_retries() {
    // With a rate of 1 no message would ever be delivered.
    let subscriber = Subscriber::start(|_| Some(201));
    let mns = LocalMns::start(&[
        "--time-warp",
        "1000",
        "--chaos",
        "drop-answer=0.5,truncate=0.2,duplicate=0.2",
        "--seed",
        "3",
    ]);
    let client = mns
        .subscribe(&subscriber.url(), ExponentialDecayRetry)
        .await;
    for number in 0..60 {
        client.publish("T", &format!("{number}"), "").await.unwrap();
    }
    mns.await_count("delivered", 60);
    let chaos = mns.status()["chaos"].clone();
    let count = |kind: &str| chaos[kind].as_u64().unwrap();
    assert!(
        count("drop-answer") > 20 && count("truncate") > 5 && count("duplicate") > 10,
        "{chaos}"
    );
    let came = u64::try_from(subscriber.pushed().len()).unwrap();
    assert_eq!(
        came,
        60 + count("drop-answer") + count("duplicate"),
        "a cut request is not a request"
    );
    assert_eq!(
        mns.count("failed_pushes"),
        count("drop-answer") + count("truncate")
    );
}

#[tokio::test]
async fn reordered_messages_are_overtaken_and_slow_ones_arrive() {
    let subscriber = Subscriber::start(|_| Some(201));
    let mns = LocalMns::start(&["--time-warp", "10", "--chaos", "reorder=0.3,slow=0.2"]);
    let client = mns.subscribe(&subscriber.url(), BackoffRetry).await;
    for number in 0..40 {
        client.publish("T", &format!("{number}"), "").await.unwrap();
    }
    mns.await_count("delivered", 40);
    let times = subscriber.header("x-mns-publish-time");
    assert!(!times.is_sorted(), "nothing overtook anything: {times:?}");
    assert_eq!(mns.count("failed_pushes"), 0);
}
