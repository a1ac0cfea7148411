//! A message that arrives twice is answered 201 twice, and is in the log once plus once as a
//! duplicate.

use std::fs;

use mns_endpoint::mns::{ATTRIBUTES, ContentFormat};

use crate::support::{CertificateHost, Draft, Endpoint, Entry, Options, attribute, key, records};

fn push(host: &CertificateHost, format: ContentFormat) -> Draft {
    Draft::new(format, "two\nlines", &host.url("x.pem")).sign(&key(512))
}

/// The outcomes in a log: the kind of each and its message.
fn outcomes(log: &str) -> Vec<(Entry, String)> {
    let told = records(log)
        .into_iter()
        .filter(|entry| entry.text.starts_with("Notify Message "));
    told.map(|entry| {
        let id = String::from_utf8(attribute(&entry, "MessageId").unwrap()).unwrap();
        (entry, id)
    })
    .collect()
}

fn titles(log: &str) -> Vec<String> {
    outcomes(log)
        .iter()
        .map(|(entry, _)| entry.text.lines().next().unwrap().to_owned())
        .collect()
}

const BOTH: [&str; 2] = ["Notify Message Succeed!", "Notify Message Duplicate!"];

#[test]
fn a_second_delivery_is_accepted_and_logged_with_all_nine_attributes() {
    let host = CertificateHost::serving(&key(512));
    for format in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ] {
        let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
        let draft = push(&host, format);
        for _ in 0..2 {
            assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        }
        // The same text with another id is not a duplicate.
        assert_eq!(endpoint.exchange(&push(&host, format).wire()).status, 201);
        let log = endpoint.endpoint_log();
        assert_eq!(titles(&log)[..2], BOTH, "{format:?}");
        assert_eq!(titles(&log)[2], BOTH[0]);
        let outcomes = outcomes(&log);
        let ((first, _), (second, id)) = (&outcomes[0], &outcomes[1]);
        assert_eq!(
            (second.level.as_str(), second.place.as_str(), id),
            ("INFO", "receive.rs:6", &draft.message_id)
        );
        for name in ATTRIBUTES {
            assert_eq!(attribute(first, name), attribute(second, name), "{name}");
        }
        assert_eq!(endpoint.access_log().matches("\"POST\" \"201\"").count(), 3);
    }
}

#[test]
fn many_copies_at_once_are_one_message() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    let draft = push(&host, ContentFormat::Xml);
    let copies = std::thread::scope(|scope| {
        let send = || scope.spawn(|| endpoint.exchange(&draft.wire()).status);
        let senders: Vec<_> = (0..16).map(|_| send()).collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect::<Vec<u16>>()
    });
    assert_eq!(copies, [201; 16]);
    let titles = titles(&endpoint.endpoint_log());
    assert_eq!((titles.len(), titles[0].as_str()), (16, BOTH[0]));
    assert!(titles[1..].iter().all(|title| title == BOTH[1]));
}

#[test]
fn duplicates_are_known_after_a_kill_a_stop_a_rotation_and_a_change_of_the_form() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix()).set("logs.rotate_size", "4KiB");
    let drafts: Vec<Draft> = (0..8).map(|_| push(&host, ContentFormat::Xml)).collect();
    let text = Endpoint::start(&options);
    let options = options.set("server.listen", &text.address.to_string());
    for draft in &drafts[..4] {
        assert_eq!(text.exchange(&draft.wire()).status, 201);
    }
    let json = Endpoint::start_in(text.kill(), &options.clone().set("logs.format", "json"));
    for draft in &drafts {
        assert_eq!(json.exchange(&draft.wire()).status, 201);
    }
    let again = |endpoint: &Endpoint| {
        for draft in &drafts {
            assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        }
    };
    let stopped = Endpoint::start_in(json.stop().1, &options);
    again(&stopped);
    // As with the logs of an older build, without a snapshot.
    let seen = stopped.path().join(format!(
        "logs/.endpoint_log.{}.seen",
        stopped.address.port()
    ));
    let dir = stopped.kill();
    fs::remove_file(seen).unwrap();
    let old = Endpoint::start_in(dir, &options);
    again(&old);
    let mut all = String::new();
    for file in fs::read_dir(old.path().join("logs")).unwrap() {
        let path = file.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("endpoint_log")
        {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    assert_eq!(all.matches(BOTH[0]).count(), 8, "each message is new once");
    assert_eq!(all.matches(BOTH[1]).count(), 4 + 8 + 8);
}

#[test]
fn duplicates_can_be_dropped_or_not_marked() {
    let host = CertificateHost::serving(&key(512));
    for (value, expected) in [("drop", 1), ("off", 2)] {
        let endpoint =
            Endpoint::start(&Options::trusting(host.prefix()).set("accept.duplicates", value));
        let draft = push(&host, ContentFormat::Xml);
        for _ in 0..2 {
            assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
        }
        assert_eq!(
            titles(&endpoint.endpoint_log()),
            vec![BOTH[0]; expected],
            "{value}"
        );
        assert_eq!(endpoint.access_log().lines().count(), 2, "{value}");
    }
}
