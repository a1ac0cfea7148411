use super::*;
use crate::server::Paths;

fn sources(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let pairs = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    let file = Some(PathBuf::from("config/endpoint.toml"));
    Sources {
        file,
        environment: pairs(environment),
        flags: pairs(flags),
        trust: Vec::new(),
    }
}

fn load(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(&sources(environment, flags)).map_err(|error| error.to_string())
}

#[test]
fn the_shipped_file_holds_the_defaults() {
    let shipped = layers::read(&sources(&[], &[])).unwrap();
    assert_eq!(shipped.raw, RawConfig::default());
    assert_eq!(shipped.origin, "config/endpoint.toml");
}

#[test]
fn the_shipped_file_shows_every_key() {
    let shipped = std::fs::read_to_string("config/endpoint.toml").unwrap();
    let debug = format!("{:?}", RawConfig::default());
    let keys = debug
        .split([' ', '{', '('])
        .filter_map(|word| word.strip_suffix(':'));
    let keys: Vec<&str> = keys
        .filter(|key| {
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        })
        .collect();
    assert!(keys.len() > 25, "{keys:?}");
    for key in keys {
        let is_section =
            |line: &str| line == format!("[{key}]") || line.ends_with(&format!(".{key}]"));
        assert!(
            shipped
                .lines()
                .any(|line| line.starts_with(&format!("{key} = ")) || is_section(line)),
            "{key}"
        );
    }
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let config = load(&[("MNS_ENDPOINT_SERVER__LISTEN", "127.0.0.1:1")], &[]).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:1".parse().unwrap()]);
    let config = load(
        &[("MNS_ENDPOINT_SERVER__LISTEN", "127.0.0.1:1")],
        &[("server.listen", "127.0.0.1:2")],
    )
    .unwrap();
    assert_eq!(config.listen, ["127.0.0.1:2".parse().unwrap()]);
}

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
    // What a number could be read into is a name all the same.
    for name in [
        "0x10",
        "1_000",
        "1e3",
        "2016-05-17",
        "true",
        "007",
        "1269128356620446",
        "99999999999999999999",
    ] {
        let raw = layers::read(&sources(&[("MNS_ENDPOINT_ACCEPT__TOPICS", name)], &[]))
            .unwrap()
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
fn an_owner_that_is_no_account_id_stops_the_start_with_the_likely_cause() {
    for (value, cause) in [
        ("your-account-id", "a placeholder"),
        ("${OWNER}", "a placeholder"),
        ("1.269128356620446e+15", "Helm"),
        ("1.269128356620446e15", "Helm"),
        ("[1.269128356620446e+15]", "float notation"),
        ("[\"1269128356620446\", \"1.269128356620446E+15\"]", "Helm"),
        ("2;1269128356620446", "';' separates nothing"),
        ("[\"2;1269128356620446\"]", "an entry for each"),
        ("[\"2 1269128356620446\"]", "an entry for each"),
        ("1269128356620446\u{ff0c}2", "a full-width comma"),
        ("[\"1269128356620446\u{ff0c}2\"]", "a full-width comma"),
        ("1269128356620446\u{3001}2", "a full-width comma"),
        ("me@example.com", "an e-mail address"),
        ("acs:ram::1269128356620446:root", "an ARN"),
        ("\u{ff11}\u{ff12}", "other digits"),
        ("\"1\",\"2\"", "quotes"),
        ("-5", "without a sign"),
        ("+1", "without a sign"),
        ("1_000", "without a sign or underscores"),
        ("LTAI5tExample", "the id of an AccessKey"),
        ("true", "account id"),
    ] {
        let error = load(&[("MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS", value)], &[]).unwrap_err();
        assert!(error.starts_with("accept.topic_owners"), "{error}");
        assert!(error.contains(cause), "{error:?} has no {cause:?}");
    }
}

#[test]
fn the_entries_of_a_list_are_separated_by_commas_blanks_and_new_lines() {
    let read = |text: &str| {
        layers::read(&sources(
            &[("MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS", text)],
            &[],
        ))
        .unwrap()
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
    // A value that a file holds ends with a line feed.
    assert_eq!(
        load(&[("MNS_ENDPOINT_SERVER__MAX_CONNECTIONS", "5\n")], &[])
            .unwrap()
            .net
            .connections_max,
        5
    );
}

#[test]
fn every_list_names_a_separator_that_is_none_and_an_entry_that_cannot_match() {
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
        for (separator, told) in [
            ("\u{ff0c}", "full-width comma"),
            ("\u{ff1b}", "full-width"),
            (";", "';' separates nothing"),
        ] {
            let error = load(&[], &[(key, &format!("{one}{separator}{one}"))]).unwrap_err();
            assert!(
                error.contains(key) && error.contains(told),
                "{error:?} has no {told:?}"
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
fn what_kubernetes_injects_is_not_configuration() {
    let injected = [
        ("MNS_ENDPOINT_PORT", "tcp://10.0.0.1:8080"),
        ("MNS_ENDPOINT_SERVICE_HOST", "10.0.0.1"),
        ("MNS_ENDPOINT_SERVICE_PORT", "8080"),
        ("MNS_ENDPOINT_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("MNS_ENDPOINT_PORT_8080_TCP_PROTO", "tcp"),
    ];
    assert!(load(&injected, &[]).is_ok());
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

#[test]
#[expect(clippy::too_many_lines, reason = "until it is split")]
fn a_mistake_names_the_key_the_value_and_the_place() {
    for (key, value, expected) in [
        (
            "server.liste",
            "x",
            "server.liste: there is no such key; possible here: listen, paths",
        ),
        (
            "sever.listen",
            "x",
            "sever: there is no such key; possible here: server, signing, accept, logs",
        ),
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
            "5",
            "server.head_timeout: \"5\" is no span of time such as 5s",
        ),
        (
            "server.head_timeout",
            "0s",
            "server.head_timeout = \"0s\": it must be more than nothing",
        ),
        (
            "server.max_body",
            "5 bananas",
            "server.max_body: \"5 bananas\" is no size such as 512KiB",
        ),
        (
            "server.max_connections",
            "many",
            "server.max_connections: invalid type: found string \"many\"",
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
        ("logs.mode", "rw", "logs.mode: \"rw\" is no file mode"),
        (
            "logs.refused_rate",
            "50",
            "logs.refused_rate: \"50\" is no rate such as 50/s",
        ),
        (
            "logs.refused_bytes",
            "256KiB",
            "logs.refused_bytes: \"256KiB\" is no rate such as 256KiB/s; \"off\" is",
        ),
        (
            "signing.prefetch",
            "maybe",
            "signing.prefetch: invalid type",
        ),
        (
            "accept.duplicates",
            "no",
            "accept.duplicates: unknown variant: found `no`",
        ),
        (
            "logs.sync",
            "sometimes",
            "logs.sync: \"sometimes\" is none of \"always\", \"interval:100ms\"",
        ),
        (
            "logs.sync",
            "interval:0s",
            "logs.sync: \"interval:0s\" is none of",
        ),
        (
            "logs.rotate_size",
            "0",
            "logs.rotate_size = \"0\": it must be at least 1",
        ),
        (
            "logs.rotate_size",
            "big",
            "logs.rotate_size: \"big\" is no size such as 512KiB or 64MiB; \"off\" is possible too",
        ),
        (
            "logs.format",
            "xml",
            "logs.format: unknown variant: found `xml`",
        ),
        (
            "logs.access_fields",
            "age",
            "logs.access_fields = \"age\": peer, duration_ms, reason, message_id are possible",
        ),
        ("", "x", "is no key such as server.listen"),
    ] {
        let error = load(&[], &[(key, value)]).unwrap_err();
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    }
    let error = load(&[("MNS_ENDPOINT_SERVER__MAX_BODY", "x")], &[]).unwrap_err();
    assert!(
        error.ends_with("(in the environment variable MNS_ENDPOINT_SERVER__MAX_BODY)"),
        "{error}"
    );
}

#[test]
fn what_needs_a_restart_is_told_from_what_does_not() {
    let default = load(&[], &[]).unwrap();
    let changed = |flags: &[(&str, &str)]| default.keys_for_restart(&load(&[], flags).unwrap());
    assert_eq!(changed(&[]), Vec::<String>::new());
    // The same value in another notation.
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
    // The journal has it, and the journal stays.
    assert_eq!(
        changed(&[("accept.duplicates", "drop"), ("accept.topics", "a")]),
        ["accept.duplicates"]
    );
    assert_eq!(
        changed(&[("signing.prefetch", "false"), ("signing.max_age", "1h")]),
        ["signing.prefetch"]
    );
    // Whether there is TLS at all is decided at the start; its files are not.
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

#[test]
fn a_file_that_is_named_must_be_there() {
    let missing = Sources {
        file: Some(PathBuf::from("config/none.toml")),
        ..Sources::default()
    };
    assert!(
        Config::load(&missing)
            .unwrap_err()
            .to_string()
            .contains("config/none.toml")
    );
}

#[test]
fn an_unknown_time_zone_is_a_mistake() {
    assert_eq!(
        local_zone(Some("Asia/Shanghai")).unwrap().1,
        "Asia/Shanghai"
    );
    assert_eq!(local_zone(Some("CST-8")).unwrap().1, "CST-8");
    assert!(
        local_zone(Some("Mars/Olympus"))
            .unwrap_err()
            .to_string()
            .starts_with("TZ = \"Mars/Olympus\"")
    );
    assert!(
        local_zone(Some("::UTC")).is_err(),
        "glibc takes one colon off"
    );
}

/// A zone file of version 2 without transitions, as `zic` writes it: all the time so many seconds
/// east.
fn zone_file(seconds: i32, rule: &str) -> Vec<u8> {
    let letters = b"XYZ\0";
    let counts = [0, 0, 0, 0, 1, u32::try_from(letters.len()).unwrap()];
    let counts: Vec<u8> = counts.into_iter().flat_map(u32::to_be_bytes).collect();
    let block = [
        &b"TZif2"[..],
        &[0; 15],
        &counts,
        &seconds.to_be_bytes(),
        &[0, 0],
        letters,
    ]
    .concat();
    // Once for readers of version 1, and once more for all others.
    [&block[..], &block, b"\n", rule.as_bytes(), b"\n"].concat()
}

#[test]
#[expect(clippy::too_many_lines, reason = "until it is split")]
fn a_zone_is_read_from_a_file_as_glibc_does() {
    let offset = |tz: &str| {
        let (zone, name) = local_zone(Some(tz)).unwrap_or_else(|error| panic!("{tz}: {error}"));
        (
            zone.to_offset(jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(500_000))
                .seconds(),
            name,
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let zoneinfo = dir.path().join("zoneinfo/Asia");
    std::fs::create_dir_all(&zoneinfo).unwrap();
    let file = zoneinfo.join("Here");
    std::fs::write(&file, zone_file(3 * 3600, "XYZ-3")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(offset(file), (3 * 3600, "Asia/Here".to_owned()));
    assert_eq!(
        offset(&format!(":{file}")),
        (3 * 3600, "Asia/Here".to_owned())
    );
    // A link, as /etc/localtime is, has the name of what it leads to.
    let link = dir.path().join("localtime");
    std::os::unix::fs::symlink(file, &link).unwrap();
    assert_eq!(
        offset(link.to_str().unwrap()),
        (3 * 3600, "Asia/Here".to_owned())
    );
    // A container without zone files has those that are built in.
    let missing = zoneinfo.join("Shanghai");
    assert_eq!(
        offset(missing.to_str().unwrap()),
        (8 * 3600, "Asia/Shanghai".to_owned())
    );
    assert_eq!(
        offset("/usr/share/zoneinfo/Asia/Shanghai"),
        (8 * 3600, "Asia/Shanghai".to_owned())
    );
    assert_eq!(
        offset(":Asia/Shanghai"),
        (8 * 3600, "Asia/Shanghai".to_owned())
    );
    // Where its file is not there, the system's zone is UTC.
    assert_eq!(
        zone::of_file("/nowhere/localtime", "/nowhere/localtime")
            .unwrap()
            .1,
        "UTC"
    );
    assert!(zone::of_file("/nowhere/localtime", "/etc/localtime").is_err());
    assert!(local_zone(Some(":/etc/localtime")).is_ok());
    assert!(local_zone(Some("/etc/localtime")).is_ok());
    for (name, content) in [
        ("empty", &b""[..]),
        ("text", b"Asia/Shanghai\n"),
        ("large", &[0; 1024 * 1024 + 1]),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = local_zone(path.to_str()).unwrap_err().to_string();
        assert!(
            error.starts_with("TZ = ") && error.contains(name),
            "{error}"
        );
    }
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(
        local_zone(fifo.to_str())
            .unwrap_err()
            .to_string()
            .contains("a FIFO")
    );
    assert!(
        local_zone(Some("/nowhere/at/all"))
            .unwrap_err()
            .to_string()
            .contains("No such file")
    );
}

#[test]
fn the_certificate_of_mns_is_fetched_ahead_only_for_pushes_of_mns() {
    let ahead = |flags: &[(&str, &str)]| {
        load(&[], flags)
            .unwrap()
            .prefetch
            .map(|url| url.to_string())
    };
    assert_eq!(
        ahead(&[]).as_deref(),
        Some(crate::mns::WELL_KNOWN_CERTIFICATE)
    );
    assert_eq!(ahead(&[("signing.prefetch", "false")]), None);
    assert_eq!(
        ahead(&[(
            "signing.certificate_prefixes",
            "https://mns-cert.oss-cn-hangzhou.aliyuncs.com/"
        )]),
        None
    );
    let trusting = Sources {
        trust: vec!["http://127.0.0.1:9001/".to_owned()],
        ..sources(&[], &[])
    };
    assert_eq!(Config::load(&trusting).unwrap().prefetch, None);
}
