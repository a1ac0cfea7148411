//! TLS: which clients are accepted, for how long, and with which certificate.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;
use rustix::fs::{CWD, FileType, mknodat};
use rustls::version::{TLS12, TLS13};

use crate::support::{
    CertificateHost, Draft, Endpoint, Identity, Options, answer_within, eventually, key, occupy,
    read_answer, run, secure, secure_with, send, within,
};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
/// The last request of a connection.
const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/// The time limit of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

fn options() -> Options {
    Options::default()
        .set("server.tls.certificate", "server.pem")
        .set("server.tls.private_key", "server.key")
}

fn start(options: &Options) -> (Endpoint, Identity) {
    let (dir, identity) = (tempfile::tempdir().unwrap(), Identity::new());
    identity.write(dir.path());
    (Endpoint::start_in(dir, options), identity)
}

#[track_caller]
fn assert_served(endpoint: &Endpoint, identity: &Identity) {
    let mut stream = secure(endpoint.address, identity).unwrap();
    stream.write_all(HEALTH).unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
}

#[test]
fn a_push_is_taken_over_tls_1_2_and_1_3_and_the_address_says_https() {
    let host = CertificateHost::serving(&key(512));
    let (endpoint, identity) = start(&Options {
        trust: vec![host.prefix()],
        ..options()
    });
    assert_eq!(
        endpoint.start_lines[0],
        format!("Start Endpoint! Address: https://{}", endpoint.address)
    );
    for (version, alpn) in [
        (&TLS12, &[][..]),
        (&TLS13, &[]),
        (&TLS13, &["http/1.1"]),
        (&TLS13, &["h2", "http/1.1"]),
    ] {
        let mut stream = secure_with(endpoint.address, identity.client(&[version], alpn)).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(
            stream.conn.alpn_protocol(),
            alpn.last().map(|name| name.as_bytes())
        );
        // Two on one connection, closed properly at the end.
        for _ in 0..2 {
            let draft = Draft::new(ContentFormat::Xml, "m", &host.url("a.pem")).sign(&key(512));
            stream.write_all(&draft.wire()).unwrap();
            assert_eq!(read_answer(&mut stream).status, 201);
        }
        stream.write_all(LAST).unwrap();
        assert_eq!(read_answer(&mut stream).status, 200);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }
    assert_eq!(endpoint.access_log().lines().count(), 8);
}

#[test]
fn clients_without_tls_or_with_another_protocol_are_closed_and_counted() {
    let (endpoint, identity) = start(&options());
    let refused = secure_with(endpoint.address, identity.client(&[&TLS13], &["h2"])).unwrap_err();
    assert!(
        refused.to_string().contains("NoApplicationProtocol"),
        "{refused}"
    );
    let mut plain = send(endpoint.address, HEALTH);
    let mut said = Vec::new();
    plain.read_to_end(&mut said).ok();
    assert!(!String::from_utf8_lossy(&said).contains("HTTP"), "{said:?}");
    assert_served(&endpoint, &identity);
    assert!(endpoint.told().contains("failed_handshakes=2 "));
}

#[test]
fn a_silent_handshake_is_closed_and_blocks_nobody() {
    let options = options().set("server.head_timeout", "1h");
    let (endpoint, begun, mut silent) = eventually("others did not wait for the handshake", || {
        let (endpoint, identity) = start(&options);
        let begun = Instant::now();
        // One sends nothing, one the beginning of a record.
        let silent = [
            send(endpoint.address, b""),
            send(endpoint.address, b"\x16\x03\x01\x02\x00\x01"),
        ];
        for _ in 0..5 {
            assert_served(&endpoint, &identity);
        }
        let mut all = silent.iter();
        let is_cut = all.any(|stream| answer_within(stream, Duration::from_millis(10)));
        let is_in_time = begun.elapsed() < HANDSHAKE;
        assert!(!is_cut || !is_in_time);
        is_in_time.then_some((endpoint, begun, silent))
    });
    for stream in &mut silent {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).ok();
        assert_eq!(said, b"");
        let waited = begun.elapsed();
        assert!(
            waited + Duration::from_millis(50) > HANDSHAKE && waited < HANDSHAKE * 6,
            "{waited:?}"
        );
    }
    assert!(endpoint.told().contains("failed_handshakes=2 "));
}

#[test]
fn a_handshake_gives_its_slot_to_a_newcomer() {
    eventually("it gave way before the end of its handshake", || {
        let (endpoint, identity) = start(&options().set("server.max_connections", "1"));
        let begun = Instant::now();
        let mut silent = send(endpoint.address, b"");
        answer_within(&silent, Duration::from_millis(50));
        assert_served(&endpoint, &identity);
        assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
        (begun.elapsed() < HANDSHAKE).then_some(())
    });
}

#[test]
fn if_every_slot_is_busy_the_503_is_sent_over_tls() {
    let host = CertificateHost::serving(&key(512));
    let options = Options {
        trust: vec![host.prefix()],
        ..options().set("server.max_connections", "1")
    };
    // After this time without progress the busy one gives way.
    const GRACE: Duration = Duration::from_secs(1);
    within(GRACE, || {
        let (endpoint, identity) = start(&options);
        let mut busy = secure(endpoint.address, &identity).unwrap();
        occupy(&mut busy, &host.url("a.pem"));
        let mut other = secure(endpoint.address, &identity).unwrap();
        assert_eq!(read_answer(&mut other).status, 503);
    });
}

/// Whether a new connection gets that certificate.
fn is_shown(endpoint: &Endpoint, identity: &Identity) -> bool {
    secure(endpoint.address, identity).is_ok()
}

#[test]
fn a_changed_pair_is_used_and_an_unusable_one_is_reported_and_ignored() {
    let (endpoint, old) = start(&options());
    let mut open = secure(endpoint.address, &old).unwrap();
    let new = Identity::new();
    new.write(endpoint.path());
    eventually("the new certificate is shown", || {
        is_shown(&endpoint, &new).then_some(())
    });
    endpoint.assert_tells("Certificate and key of server.tls have changed");
    // An open connection continues.
    open.write_all(HEALTH).unwrap();
    assert_eq!(read_answer(&mut open).status, 200);
    // Each one replaces the previous one.
    for (number, spoil) in [
        spoil_pair,
        spoil_certificate,
        put_fifo,
        spoil_key,
        take_away,
    ]
    .into_iter()
    .enumerate()
    {
        spoil(endpoint.path(), &new);
        let told = || {
            endpoint
                .stderr()
                .matches("cannot be used: the old pair stays in use")
                .count()
        };
        eventually("the bad pair is reported", || {
            (told() > number).then_some(())
        });
        assert_served(&endpoint, &new);
        assert_eq!(told(), number + 1);
    }
    let told = endpoint.stderr();
    assert_eq!(told.matches("ERROR").count(), 5, "{told}");
    assert!(
        told.contains("the private key is not the key of the first certificate in the file"),
        "{told}"
    );
    assert!(!told.contains("KeyMismatch"), "{told}");
    assert!(
        told.contains("server.tls.certificate = \"server.pem\": there is no certificate in PEM"),
        "{told}"
    );
    assert!(
        told.contains("server.tls.private_key = \"server.key\": there is no private key in PEM"),
        "{told}"
    );
    assert!(
        told.contains(
            "server.tls.private_key = \"server.key\": the file cannot be read: No such file"
        ),
        "{told}"
    );
    assert!(
        told.contains(
            "server.tls.certificate = \"server.pem\": the file cannot be read: it is a FIFO"
        ),
        "{told}"
    );
}

fn spoil_pair(dir: &Path, _good: &Identity) {
    fs::write(dir.join("server.pem"), Identity::new().certificate_pem).unwrap();
}

fn spoil_certificate(dir: &Path, _good: &Identity) {
    fs::write(dir.join("server.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
}

fn spoil_key(dir: &Path, good: &Identity) {
    fs::remove_file(dir.join("server.pem")).unwrap();
    good.write(dir);
    fs::write(dir.join("server.key"), "").unwrap();
}

fn take_away(dir: &Path, _good: &Identity) {
    fs::remove_file(dir.join("server.key")).unwrap();
}

fn put_fifo(dir: &Path, _good: &Identity) {
    fs::remove_file(dir.join("server.pem")).unwrap();
    mknodat(CWD, dir.join("server.pem"), FileType::Fifo, 0o600.into(), 0).unwrap();
}

#[test]
fn a_pair_that_cannot_be_used_stops_the_start_with_the_name_of_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::new();
    let start = |certificate: &str, key: &str| {
        let certificate = format!("server.tls.certificate={certificate}");
        let key = format!("server.tls.private_key={key}");
        run(
            dir.path(),
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--set",
                &certificate,
                "--set",
                &key,
            ],
        )
    };
    identity.write(dir.path());
    fs::write(dir.path().join("other.key"), Identity::new().key_pem).unwrap();
    fs::write(dir.path().join("short.key"), key(512).to_key_pem().unwrap()).unwrap();
    let encrypted = identity
        .key_pem
        .replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    fs::write(dir.path().join("encrypted.key"), encrypted).unwrap();
    start("server.pem", "").assert(
        78,
        "server.tls.private_key = \"\": certificate and private_key go together",
    );
    start("", "server.key").assert(
        78,
        "server.tls.certificate = \"\": certificate and private_key go together",
    );
    start("none.pem", "server.key").assert(
        78,
        "server.tls.certificate = \"none.pem\": the file cannot be read: No such",
    );
    mknodat(
        CWD,
        dir.path().join("fifo"),
        FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    start("fifo", "server.key").assert(
        78,
        "server.tls.certificate = \"fifo\": the file cannot be read: it is a FIFO, not \
            a regular file",
    );
    start("server.pem", "/dev/zero").assert(
        78,
        "server.tls.private_key = \"/dev/zero\": the file cannot be read: it is a device, not a \
         regular file",
    );
    let large = fs::File::create(dir.path().join("large")).unwrap();
    large.set_len(1024 * 1024 + 1).unwrap();
    start("server.pem", "large")
        .assert(78, "it has more than 1048576 bytes, the most that are read");
    start("server.key", "server.key").assert(
        78,
        "server.tls.certificate = \"server.key\": there is no certificate",
    );
    start("server.pem", "server.pem").assert(
        78,
        "server.tls.private_key = \"server.pem\": there is no private key",
    );
    let unfit = start("server.pem", "other.key");
    unfit.assert(
        78,
        "server.tls.certificate = \"server.pem\" cannot be used with server.tls.private_key = \
         \"other.key\": the private key is not the key of the first certificate in the file. Name \
         the files that were created together",
    );
    assert!(!unfit.stderr.contains("KeyMismatch"), "{unfit:?}");
    for (key, told) in [
        (
            "short.key",
            "the private key is of a kind that TLS does not support here: use RSA of 2048 to 8192",
        ),
        (
            "encrypted.key",
            "there is no private key without a passphrase in PEM in it",
        ),
    ] {
        start("server.pem", key).assert(78, told);
    }
    assert!(
        !dir.path().join("logs").exists(),
        "the logs were opened first"
    );
}
