use crate::config::tests::load;

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
