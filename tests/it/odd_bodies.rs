//! Unusual bodies that MNS signed: unambiguous ones are accepted, and the others can be recovered.

use std::fs;
use std::path::PathBuf;

use mns_endpoint::quarantine;

use crate::support::{
    CertificateHost, Draft, Ended, Endpoint, Entry, Options, attribute, eventually, key, records,
    run,
};

const PAIR: &[u8] = include_bytes!("../vectors/odd-bodies/xml_surrogate_pair.xml");
const DECIMAL_PAIR: &[u8] = include_bytes!("../vectors/odd-bodies/xml_surrogate_pair_decimal.xml");
const LONE: &[u8] = include_bytes!("../vectors/odd-bodies/xml_lone_surrogate.xml");
const CONTROL: &[u8] = include_bytes!("../vectors/odd-bodies/json_control_character.json");
const OBJECT: &[u8] = include_bytes!("../vectors/odd-bodies/json_message_object.json");
const OWNER: &str = "1000000000000001";

fn replaced(body: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let start = body
        .windows(from.len())
        .position(|bytes| bytes == from.as_bytes())
        .unwrap();
    [&body[..start], to, &body[start + from.len()..]].concat()
}

fn push(host: &CertificateHost, body: impl Into<Vec<u8>>) -> Draft {
    Draft::with_body(body, &host.url("x.pem")).sign(&key(512))
}

#[test]
fn unambiguous_bodies_are_accepted() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    let cesu_8 = b"\xed\xa0\xbd\xed\xb8\x80";
    for (name, body, message) in [
        ("a pair of references", PAIR.to_vec(), "order 😀"),
        (
            "a pair of decimal references",
            DECIMAL_PAIR.to_vec(),
            "order 😀",
        ),
        (
            "a pair in two notations",
            replaced(PAIR, "&#xd83d;", b"&#55357;"),
            "order 😀",
        ),
        (
            "a pair in CESU-8, in XML",
            replaced(PAIR, "&#xd83d;&#xde00;", cesu_8),
            "order 😀",
        ),
        (
            "a pair in CESU-8, in JSON",
            replaced(CONTROL, "a\tb", cesu_8),
            "😀",
        ),
        ("a raw tab in JSON", CONTROL.to_vec(), "a\tb"),
        (
            "raw line ends in JSON",
            replaced(CONTROL, "a\tb", b"\\\\\r\n\\\"\x01\\u0001\x1f"),
            "\\\r\n\"\u{1}\u{1}\u{1f}",
        ),
        (
            "a reference to NUL",
            replaced(PAIR, "&#xd83d;&#xde00;", b"&#0;&#x0;"),
            "order \0\0",
        ),
    ] {
        let draft = push(&host, body);
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201, "{name}");
        let outcome = records(&endpoint.endpoint_log()).pop().unwrap();
        assert_eq!(
            attribute(&outcome, "Message").as_deref(),
            Some(message.as_bytes()),
            "{name}"
        );
        assert_eq!(
            attribute(&outcome, "TopicOwner").unwrap(),
            OWNER.as_bytes(),
            "{name}"
        );
    }
}

/// Bodies that are ambiguous or unreadable, with the key of their refusal.
fn unreadable() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let json = |message: &[u8]| replaced(OBJECT, "{\"order\":1}", message);
    let xml = |message: &[u8]| replaced(LONE, "&#xd83d;", message);
    vec![
        ("a lone reference", LONE.to_vec(), "body_malformed"),
        (
            "the second half before the first",
            xml(b"&#xde00;&#xd83d;"),
            "body_malformed",
        ),
        (
            "a pair with a comment in it",
            xml(b"&#xd83d;<!---->&#xde00;"),
            "body_malformed",
        ),
        (
            "a pair with a blank in it",
            xml(b"&#xd83d; &#xde00;"),
            "body_malformed",
        ),
        (
            "half of it as a reference, half as bytes",
            xml(b"&#xd83d;\xed\xb8\x80"),
            "body_not_utf8",
        ),
        (
            "a lone one in CESU-8",
            xml(b"\xed\xa0\xbd"),
            "body_not_utf8",
        ),
        (
            "elements inside of the message",
            xml(b"<b>x</b>"),
            "body_malformed",
        ),
        (
            "an entity that XML does not know",
            xml(b"&nbsp;"),
            "body_malformed",
        ),
        (
            "another encoding inside of the message",
            xml(b"\xff"),
            "body_not_utf8",
        ),
        ("an object", OBJECT.to_vec(), "body_malformed"),
        ("null", json(b"null"), "element_missing"),
        ("a list", json(b"[\"a\\ud83d\"]"), "body_malformed"),
        ("true", json(b"true"), "body_malformed"),
        ("a fraction", json(b"1.50"), "body_malformed"),
        ("a lone one in JSON", json(b"\"\\ud83d\""), "body_malformed"),
    ]
}

/// An endpoint that has refused these bodies and ended.
struct Site {
    host: CertificateHost,
    dir: tempfile::TempDir,
    address: String,
}

impl Site {
    #[track_caller]
    fn after(bodies: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let host = CertificateHost::serving(&key(512));
        let options = Options::trusting(host.prefix()).set("logs.refused_rate", "off");
        let endpoint = Endpoint::start(&options.set("accept.topic_owners", OWNER));
        for body in bodies {
            assert_eq!(
                endpoint.exchange(&push(&host, body.clone()).wire()).status,
                400,
                "{}",
                body.escape_ascii()
            );
        }
        let address = endpoint.address.to_string();
        Self {
            host,
            dir: endpoint.stop().1,
            address,
        }
    }

    fn kept(&self) -> Vec<PathBuf> {
        let port = self.address.split(':').nth(1).unwrap();
        quarantine::list(&self.dir.path().join(format!("logs/quarantine.{port}"))).unwrap()
    }

    fn log(&self) -> Vec<Entry> {
        let port = self.address.split(':').nth(1).unwrap();
        records(
            &fs::read_to_string(self.dir.path().join(format!("logs/endpoint_log.{port}"))).unwrap(),
        )
    }

    fn recover(&self, more: &[&str]) -> Ended {
        let owner = format!("accept.topic_owners={OWNER}");
        let all = [
            "logs",
            "recover",
            "--listen",
            &self.address,
            "--trust",
            &self.host.prefix(),
            "--set",
            &owner,
        ];
        run(self.dir.path(), &[&all, more].concat())
    }
}

#[test]
fn unreadable_bodies_are_saved_and_recovered_unchanged() {
    let cases = unreadable();
    let count = cases.len();
    let distinct = |place: usize, body: &[u8]| {
        replaced(
            body,
            "0123456789ABCDEF0123456789ABCDEF",
            format!("{place:032}").as_bytes(),
        )
    };
    let bodies: Vec<Vec<u8>> = cases
        .iter()
        .enumerate()
        .map(|(place, (_, body, _))| distinct(place, body))
        .collect();
    let site = Site::after(bodies.clone());
    assert_eq!(site.kept().len(), count);
    let refused = site.recover(&[]);
    refused.assert(
        0,
        &format!(": 0 recovered, 0 in the log already, {count} refused again, 0 incomplete\n"),
    );
    refused.assert(0, "logs recover --as-raw");
    let dry = site.recover(&["--as-raw", "--dry-run"]);
    dry.assert(
        0,
        &format!(
            ": {count} would be recovered, 0 in the log already, 0 refused again, 0 incomplete\n"
        ),
    );
    let raw = site.recover(&["--as-raw"]);
    raw.assert(
        0,
        &format!(": {count} recovered, 0 in the log already, 0 refused again, 0 incomplete\n"),
    );
    assert!(site.kept().is_empty());
    let log = site.log();
    let recovered: Vec<&Entry> = log
        .iter()
        .filter(|entry| entry.place == "recover.rs:1")
        .collect();
    for (place, (entry, (name, _, key))) in recovered.iter().zip(&cases).enumerate() {
        let is = |attribute_name: &str, value: &[u8]| {
            assert_eq!(
                attribute(entry, attribute_name)
                    .unwrap()
                    .escape_ascii()
                    .to_string(),
                value.escape_ascii().to_string(),
                "{name}"
            );
        };
        assert_eq!(entry.level, "WARNING", "{name}");
        is("Message", &bodies[place]);
        is("Reason", format!("{key},body_as_message").as_bytes());
        is("MessageId", format!("{place:032}").as_bytes());
        is("TopicOwner", OWNER.as_bytes());
        is("TopicName", b"orders");
        is("SubscriptionName", b"orders-sub");
    }
    assert_eq!(recovered.len(), count);
    run(
        site.dir.path(),
        &["logs", "verify", "--listen", &site.address],
    )
    .assert(0, &format!(", {count} recovered, all whole"));
}

#[test]
fn a_body_recovered_as_raw_must_name_an_accepted_owner_unambiguously() {
    let owner = format!("<TopicOwner>{OWNER}</TopicOwner>");
    let bodies = [
        replaced(LONE, &owner, b"<TopicOwner>2</TopicOwner>"),
        // An attempt to leave the message names the owner a second time.
        replaced(
            LONE,
            "&#xd83d;",
            format!("</Message>{owner}<Message>&#xd83d;").as_bytes(),
        ),
        replaced(LONE, &owner, b"<TopicOwner>\xff</TopicOwner>"),
        replaced(
            OBJECT,
            "{\"order\":1}",
            b"{},\"TopicOwner\":\"1000000000000001\"",
        ),
        b"hello".to_vec(),
        b"also".to_vec(),
    ];
    let count = bodies.len();
    let site = Site::after(bodies);
    let told = site.recover(&["--as-raw"]);
    told.assert(
        0,
        &format!(": 0 recovered, 0 in the log already, {count} refused again, 0 incomplete\n"),
    );
    told.assert(
        0,
        "refused again, owner_not_accepted: the topic's owner \"2\" is not one of \
        accept.topic_owners",
    );
    // Without the restriction even bodies that name no owner are recovered, each separately.
    let all = site.recover(&["--as-raw", "--set", "accept.topic_owners=[]"]);
    all.assert(
        0,
        &format!(": {count} recovered, 0 in the log already, 0 refused again, 0 incomplete\n"),
    );
    let messages: Vec<_> = site
        .log()
        .iter()
        .filter_map(|entry| attribute(entry, "Message"))
        .collect();
    assert!(messages.contains(&b"hello".to_vec()) && messages.contains(&b"also".to_vec()));
}

#[test]
fn the_refusal_of_a_body_names_its_readable_attributes_and_its_file() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix()).set("logs.access_fields", "reason,message_id");
    let endpoint = Endpoint::start(&options);
    assert_eq!(endpoint.exchange(&push(&host, LONE).wire()).status, 400);
    let entry = eventually("the refusal is logged", || {
        let log = endpoint.endpoint_log();
        log.ends_with("\n\n")
            .then(|| records(&log))
            .filter(|log| log.len() == 2)?
            .pop()
    });
    assert_eq!(
        attribute(&entry, "MessageId").unwrap(),
        b"0123456789ABCDEF0123456789ABCDEF"
    );
    assert_eq!(attribute(&entry, "TopicName").unwrap(), b"orders");
    let hint = String::from_utf8(attribute(&entry, "Hint").unwrap()).unwrap();
    assert!(hint.contains("logs recover --as-raw"), "{hint}");
    let file = String::from_utf8(attribute(&entry, "QuarantineFile").unwrap()).unwrap();
    let line = eventually("the answer is logged", || {
        endpoint.access_log().lines().last().map(str::to_owned)
    });
    assert!(
        line.ends_with("\"body_malformed\" \"0123456789ABCDEF0123456789ABCDEF\""),
        "{line}"
    );
    let (_, dir) = endpoint.stop();
    assert!(dir.path().join(&file).is_file(), "{file}");
}
