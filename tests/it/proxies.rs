//! Behind a proxy: which client addresses are trusted, and the restored part of a path that a proxy
//! removed.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;
use mns_endpoint::server::Reason;

use crate::support::{
    Bench, CertificateHost, Draft, Endpoint, Identity, Options, eventually, key, occupy,
    read_answer, secure, secure_after, send, within,
};

/// The time limit of a PROXY header that has begun.
const SLOW: Duration = Duration::from_secs(5);
/// After this time a connection without progress gives way, so nobody is turned away for it.
const GRACE: Duration = Duration::from_secs(1);
/// The fixed part of a PROXY header of version 2, without its length.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A PROXY header according to the specification, for a TCP connection from `source`.
fn proxied(source: [u8; 4], port: u16) -> Vec<u8> {
    let ports = [port.to_be_bytes(), 8080u16.to_be_bytes()].concat();
    [
        SIGNATURE,
        b"\x21\x11\x00\x0c",
        &source,
        &[127, 0, 0, 1],
        &ports,
    ]
    .concat()
}

/// A PROXY header of a proxy that connects on its own behalf.
fn local() -> Vec<u8> {
    [SIGNATURE, b"\x20\x00\x00\x00"].concat()
}

fn bench(set: &[(&str, &str)]) -> Bench {
    Bench::with(|options| {
        let options = options
            .set("server.trusted_proxies", "127.0.0.1")
            .set("logs.access_fields", "peer");
        set.iter()
            .fold(options, |options, (key, value)| options.set(key, value))
    })
}

/// Pushes with a prefix before the request. Returns the status and the peer that was logged.
#[track_caller]
fn peer_of(bench: &Bench, front: &[u8], draft: &Draft) -> (u16, String) {
    let lines = bench.endpoint.access_log().lines().count();
    let mut stream = send(bench.endpoint.address, &[front, &draft.wire()].concat());
    let own = stream.local_addr().unwrap().to_string();
    let status = read_answer(&mut stream).status;
    let line = bench.next_line(lines);
    let peer = line
        .trim_end_matches('"')
        .rsplit('"')
        .next()
        .unwrap()
        .to_owned();
    (status, if peer == own { "own".to_owned() } else { peer })
}

fn signed(bench: &Bench) -> Draft {
    bench.draft().sign(&key(512))
}

#[test]
fn a_trusted_proxy_names_the_client_of_a_request() {
    let bench = bench(&[("accept.sources", "203.0.113.0/24")]);
    let from = |addresses: &str| signed(&bench).set("X-Forwarded-For", addresses);
    assert_eq!(
        peer_of(&bench, b"", &from("203.0.113.7")),
        (201, "203.0.113.7:0".to_owned())
    );
    assert_eq!(
        peer_of(&bench, b"", &from("203.0.113.7, 127.0.0.1")),
        (201, "203.0.113.7:0".to_owned())
    );
    // What a stranger wrote into the header is not trusted.
    assert_eq!(
        peer_of(&bench, b"", &from("203.0.113.7, 192.0.2.1")),
        (403, "192.0.2.1:0".to_owned())
    );
    assert_eq!(
        peer_of(&bench, b"", &signed(&bench)),
        (403, "own".to_owned())
    );
    let reasons = bench.log();
    assert!(
        reasons
            .last()
            .unwrap()
            .text
            .contains(Reason::SourceNotAccepted.key())
    );
    let header = proxied([203, 0, 113, 9], 4711);
    assert_eq!(
        peer_of(&bench, &header, &signed(&bench)),
        (201, "203.0.113.9:4711".to_owned())
    );
    // If that peer is not a proxy, its header is ignored.
    assert_eq!(
        peer_of(&bench, &header, &from("192.0.2.1")),
        (201, "203.0.113.9:4711".to_owned())
    );
    assert_eq!(
        peer_of(&bench, &local(), &signed(&bench)),
        (403, "own".to_owned())
    );
}

#[test]
fn headers_of_a_stranger_are_ignored() {
    let bench = Bench::with(|options| {
        let options = options
            .set("server.trusted_proxies", "192.0.2.0/24")
            .set("logs.access_fields", "peer");
        options.set("accept.sources", "127.0.0.1")
    });
    let told = signed(&bench).set("X-Forwarded-For", "203.0.113.7");
    assert_eq!(peer_of(&bench, b"", &told), (201, "own".to_owned()));
    let mut stream = send(
        bench.endpoint.address,
        &[proxied([203, 0, 113, 9], 1), signed(&bench).wire()].concat(),
    );
    assert_eq!(read_answer(&mut stream).status, 400);
}

/// The longest possible PROXY header of version 1.
const LONGEST: &[u8] = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";

#[test]
fn a_trusted_proxy_may_name_the_client_in_text() {
    let bench = bench(&[("accept.sources", "203.0.113.0/24,2001:db8::/32")]);
    assert_eq!(LONGEST.len(), 107);
    for (header, expected) in [
        (
            &b"PROXY TCP4 203.0.113.9 192.0.2.2 4711 8080\r\n"[..],
            (201, "203.0.113.9:4711"),
        ),
        (
            b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 8080\r\n",
            (201, "[2001:db8::9]:4711"),
        ),
        (
            b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n",
            (201, "203.0.113.9:1"),
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8080\r\n",
            (403, "192.0.2.1:4711"),
        ),
        // The proxy connects on its own behalf, or does not know the client.
        (b"PROXY UNKNOWN\r\n", (403, "own")),
        (LONGEST, (403, "own")),
    ] {
        let told = String::from_utf8_lossy(header);
        assert_eq!(
            peer_of(&bench, header, &signed(&bench)),
            (expected.0, expected.1.to_owned()),
            "{told}"
        );
    }
    // If that peer is not a proxy, its header is ignored.
    let header = b"PROXY TCP4 203.0.113.9 192.0.2.2 4711 8080\r\n";
    let told = signed(&bench).set("X-Forwarded-For", "192.0.2.1");
    assert_eq!(
        peer_of(&bench, header, &told),
        (201, "203.0.113.9:4711".to_owned())
    );
}

#[test]
fn a_text_header_may_arrive_in_any_packets_and_so_may_a_request_without_one() {
    let bench = bench(&[("accept.sources", "203.0.113.0/24")]);
    for (front, expected) in [
        (&b"PROXY TCP4 203.0.113.9 192.0.2.2 4711 8080\r\n"[..], 201),
        (b"", 403),
    ] {
        let mut stream = send(bench.endpoint.address, b"");
        stream.set_nodelay(true).unwrap();
        let wire = [front, &signed(&bench).wire()].concat();
        let (slowly, rest) = wire.split_at(front.len() + 6);
        for byte in slowly {
            stream.write_all(&[*byte]).unwrap();
            // Time for the endpoint to read it alone. The assertion also holds for any other split.
            let written = Instant::now();
            while written.elapsed() < Duration::from_millis(2) {
                std::thread::yield_now();
            }
        }
        stream.write_all(rest).unwrap();
        assert_eq!(read_answer(&mut stream).status, expected);
    }
    // Methods with the same beginning are refused as methods and not closed.
    for method in ["PROPFIND", "PROXIED", "PRI", "P", "PUT"] {
        let request =
            format!("{method} /notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            bench.endpoint.exchange(request.as_bytes()).status,
            405,
            "{method}"
        );
    }
}

#[test]
fn a_peer_that_ends_within_a_possible_text_header_blocks_nobody() {
    let bench = bench(&[]);
    // More than there are threads.
    let mut ended: Vec<_> = (0..64)
        .map(|turn| send(bench.endpoint.address, &b"PROXY"[..1 + turn % 5]))
        .collect();
    let begun = Instant::now();
    for stream in &mut ended {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    assert_eq!(bench.endpoint.exchange(&signed(&bench).wire()).status, 201);
    for mut stream in ended {
        // The HTTP library's answer to half a head, or none.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    assert!(begun.elapsed() < SLOW, "{:?}", begun.elapsed());
}

#[test]
fn text_headers_of_a_stranger_are_ignored() {
    let bench = Bench::with(|options| options.set("server.trusted_proxies", "192.0.2.0/24"));
    for header in [
        &b"PROXY TCP4 203.0.113.9 192.0.2.2 1 2\r\n"[..],
        b"PROXY UNKNOWN\r\n",
    ] {
        let mut stream = send(
            bench.endpoint.address,
            &[header, &signed(&bench).wire()].concat(),
        );
        assert_eq!(read_answer(&mut stream).status, 400);
    }
}

#[test]
fn broken_and_slow_text_headers_are_closed_and_counted() {
    let bench = bench(&[]);
    let longer = LONGEST.strip_suffix(b"\r\n").unwrap();
    let longer = [longer, b"0\r\n"].concat();
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 5000]].concat();
    let cases: [(&[u8], bool); 9] = [
        (&longer, false),
        (&endless, false),
        (b"PROXY TCP4 203.0.113.9 192.0.2.2 4711\r\n", false),
        (b"PROXY TCP4 203.0.113.999 192.0.2.2 4711 8080\r\n", false),
        (b"PROXY TCP6 203.0.113.9 192.0.2.2 4711 8080\r\n", false),
        (b"PROXY UDP4 203.0.113.9 192.0.2.2 4711 8080\r\n", false),
        (b"PROXY TCP4 203.0.113.9 192.0.2.2 4711 80800\r\n", false),
        (b"PROXY TCP4 203.0.113.9 192.0.2.2 4711 8080\n", true),
        (b"PRO", true),
    ];
    let count = cases.len();
    for (bytes, is_slow) in cases {
        let begun = Instant::now();
        let mut stream = send(bench.endpoint.address, bytes);
        match stream.read(&mut [0]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let (took, told) = (begun.elapsed(), String::from_utf8_lossy(bytes));
        assert!(
            if is_slow {
                took >= SLOW && took < SLOW * 2
            } else {
                took < SLOW / 2
            },
            "{took:?} for {told}"
        );
    }
    assert!(
        bench
            .endpoint
            .told()
            .contains(&format!("broken_heads={count} "))
    );
}

#[test]
fn an_ipv4_peer_of_a_dual_stack_socket_is_one_of_ipv4() {
    let set = |options: Options| {
        let options = options
            .set("server.listen", "[::]:0")
            .set("logs.access_fields", "peer");
        options
            .set("accept.sources", "127.0.0.1")
            .set("server.trusted_proxies", "127.0.0.0/8")
    };
    let mut bench = Bench::with(set);
    bench.endpoint.address.set_ip("127.0.0.1".parse().unwrap());
    assert_eq!(
        peer_of(&bench, b"", &signed(&bench)),
        (201, "own".to_owned())
    );
    let told = signed(&bench).set("X-Forwarded-For", "127.0.0.9");
    assert_eq!(peer_of(&bench, b"", &told), (403, "127.0.0.9:0".to_owned()));
}

#[test]
fn broken_and_slow_binary_headers_are_closed_and_counted() {
    let bench = bench(&[]);
    let long = [SIGNATURE, b"\x21\x11\xff\xff", &[0; 5000]].concat();
    let broken = [&proxied([1, 2, 3, 4], 5)[..14], b"\x00\x05short"].concat();
    let other = [b"\r\n", signed(&bench).wire().as_slice()].concat();
    let slow = proxied([1, 2, 3, 4], 5)[..20].to_vec();
    for (bytes, is_slow) in [(long, false), (broken, false), (other, false), (slow, true)] {
        let begun = Instant::now();
        let mut stream = send(bench.endpoint.address, &bytes);
        match stream.read(&mut [0]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let took = begun.elapsed();
        assert!(
            if is_slow {
                took >= SLOW && took < SLOW * 2
            } else {
                took < SLOW / 2
            },
            "{took:?} for {bytes:?}"
        );
    }
    assert!(bench.endpoint.told().contains("broken_heads=4 "));
}

#[test]
fn a_proxy_header_precedes_the_handshake() {
    let (dir, identity) = (tempfile::tempdir().unwrap(), Identity::new());
    identity.write(dir.path());
    let options = Options::default()
        .set("server.tls.certificate", "server.pem")
        .set("server.tls.private_key", "server.key")
        .set("server.trusted_proxies", "127.0.0.1")
        .set("logs.access_fields", "peer");
    let endpoint = Endpoint::start_in(dir, &options);
    for (header, peer) in [
        (proxied([203, 0, 113, 9], 4711), "\"203.0.113.9:4711\""),
        (
            b"PROXY TCP4 203.0.113.8 192.0.2.2 4712 8080\r\n".to_vec(),
            "\"203.0.113.8:4712\"",
        ),
    ] {
        let mut stream = secure_after(endpoint.address, &identity, &header);
        let draft = Draft::new(ContentFormat::Xml, "m", "https://a.example/a.pem").sign(&key(512));
        stream.write_all(&draft.wire()).unwrap();
        assert_eq!(read_answer(&mut stream).status, 403);
        eventually("it is logged", || {
            endpoint.access_log().contains(peer).then_some(())
        });
    }
    // Without a header the peer of the connection counts.
    assert!(secure(endpoint.address, &identity).is_ok());
}

#[test]
fn a_proxy_gets_503_after_its_header_if_all_connections_are_busy() {
    let identity = Identity::new();
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix())
        .set("server.tls.certificate", "server.pem")
        .set("server.tls.private_key", "server.key")
        .set("server.trusted_proxies", "127.0.0.1")
        .set("server.max_connections", "1");
    let header = proxied([203, 0, 113, 9], 4711);
    for front in [&header[..], &local(), b"PROXY UNKNOWN\r\n", b""] {
        within(GRACE, || {
            let dir = tempfile::tempdir().unwrap();
            identity.write(dir.path());
            let endpoint = Endpoint::start_in(dir, &options);
            let mut busy = secure_after(endpoint.address, &identity, &header);
            occupy(&mut busy, &host.url("a.pem"));
            let mut turned_away = secure_after(endpoint.address, &identity, front);
            assert_eq!(read_answer(&mut turned_away).status, 503);
        });
    }
}

#[test]
fn a_silent_proxy_gets_503_too_if_all_connections_are_busy() {
    let header = proxied([203, 0, 113, 9], 4711);
    for begun in [b"", &header[..20], &header, b"PRO", b"PROXY TCP4 "] {
        within(GRACE, || {
            let bench = bench(&[("server.max_connections", "1")]);
            let mut busy = send(bench.endpoint.address, b"");
            occupy(&mut busy, &bench.host.url("a.pem"));
            let asked = Instant::now();
            assert_eq!(
                read_answer(&mut send(bench.endpoint.address, begun)).status,
                503
            );
            let took = asked.elapsed();
            assert!(took < SLOW / 2, "{took:?} for {begun:?}");
        });
    }
}

#[test]
fn the_removed_part_of_the_path_is_restored() {
    let bench = bench(&[
        ("server.public_path_prefix", "/a/mns"),
        ("server.paths", "/a/mns/notifications"),
    ]);
    for target in [
        "/notifications",
        "/notifications?x=1&y=%2F",
        "/notifications?",
    ] {
        let whole = format!("/a/mns{target}");
        let draft = bench.draft().to(&whole).sign(&key(512));
        let lines = bench.endpoint.access_log().lines().count();
        assert_eq!(
            bench
                .endpoint
                .exchange(&draft.clone().to(target).wire())
                .status,
            201,
            "{target}"
        );
        assert!(
            bench
                .next_line(lines)
                .contains(&format!("\"POST\" \"201\" \"{whole}\" "))
        );
        // Signed for the address that the proxy requests.
        assert_eq!(
            bench
                .endpoint
                .exchange(&bench.draft().to(target).sign(&key(512)).wire())
                .status,
            403
        );
        assert_eq!(bench.endpoint.exchange(&draft.wire()).status, 404);
        // Refusals are answered before their lines are written.
        let is_whole = || bench.endpoint.access_log().lines().count() == lines + 3;
        eventually("the refusals are logged", || is_whole().then_some(()));
    }
    let health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(bench.endpoint.exchange(health).status, 200);
    assert_eq!(
        bench
            .endpoint
            .exchange(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
            .status,
        404
    );
}
