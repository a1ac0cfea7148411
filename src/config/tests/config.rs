use crate::config::tests::load;

#[test]
fn keys_that_need_a_restart_are_distinguished_from_those_that_do_not() {
    let default = load(&[], &[]).unwrap();
    let changed = |flags: &[(&str, &str)]| default.keys_for_restart(&load(&[], flags).unwrap());
    assert_eq!(changed(&[]), Vec::<String>::new());
    // The same value in another notation is no change.
    assert_eq!(
        changed(&[
            ("server.paths", "/notifications"),
            ("server.max_connections", "10000")
        ]),
        [] as [&str; 0]
    );
    let reloaded = [
        ("signing.max_age", "15m"),
        ("signing.fetch_via", "{ \"a.example\" = \"b.example\" }"),
        ("accept.topic_owners", "1"),
        ("accept.sources", "10.0.0.0/8"),
    ];
    assert_eq!(changed(&reloaded), [] as [&str; 0]);
    let others = [
        ("logs.format", "json"),
        ("server.listen", "[\"127.0.0.1:1\"]"),
        ("accept.topics", "a"),
    ];
    assert_eq!(changed(&others), ["logs.format", "server.listen"]);
    // The journal uses this key, and a reload keeps the journal.
    assert_eq!(
        changed(&[("accept.duplicates", "drop"), ("accept.topics", "a")]),
        ["accept.duplicates"]
    );
    assert_eq!(
        changed(&[("signing.prefetch", "false"), ("signing.max_age", "1h")]),
        ["signing.prefetch"]
    );
    // Whether there is TLS at all is decided at the start. The names of its files may change later.
    let tls = |certificate| {
        [
            ("server.tls.certificate", certificate),
            ("server.tls.private_key", "b"),
        ]
    };
    assert_eq!(
        changed(&tls("a")),
        ["server.tls.certificate", "server.tls.private_key"]
    );
    let with_tls = load(&[], &tls("a")).unwrap();
    assert_eq!(
        with_tls.keys_for_restart(&load(&[], &tls("c")).unwrap()),
        [] as [&str; 0]
    );
}

#[test]
fn another_token_needs_a_restart_whether_its_file_has_the_same_name_or_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let with_token = |token: &str| {
        std::fs::write(file.path(), token).unwrap();
        load(&[], &[("admin.token_file", file.path().to_str().unwrap())]).unwrap()
    };
    let started = with_token("one");
    assert_eq!(
        // An editor may add a line feed, which is not a part of the token.
        started.keys_for_restart(&with_token("one\n")),
        [] as [&str; 0]
    );
    assert_eq!(
        started.keys_for_restart(&with_token("two")),
        ["admin.token_file"]
    );
    assert_eq!(
        started.keys_for_restart(&load(&[], &[]).unwrap()),
        ["admin.token_file"]
    );
}
