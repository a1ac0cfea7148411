//! The strictest possible settings: genuine pushes pass, and a captured request is only valid
//! unchanged.

use std::fs;

use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes};
use mns_endpoint::mns::{ContentFormat, Notation};
use mns_endpoint::server::Reason;

use crate::support::{
    Bench, CertificateHost, Draft, Endpoint, Entry, LocalMns, Options, attribute, eventually, key,
    looked_at, records, to,
};

const SEGMENT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1";
const OWNER: &str = "1269128356620446";

/// Every list is set, and every limit is tight.
fn strict(options: Options, owner: &str, topic: &str) -> Options {
    let keys = [
        ("accept.topic_owners", owner),
        ("accept.topics", topic),
        ("accept.sources", "127.0.0.1"),
        ("accept.require_owner", "true"),
        ("signing.max_age", "15m"),
        ("signing.max_clock_skew", "15m"),
    ];
    keys.into_iter()
        .fold(options, |options, (key, value)| options.set(key, value))
}

/// The same with a secret path.
fn start(options: Options) -> (Endpoint, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("path"), SEGMENT).unwrap();
    (
        Endpoint::start_in(dir, &options.set("server.secret_path_file", "path")),
        format!("/n/{SEGMENT}"),
    )
}

fn outcomes(endpoint: &Endpoint) -> Vec<Entry> {
    let all = records(&endpoint.endpoint_log()).into_iter();
    all.filter(|record| record.place == "receive.rs:2")
        .collect()
}

#[test]
fn every_genuine_body_is_accepted() {
    let xml: (&[u8], &str) = (
        include_bytes!("../vectors/xml-2017/body.xml"),
        include_str!("../vectors/xml-2017/attributes.tsv"),
    );
    let json: (&[u8], &str) = (
        include_bytes!("../vectors/json-2022/body.json"),
        include_str!("../vectors/json-2022/attributes.tsv"),
    );
    for (body, attributes) in [xml, json] {
        let stated = |name: &str| {
            attributes
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'))
                .unwrap()
        };
        let host = CertificateHost::serving(&key(512));
        let options = strict(
            Options::trusting(host.prefix()),
            stated("TopicOwner"),
            stated("TopicName"),
        );
        let (endpoint, path) = start(options);
        let draft = Draft::with_body(body, &host.url("x.pem"))
            .to(&path)
            .sign(&key(512));
        assert_eq!(
            endpoint.exchange(&draft.wire()).status,
            201,
            "{}",
            endpoint.endpoint_log()
        );
        assert_eq!(
            attribute(&outcomes(&endpoint)[0], "Message").unwrap(),
            stated("Message").as_bytes()
        );
    }
}

#[tokio::test]
async fn every_push_of_the_emulator_is_accepted_in_every_format() {
    let mns = LocalMns::start(&["--account-id", OWNER]);
    let (endpoint, path) = start(strict(Options::trusting(mns.prefix()), OWNER, "T"));
    let client = mns.client();
    client.create_topic("T", &Default::default()).await.unwrap();
    let address = format!("http://{}{path}", endpoint.address);
    for (name, format) in [
        ("X", ContentFormat::Xml),
        ("J", ContentFormat::Json),
        ("S", ContentFormat::Simplified),
    ] {
        let plain = to(&address, NotifyStrategy::BackoffRetry);
        let attributes = SubscriptionAttributes {
            notify_content_format: format,
            ..plain
        };
        client.subscribe("T", name, &attributes).await.unwrap();
    }
    let messages = [
        "m",
        "重要 <&>\"'",
        "line\n\r\t\\x41",
        " \u{1f600} ",
        &"x".repeat(60_000),
    ];
    for message in messages {
        client.publish("T", message, "tag").await.unwrap();
    }
    // The access line of a push is written last: before that the log may end within a record.
    let all = 3 * messages.len();
    eventually("all have come", || {
        (endpoint.access_log().matches('\n').count() >= all).then_some(())
    });
    let mut found: Vec<Vec<u8>> = outcomes(&endpoint)
        .iter()
        .map(|outcome| attribute(outcome, "Message").unwrap())
        .collect();
    let mut published: Vec<Vec<u8>> = messages
        .iter()
        .flat_map(|text| vec![text.as_bytes().to_vec(); 3])
        .collect();
    found.sort();
    published.sort();
    assert!(found == published);
    let answers = endpoint.access_log();
    assert_eq!(
        answers.matches("\"POST\" \"201\" \"/n/***\" ").count(),
        answers.lines().count()
    );
}

#[test]
fn no_body_of_a_publisher_can_claim_an_accepted_owner_or_topic() {
    let bench = Bench::with(|options| {
        strict(options, OWNER, "MyTopic1").set("server.paths", "/notifications")
    });
    for format in [ContentFormat::Xml, ContentFormat::Json] {
        let envelope = bench.draft_in(format);
        let (id, body) = (envelope.message_id.clone(), envelope.body.clone());
        // A stranger's topic, a SIMPLIFIED subscription to our address, and a guessed message id.
        // The oldest pushes had no header for the owner.
        let simplified = bench
            .draft_in(ContentFormat::Simplified)
            .set("x-mns-message-id", &id);
        let forged = simplified.clone().swap_body(body).notation(Notation::Hex);
        let origin = [
            "x-mns-topic-owner",
            "x-mns-topic-name",
            "x-mns-subscriber",
            "x-mns-subscription-name",
        ];
        let bare = origin.into_iter().fold(forged.clone(), Draft::without);
        let no_owner = forged.clone().without("x-mns-topic-owner");
        let no_topic = forged.clone().without("x-mns-topic-name");
        for (forged, reason) in [
            (bare, Reason::OwnerNotAccepted),
            (no_owner, Reason::OwnerNotAccepted),
            (no_topic, Reason::TopicNotAccepted),
        ] {
            let (answer, _) = bench.ask(&forged.sign(&key(512)));
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (403, "Access Forbidden"),
                "{format} {reason:?}"
            );
            let told = bench.log().pop().unwrap();
            assert_eq!(
                attribute(&told, "Reason").unwrap(),
                reason.key().as_bytes(),
                "{}",
                told.text
            );
        }
        // What MNS wrote is accepted: its Content-Type proves it, or the headers repeat all of it.
        bench.accept(
            &envelope
                .clone()
                .set("x-mns-message-id", &id)
                .sign(&key(512)),
        );
        bench.accept(&forged.sign(&key(512)));
    }
}

#[test]
fn a_captured_request_is_only_valid_unchanged() {
    let bench = Bench::with(|options| {
        strict(options, OWNER, "MyTopic1").set("server.paths", "/notifications,/other")
    });
    let xml = bench.draft().sign(&key(512));
    bench.accept(&xml);
    // The key does not match: the certificate is fetched once more, and then not for a minute.
    bench.check(
        &xml.clone().to("/other"),
        looked_at(403, Reason::SignatureWrong),
    );
    let signed = Reason::SignatureWrong;
    let body = String::from_utf8(xml.body.clone()).unwrap();
    let simplified = bench
        .draft_in(ContentFormat::Simplified)
        .set("x-mns-message-tag", "a")
        .sign(&key(512));
    bench.accept(&simplified);
    let stranger = |draft: Draft| draft.set("x-mns-topic-owner", "666");
    let replays = [
        (xml.clone().to("/notifications?x=1"), 403, signed),
        (
            xml.clone().to("/notifications/"),
            404,
            Reason::PathNotServed,
        ),
        (xml.clone().method("PUT"), 405, Reason::MethodNotAllowed),
        (
            Draft {
                body: body.replace(OWNER, "666").into_bytes(),
                ..xml.clone()
            },
            403,
            Reason::ContentMd5Mismatch,
        ),
        (
            simplified.clone().swap_body("other"),
            403,
            Reason::ContentMd5Mismatch,
        ),
        (
            simplified.clone().set("x-mns-message-tag", "b"),
            403,
            signed,
        ),
        (simplified.clone().without("x-mns-message-tag"), 403, signed),
        (
            simplified.clone().set("x-mns-message-id", "another"),
            403,
            signed,
        ),
        (stranger(simplified), 403, signed),
        // Signed by MNS, for somebody else.
        (
            stranger(bench.draft_in(ContentFormat::Simplified)).sign(&key(512)),
            403,
            Reason::OwnerNotAccepted,
        ),
        (
            bench
                .draft_in(ContentFormat::Simplified)
                .set("x-mns-topic-name", "T")
                .sign(&key(512)),
            403,
            Reason::TopicNotAccepted,
        ),
        (
            bench
                .draft()
                .set("Date", crate::support::date(-1000))
                .sign(&key(512)),
            403,
            Reason::DateTooOld,
        ),
    ];
    for (replay, status, reason) in replays {
        let lines = bench.endpoint.access_log().lines().count();
        // The original body, with the length of what is sent.
        let replay = replay
            .clone()
            .set("Content-Length", replay.body.len().to_string());
        assert_eq!(
            bench.endpoint.exchange(&replay.wire()).status,
            status,
            "{reason:?}"
        );
        bench.next_line(lines);
        let told = bench.log().pop().unwrap();
        assert_eq!(
            attribute(&told, "Reason").unwrap(),
            reason.key().as_bytes(),
            "{}",
            told.text
        );
    }
    // Unchanged it is accepted again, and marked as a duplicate.
    assert_eq!(bench.endpoint.exchange(&xml.wire()).status, 201);
    assert!(
        records(&bench.endpoint.endpoint_log())
            .pop()
            .unwrap()
            .text
            .starts_with("Notify Message Duplicate!")
    );
}
