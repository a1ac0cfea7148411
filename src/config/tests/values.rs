use crate::config::layers;
use crate::config::tests::{load, sources};
use crate::server::Paths;

#[test]
fn lists_are_written_with_commas_or_as_toml_and_replace_the_default() {
    for text in ["/a,/b", "/a, /b", "[\"/a\", \"/b\"]"] {
        let config = load(&[("MNS_ENDPOINT_SERVER__PATHS", text)], &[]).unwrap();
        assert_eq!(
            config.server.paths,
            Paths::These(vec!["/a".to_owned(), "/b".to_owned()]),
            "{text}"
        );
    }
    // A text that could be parsed as a number is still a name.
    for name in [
        "0x10",
        "1_000",
        "1e3",
        "2016-05-17",
        "true",
        // TOML allows no leading zero, and no integer beyond 64 bits.
        "007",
        "1269128356620446",
        "99999999999999999999",
    ] {
        let raw = layers::read(&sources(&[("MNS_ENDPOINT_ACCEPT__TOPICS", name)], &[]))
            .unwrap()
            .0
            .raw;
        assert_eq!(raw.accept.topics.0, [name]);
    }
    let config = load(
        &[("MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS", "1269128356620446")],
        &[],
    )
    .unwrap();
    assert!(!config.admission.takes_every_owner());
}

#[test]
fn the_entries_of_a_list_are_separated_by_commas_blanks_and_new_lines() {
    let read = |text: &str| {
        layers::read(&sources(
            &[("MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS", text)],
            &[],
        ))
        .unwrap()
        .0
        .raw
    };
    for text in [
        "1,2",
        "1, 2",
        "1 2",
        "1\n2\n",
        "1,\n\t2,",
        "[1, 2]",
        "[\n  \"1\",\n  \"2\"\n]\n",
        "1\u{a0}2\r\n",
    ] {
        assert_eq!(read(text).accept.topic_owners.0, ["1", "2"], "{text:?}");
        assert_eq!(
            load(&[("MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS", text)], &[]).err(),
            None,
            "{text:?}"
        );
    }
    // A value that was read from a file ends with a line feed.
    assert_eq!(
        load(&[("MNS_ENDPOINT_SERVER__MAX_CONNECTIONS", "5\n")], &[])
            .unwrap()
            .net
            .connections_max,
        5
    );
}

#[test]
fn the_bound_on_records_that_wait_reaches_the_journal() {
    let bytes_max = |flags: &[(&str, &str)]| load(&[], flags).unwrap().journal.limits.bytes_max;
    assert_eq!(bytes_max(&[]), 64 << 20);
    assert_eq!(bytes_max(&[("logs.pending_bytes", "16MiB")]), 16 << 20);
}

#[test]
fn every_list_names_a_wrong_separator_and_an_entry_that_cannot_match() {
    for (key, one) in [
        ("accept.topics", "a"),
        ("accept.sources", "10.0.0.0/8"),
        ("server.trusted_proxies", "10.0.0.0/8"),
        ("server.listen", "127.0.0.1:8080"),
        ("server.paths", "/a"),
        ("signing.certificate_prefixes", "https://a.example/"),
        ("signing.extra_regions", "cn-newplace"),
        ("admin.hosts", "a.example"),
        ("admin.open", "/healthz"),
        ("logs.access_fields", "peer"),
    ] {
        for (separator, hint) in [
            ("\u{ff0c}", "full-width comma"),
            ("\u{ff1b}", "full-width"),
            (";", "';' separates nothing"),
        ] {
            let error = load(&[], &[(key, &format!("{one}{separator}{one}"))]).unwrap_err();
            assert!(
                error.contains(key) && error.contains(hint),
                "{error:?} has no {hint:?}"
            );
        }
        let error = load(&[], &[(key, &format!("[\"{one}\u{ff0c}{one}\"]"))]).unwrap_err();
        assert!(
            error.contains(key) && error.contains("full-width comma"),
            "{error:?}"
        );
    }
    for (key, value) in [
        ("accept.topics", "[\"a b\"]"),
        ("accept.topics", "[\"a;b\"]"),
        ("accept.topics", "*"),
        ("accept.topics", "acs:mns:cn-hangzhou:1:/topics/a"),
        ("accept.topics", "/topics/a"),
        ("admin.hosts", "https://mns.example.com"),
        ("admin.hosts", "mns.example.com:9080"),
        ("admin.hosts", "*.example.com"),
        ("admin.hosts", "[\"a b\"]"),
    ] {
        let error = load(&[], &[(key, value)]).unwrap_err();
        assert!(error.starts_with(&format!("{key} = ")), "{error:?}");
    }
    let good = [
        ("accept.topics", "My-Topic-1,a_b.c"),
        ("admin.hosts", "mns.example.com,Admin_1,localhost"),
    ];
    assert_eq!(load(&[], &good).err(), None);
}

#[test]
fn values_keep_their_kind_wherever_they_are_written() {
    for (key, value) in [
        ("logs.mode", "0600"),
        ("logs.mode", "\"0600\""),
        ("signing.max_age", "off"),
        ("signing.max_age", "\"15m\""),
        ("signing.fetch_via", "{ \"a.example\" = \"b.example\" }"),
        ("accept.topics", ""),
        ("logs.format", "json"),
        ("signing.require_content_md5", "false"),
        ("server.max_body", "1MiB"),
        ("logs.refused_body", "0"),
        ("logs.sync", "interval:100ms"),
        ("logs.sync", "os"),
        ("logs.rotate_size", "off"),
        ("logs.keep", "off"),
        ("logs.low_water", "0"),
        ("logs.refused_rate", "off"),
        ("logs.refused_rate", "0/s"),
        ("logs.refused_bytes", "off"),
        ("logs.refused_bytes", "1MiB/s"),
        ("logs.refused_bytes", "0B/s"),
        ("signing.prefetch", "false"),
        ("logs.quarantine_bytes", "0"),
        ("accept.duplicates", "drop"),
    ] {
        let variable = format!("MNS_ENDPOINT_{}", key.to_uppercase().replace('.', "__"));
        assert_eq!(
            load(&[(&variable, value)], &[]).err(),
            None,
            "{variable}={value}"
        );
        assert_eq!(
            load(&[], &[(key, value)]).err(),
            None,
            "--set {key}={value}"
        );
    }
}
