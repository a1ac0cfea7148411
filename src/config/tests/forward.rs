use std::path::PathBuf;
use std::time::Duration;

use crate::config::forward::check;
use crate::config::layers::read;
use crate::config::tests::{load, load_file, sources};
use crate::forward::{Ack, Create, Destination, Login, Settings, StartAt, WhenFull};

/// The destinations of a configuration.
fn destinations(flags: &[(&str, &str)]) -> Result<Vec<Settings>, String> {
    let (read, _) = read(&sources(&[], flags)).map_err(|error| error.to_string())?;
    check(&read.raw.forward, &read.set, read.raw.accept.duplicates)
        .map_err(|error| error.to_string())
}

const HTTP: [(&str, &str); 3] = [
    ("forward.hook.to", "http"),
    ("forward.hook.url", "https://svc.example/hook"),
    ("forward.hook.secret_files", "/etc/secret"),
];

#[test]
fn a_destination_has_a_default_for_every_key_but_where_it_is() {
    let [nats] = &destinations(&[("forward.orders.to", "nats")]).unwrap()[..] else {
        panic!("there is one");
    };
    assert_eq!((nats.name.as_str(), nats.ack), ("orders", Ack::Journal));
    assert_eq!(
        (nats.start, nats.when_full),
        (StartAt::Now, WhenFull::Refuse)
    );
    assert_eq!((nats.in_flight, nats.in_flight_bytes), (512, 16 << 20));
    assert_eq!(
        (nats.max_backlog_bytes, nats.max_backlog_age),
        (Some(10 << 30), None)
    );
    assert_eq!(
        (nats.give_up, nats.dead_letters_bytes_max),
        (None, 64 << 20)
    );
    assert!(nats.selects(b"any"));
    let Destination::Nats(options) = &nats.destination else {
        panic!("{:?}", nats.destination);
    };
    assert_eq!(options.servers, ["nats://127.0.0.1:4222"]);
    assert_eq!(options.ack_timeout, Duration::from_secs(5));
    assert_eq!(
        (&options.create, &options.login),
        (&Create::Off, &Login::None)
    );

    let [http] = &destinations(&HTTP).unwrap()[..] else {
        panic!("there is one");
    };
    assert_eq!(http.give_up, Some(Duration::from_secs(24 * 3600)));
    let Destination::Http(options) = &http.destination else {
        panic!("{:?}", http.destination);
    };
    assert_eq!(options.secret_files, [PathBuf::from("/etc/secret")]);
}

#[test]
fn destinations_are_read_from_a_file_the_environment_and_flags_and_have_defaults_each() {
    let text = "[forward.b-1]\nto = \"nats\"\nin_flight = 1\n[forward.a]\nto = \"nats\"\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut sources = sources(
        &[("MNS_ENDPOINT_FORWARD__A__IN_FLIGHT", "7")],
        &[("forward.c_2.to", "nats"), ("forward.a.topics", "x,y")],
    );
    sources.file = Some(file.path().to_owned());
    let (read, _) = read(&sources).unwrap();
    let all = check(&read.raw.forward, &read.set, read.raw.accept.duplicates).unwrap();
    let shown: Vec<_> = all
        .iter()
        .map(|it| (it.name.as_str(), it.in_flight))
        .collect();
    assert_eq!(shown, [("a", 7), ("b-1", 1), ("c_2", 512)]);
    assert!(all[0].selects(b"x") && !all[0].selects(b"z"));
    assert!(read.keys.contains_key("forward.b-1.in_flight") && read.set.len() == 6);
}

#[test]
fn both_kinds_of_destinations_are_taken() {
    assert_eq!(load(&[], &HTTP).unwrap().forward.len(), 1);
    let nats = load(&[], &[("forward.orders.to", "nats")]).unwrap();
    assert_eq!(nats.forward.len(), 1);
    assert!(load(&[], &[]).unwrap().forward.is_empty());
}

#[test]
fn a_mistake_in_a_table_is_named_with_its_key_and_place() {
    let error = load_file("[forward.a]\nto = \"nats\"\nin_flight = 0\n", &[]).unwrap_err();
    assert_eq!(
        error,
        "forward.a.in_flight = \"0\": must be at least 1 (in FILE:3)"
    );
    let error = load_file("[forward.a]\nto = \"nats\"\nsubjekt = \"a\"\n", &[]).unwrap_err();
    assert!(
        error.starts_with("forward.a.subjekt: there is no such key; did you mean subject?"),
        "{error}"
    );
    assert!(error.ends_with("(in FILE:3)"), "{error}");
    let error = load_file("[forward]\nto = \"nats\"\n", &[]).unwrap_err();
    assert!(
        error.starts_with("forward.to = \"nats\": expected a section"),
        "{error}"
    );
    let long = "a".repeat(33);
    for name in ["A", "1a", "a__b", "a.b", "-a", "", long.as_str()] {
        let text = format!("[forward.\"{name}\"]\nto = \"nats\"\n");
        let error = load_file(&text, &[]).unwrap_err();
        assert!(
            error.contains("the name of a destination has"),
            "{name}: {error}"
        );
    }
}

/// Asserts that each key of a NATS destination fails with this value, and how the message begins.
fn assert_mistakes(cases: &[(&str, &str, &str)]) {
    for (key, value, expected) in cases {
        let key = format!("forward.a.{key}");
        let flags = [("forward.a.to", "nats"), (key.as_str(), value)];
        let error = destinations(&flags).unwrap_err();
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    }
}

#[test]
fn what_a_destination_cannot_be_stops_the_start() {
    assert_mistakes(&[
        (
            "to",
            "kafka",
            "forward.a.to = \"kafka\": nats and http are possible",
        ),
        (
            "ack",
            "no",
            "there is no such value; possible here: journal, forward",
        ),
        ("in_flight_bytes", "1KiB", "must be at least 1MiB"),
        ("max_backlog", "1KiB", "must be at least 1MiB, or \"off\""),
        ("max_backlog_age", "1s", "must be at least 10s, or \"off\""),
        ("give_up", "soon", "\"soon\" is not a duration"),
        ("give_up", "0s", "must be greater than zero, or \"off\""),
        ("topics", "a b/c", "a topic's name has letters"),
        ("answer_timeout", "1s", "set ack = \"forward\" too"),
        ("url", "http://a/", "there is no such key for to = \"nats\""),
        (
            "secret_files",
            "a",
            "there is no such key for to = \"nats\"",
        ),
        ("timeout", "1s", "there is no such key for to = \"nats\""),
        ("servers", "[]", "at least one"),
        ("servers", "localhost:4222", "write nats://HOST:PORT"),
        (
            "servers",
            "nats://me:secret@localhost:4222",
            "write nats://HOST:PORT",
        ),
        (
            "monitors",
            "localhost",
            "write the address of a monitoring port",
        ),
        ("stream", "a.b", "the name of a stream has"),
        (
            "stream",
            "a-{shard}",
            "a stream for each shard needs subjects",
        ),
        ("subject", "mns.{name}", "{name} is no field: use {owner}"),
        ("subject", "mns.>", "'>' cannot be in a subject"),
        (
            "dedupe",
            "subject",
            "it needs {id}, as in mns.{owner}.{topic}.{id}",
        ),
        ("ack_timeout", "0s", "must be greater than zero"),
        ("shards", "0", "must be at least 1"),
        ("replicas", "1", "set create = \"missing\" too"),
        ("user", "me", "password_file is needed"),
        ("password_file", "a", "password_file needs a user"),
        #[cfg(not(feature = "nats-nkeys"))]
        ("creds_file", "a", "build it with --features nats-nkeys"),
        ("certificate", "a", "certificate needs its private key"),
        ("private_key", "a", "private_key needs its certificate"),
    ]);
    let made = [("forward.a.to", "nats"), ("forward.a.create", "missing")];
    let error = destinations(&[&made[..], &[("forward.a.replicas", "6")]].concat()).unwrap_err();
    assert!(error.contains("must be from 1 to 5"), "{error}");
    let [settings] = &destinations(&made).unwrap()[..] else {
        panic!("there is one");
    };
    let Destination::Nats(options) = &settings.destination else {
        panic!("{settings:?}");
    };
    assert!(matches!(&options.create, Create::Missing(stream) if stream.replicas == 3));
}

#[test]
fn what_a_service_cannot_be_stops_the_start() {
    let with = |key: &str, value: &str| {
        let key = format!("forward.hook.{key}");
        destinations(&[&HTTP[..], &[(key.as_str(), value)]].concat())
    };
    for url in [
        "",
        "svc",
        "svc.example/hook",
        "ftp://svc.example/",
        "https://",
        "https:///hook",
        "https://me:secret@svc.example/",
        "https://me@svc.example/",
    ] {
        let error = with("url", url).unwrap_err();
        let expected = format!("forward.hook.url = {url:?}: write the address of the service");
        assert!(error.starts_with(&expected), "{error}");
    }
    for url in [
        "http://svc/",
        "https://svc.example/a@b?c=d",
        "https://[::1]:8443",
    ] {
        with("url", url).unwrap();
    }
    let error = with("timeout", "0s").unwrap_err();
    assert!(error.contains("must be greater than zero"), "{error}");
    let error = with("certificate", "a").unwrap_err();
    assert!(
        error.contains("certificate needs its private key"),
        "{error}"
    );
    // Every key of a stream.
    for (key, value) in [
        ("servers", "nats://a"),
        ("stream", "A"),
        ("create", "missing"),
        ("replicas", "3"),
        ("max_age", "1d"),
        ("max_bytes", "1MiB"),
        ("duplicate_window", "1m"),
        ("subject", "a"),
        ("dedupe", "subject"),
        ("shards", "2"),
        ("user", "me"),
        ("password_file", "a"),
        ("token_file", "a"),
        ("creds_file", "a"),
        ("ack_timeout", "1s"),
        ("monitors", "http://a"),
    ] {
        let error = with(key, value).unwrap_err();
        let expected = "there is no such key for to = \"http\"";
        let expected = format!("forward.hook.{key} = \"\": {expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
    // Not signed, of which `check` warns.
    let [settings] = &with("secret_files", "[]").unwrap()[..] else {
        panic!("there is one");
    };
    let Destination::Http(options) = &settings.destination else {
        panic!("{settings:?}");
    };
    assert!(options.secret_files.is_empty());
}

#[test]
fn a_201_that_waits_for_a_destination_is_not_given_for_what_does_not_go_there() {
    let waited_for = [("forward.a.to", "nats"), ("forward.a.ack", "forward")];
    let with = |more: &[(&str, &str)]| destinations(&[&waited_for[..], more].concat());
    let timeout = Duration::from_secs(2);
    assert_eq!(with(&[]).unwrap()[0].ack, Ack::Forward { timeout });
    for (more, expected) in [
        (
            &[("forward.a.when_full", "skip")][..],
            "forward.a.ack = \"forward\": a 201 would not",
        ),
        (
            &[("accept.duplicates", "drop")],
            "forward.a.ack = \"forward\": a repeat may be",
        ),
        (
            &[("forward.a.answer_timeout", "3s")],
            "forward.a.answer_timeout = \"3s\": must be",
        ),
        (
            &[("forward.a.answer_timeout", "0s")],
            "forward.a.answer_timeout",
        ),
        (
            &[("forward.b.to", "nats"), ("forward.b.ack", "forward")],
            "forward.b.ack = \"forward\": a push waits for one destination at most",
        ),
    ] {
        let error = with(more).unwrap_err();
        assert!(
            error.starts_with(expected),
            "{error:?} does not begin with {expected:?}"
        );
    }
    // The restriction applies only to the destination that a 201 depends on.
    with(&[("forward.b.to", "nats"), ("forward.b.when_full", "skip")]).unwrap();
}
