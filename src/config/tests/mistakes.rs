use crate::config::tests::{load, load_file};

/// Asserts that each key fails with this value, and what its message contains.
fn assert_mistakes(cases: &[(&str, &str, &str)]) {
    for (key, value, expected) in cases {
        let error = load(&[], &[(key, value)]).unwrap_err();
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    }
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one_and_those_that_are_possible() {
    assert_mistakes(&[
        (
            "server.liste",
            "x",
            "server.liste: there is no such key; did you mean listen? possible here: listen, paths",
        ),
        (
            "sever.listen",
            "x",
            "sever: there is no such key; did you mean server? possible here: server, signing, \
             accept, logs",
        ),
        ("server.headTimeout", "1s", "did you mean head_timeout?"),
        // Case counts in TOML, but not in the search for the nearest key.
        ("server.TLS.certificate", "a", "did you mean tls?"),
        ("server.tls.privat-key", "a", "did you mean private_key?"),
        // A key of another section, and a key without a section.
        (
            "server.topic_owners",
            "1",
            "did you mean accept.topic_owners?",
        ),
        ("low_water", "1MiB", "did you mean logs.low_water?"),
        // No key is similar enough to be suggested.
        (
            "server.workers",
            "4",
            "server.workers: there is no such key; possible here: listen",
        ),
        ("", "x", "is not a key such as server.listen"),
    ]);
}

#[test]
fn a_value_of_another_kind_is_named_with_the_kind_that_is_expected() {
    assert_mistakes(&[
        (
            "server.max_connections",
            "many",
            "server.max_connections = \"many\": expected a whole number, 0 or greater (in",
        ),
        (
            "server.max_connections",
            "[1]",
            "server.max_connections = [...]: expected a whole number",
        ),
        (
            "signing.prefetch",
            "maybe",
            "signing.prefetch = \"maybe\": expected true or false",
        ),
        (
            "server",
            "x",
            "server = \"x\": expected a section with keys of its own",
        ),
        ("server.tls", "x", "server.tls = \"x\": expected a section"),
        (
            "signing.fetch_via",
            "x",
            "signing.fetch_via = \"x\": expected a table",
        ),
        (
            "signing.proxy",
            "5",
            "signing.proxy = 5: expected a text in quotes",
        ),
        ("logs.dir", "5", "logs.dir = 5: expected a text in quotes"),
        (
            "logs.mode",
            "640",
            "logs.mode: a file mode is not a number: write a text such as \"0640\"",
        ),
        (
            "logs.format",
            "jsn",
            "logs.format = \"jsn\": there is no such value; did you mean json? possible here: \
             text, json",
        ),
        (
            "accept.duplicates",
            "no",
            "accept.duplicates = \"no\": there is no such value; possible here: mark, drop, off",
        ),
        ("logs.stdout", "[1]", "logs.stdout"),
        (
            "accept.topics",
            "{ a = 1 }",
            "accept.topics = {...}: expected a list of texts, or one text with commas",
        ),
    ]);
}

#[test]
fn a_text_that_is_no_value_of_its_kind_is_named_with_an_example() {
    assert_mistakes(&[
        (
            "telemetry.sample",
            "1.5",
            "telemetry.sample: \"1.5\" is not a share from 0 to 1, such as 0.1",
        ),
        (
            "telemetry.otlp",
            "127.0.0.1:4318",
            "write the collector's address, as in http://127.0.0.1:4318/v1/traces",
        ),
        (
            "server.head_timeout",
            "5",
            "server.head_timeout: \"5\" is not a duration such as 5s",
        ),
        (
            "server.max_body",
            "5 bananas",
            "server.max_body: \"5 bananas\" is not a size such as 512KiB",
        ),
        ("logs.mode", "rw", "logs.mode: \"rw\" is not a file mode"),
        (
            "logs.refused_rate",
            "50",
            "logs.refused_rate: \"50\" is not a rate such as 50/s",
        ),
        (
            "logs.refused_bytes",
            "256KiB",
            "logs.refused_bytes: \"256KiB\" is not a rate such as 256KiB/s; \"off\" is",
        ),
        (
            "logs.sync",
            "sometimes",
            "logs.sync: \"sometimes\" is not one of \"always\", \"interval:100ms\"",
        ),
        (
            "logs.sync",
            "interval:0s",
            "logs.sync: \"interval:0s\" is not one of",
        ),
        (
            "logs.rotate_size",
            "big",
            "logs.rotate_size: \"big\" is not a size such as 512KiB or 64MiB; \"off\" is possible \
             too",
        ),
    ]);
}

#[test]
fn a_size_that_is_too_small_is_named_with_the_smallest() {
    assert_mistakes(&[
        (
            "logs.commit_log",
            "1MiB",
            "logs.commit_log = \"1048576\": must be at least 8MiB, or \"off\"",
        ),
        (
            "logs.pending_bytes",
            "1MiB",
            "logs.pending_bytes = \"1048576\": must be at least 16MiB",
        ),
    ]);
}

#[test]
fn a_value_that_cannot_be_is_named_with_what_is_allowed() {
    assert_mistakes(&[
        (
            "server.listen",
            "8080",
            "server.listen = \"8080\": write an address and a port",
        ),
        (
            "server.listen",
            "0.0.0.0:1,0.0.0.0:2",
            "all addresses must have the same port",
        ),
        (
            "server.head_timeout",
            "0s",
            "server.head_timeout = \"0s\": must be greater than zero (in the flag for server.head",
        ),
        (
            "server.paths",
            "notifications",
            "server.paths = \"notifications\": a path begins with /",
        ),
        (
            "server.public_url",
            "http://a.example/x",
            "MNS would post to /x, which is not one of server.paths",
        ),
        (
            "signing.certificate_prefixes",
            "https://a.example",
            "signing.certificate_prefixes = \"https://a.example\"",
        ),
        (
            "signing.fetch_timeout",
            "3s",
            "signing.fetch_timeout = \"3s\": a request has 3s in all",
        ),
        (
            "signing.min_key_bits",
            "256",
            "signing.min_key_bits = \"256\": 512 to 8192 are possible",
        ),
        (
            "accept.sources",
            "300.0.0.0/8",
            "accept.sources = \"300.0.0.0/8\"",
        ),
        (
            "accept.require_owner",
            "true",
            "accept.topic_owners is empty",
        ),
        (
            "logs.rotate_size",
            "0",
            "logs.rotate_size = \"0\": must be at least 1",
        ),
        (
            "logs.access_fields",
            "age",
            "logs.access_fields = \"age\": peer, duration_ms, reason, message_id are possible",
        ),
    ]);
}

/// Asserts that each text fails, and how its message begins and ends.
fn assert_places(cases: &[(&str, &str, &str)]) {
    for (text, beginning, place) in cases {
        let error = load_file(text, &[]).unwrap_err();
        assert!(
            error.starts_with(beginning),
            "{error:?} has no {beginning:?}"
        );
        let place = format!("(in FILE:{place})");
        assert!(error.ends_with(&place), "{error:?} has no {place:?}");
    }
}

#[test]
fn a_mistake_in_the_file_has_its_line() {
    assert_places(&[
        (
            "\n[sever]\nlisten = \"a\"\n",
            "sever: there is no such key",
            "2",
        ),
        (
            "[server]\n\nliste = \"a\"\n",
            "server.liste: there is no such key",
            "3",
        ),
        (
            "server.liste = \"a\"\n",
            "server.liste: there is no such key",
            "1",
        ),
        (
            "server = { liste = \"a\" }\n",
            "server.liste: there is no such key",
            "1",
        ),
        (
            "[server.tls]\nkey = \"a\"\n",
            "server.tls.key: there is no such key",
            "2",
        ),
        (
            "[server]\nmax_connections = \"many\"\n",
            "server.max_connections = \"many\": expected a whole number",
            "2",
        ),
        (
            "# \u{4e2d}\u{6587}\r\nlogs.mode = 640\r\n",
            "logs.mode: a file mode",
            "2",
        ),
        (
            "[server]\nmax_body = \"1 banana\"\n",
            "server.max_body: \"1 banana\"",
            "2",
        ),
        (
            "[server]\ndrain = \"0s\"\n",
            "server.drain = \"0s\": must be greater",
            "2",
        ),
        (
            "[signing.fetch_via]\n\"a.example\" = \"b/c\"\n",
            "signing.fetch_via = \"b/c\": write HOST",
            "1",
        ),
        (
            "[accept]\ntopic_owners = [\n  \"your-account-id\",\n]\n",
            "accept.topic_owners = \"your-account-id\": this looks like a placeholder",
            "2",
        ),
    ]);
}

#[test]
fn a_mistake_in_the_syntax_has_its_line_and_column() {
    assert_places(&[
        (
            "[server]\nlisten = 127.0.0.1:1\n",
            "the configuration is not valid TOML: ",
            "2:15",
        ),
        ("[server\n", "the configuration is not valid TOML: ", "1:8"),
        (
            "[logs]\ndir = \"a\"\ndir = \"b\"\n",
            "the configuration is not valid TOML: duplicate key `dir`",
            "3:1",
        ),
    ]);
}

#[test]
fn a_mistake_outside_of_the_file_names_its_variable_or_flag() {
    let good = "[server]\nmax_body = \"1MiB\"\ndrain = \"1s\"\n";
    for (variable, value) in [
        // The file sets the key too, to a valid value.
        ("MNS_ENDPOINT_SERVER__MAX_BODY", "x"),
        ("MNS_ENDPOINT_SERVER__DRAIN", "0s"),
        ("MNS_ENDPOINT_SERVER__MAX_BODI", "1MiB"),
        ("MNS_ENDPOINT_SEVER__MAX_BODY", "1MiB"),
    ] {
        let error = load_file(good, &[(variable, value)]).unwrap_err();
        let place = format!("(in the environment variable {variable})");
        assert!(error.ends_with(&place), "{error:?} has no {place:?}");
    }
    // A variable that overrides a mistake in the file makes the start succeed.
    let bad = "[server]\nmax_body = \"x\"\ndrain = \"0s\"\n";
    let mended = [
        ("MNS_ENDPOINT_SERVER__MAX_BODY", "1MiB"),
        ("MNS_ENDPOINT_SERVER__DRAIN", "1s"),
    ];
    assert!(load_file(bad, &mended).is_ok());
    // A default has no place, because nobody wrote it.
    let error = load_file("[server.tls]\nprivate_key = \"a\"\n", &[]).unwrap_err();
    assert!(
        error.ends_with("name both, or none for plain HTTP"),
        "{error:?}"
    );
}
