//! Overload: slow peers, idle peers, endless requests. Memory stays bounded, and pushes are
//! accepted.
//!
//! `OVERLOAD_CONNECTIONS=` sets the number of connections of each kind.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{CertificateHost, Draft, Endpoint, Options, exchange, key, read_answer, send};

const MIB: usize = 1024 * 1024;
/// How long MNS waits for an answer.
const MNS_WAITS: Duration = Duration::from_secs(5);

/// An endpoint whose memory is measured.
struct Loaded {
    endpoint: Endpoint,
    host: CertificateHost,
    connections: usize,
    /// Resident bytes after its first push.
    before: usize,
}

impl Loaded {
    fn start() -> Self {
        let connections =
            std::env::var("OVERLOAD_CONNECTIONS").map_or(1000, |count| count.parse().unwrap());
        // This process has the other end of each connection.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        )
        .unwrap();
        let host = CertificateHost::serving(&key(512));
        let endpoint =
            Endpoint::start(&Options::trusting(host.prefix()).set("logs.refused_rate", "10/s"));
        let mut loaded = Self {
            endpoint,
            host,
            connections,
            before: 0,
        };
        loaded.push();
        loaded.before = loaded.resident();
        loaded
    }

    /// Resident bytes, as the kernel counts them.
    fn resident(&self) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.endpoint.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim()
            .strip_suffix(" kB")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            * 1024
    }

    /// Sends a genuine push, which must be accepted whatever else happens.
    #[track_caller]
    fn push(&self) {
        let draft = Draft::new(ContentFormat::Xml, "m", &self.host.url("cert.pem")).sign(&key(512));
        let begun = Instant::now();
        assert_eq!(exchange(self.endpoint.address, &draft.wire()).status, 201);
        assert!(begun.elapsed() < MNS_WAITS, "{:?}", begun.elapsed());
    }

    fn open(&self, bytes: &[u8]) -> Vec<TcpStream> {
        (0..self.connections)
            .map(|_| send(self.endpoint.address, bytes))
            .collect()
    }

    /// Memory must have grown by at most this many bytes.
    #[track_caller]
    fn assert_grown(&self, what: &str, bytes_max: usize) {
        let (before, now) = (self.before, self.resident());
        let grown = now.saturating_sub(before);
        tell(&format!(
            "{what}: {} KiB resident, {} KiB more than before",
            now / 1024,
            grown / 1024
        ));
        assert!(
            grown <= bytes_max,
            "{what}: grew by {grown} bytes, more than {bytes_max}"
        );
    }
}

#[expect(clippy::print_stdout, reason = "these figures are asked for")]
fn tell(text: &str) {
    println!("{text}");
}

#[test]
fn thousands_of_idle_connections_use_little_memory_and_block_nobody() {
    let loaded = Loaded::start();
    let mut idle = loaded.open(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    for stream in &mut idle {
        assert_eq!(read_answer(stream).status, 200);
    }
    loaded.push();
    loaded.assert_grown(
        &format!("{} idle connections", idle.len()),
        idle.len() * 24 * 1024 + 8 * MIB,
    );
}

#[test]
fn slow_heads_use_little_memory_and_block_nobody() {
    let loaded = Loaded::start();
    // A head of several KiB without its end.
    let head = format!(
        "POST /notifications HTTP/1.1\r\nHost: x\r\nX-Long: {}",
        "x".repeat(4000)
    );
    let mut slow = loaded.open(head.as_bytes());
    loaded.push();
    loaded.assert_grown(
        &format!("{} slow heads", slow.len()),
        slow.len() * 48 * 1024 + 8 * MIB,
    );
    while !slow.is_empty() {
        loaded.push();
        slow.retain_mut(|stream| stream.write_all(b"y").is_ok());
    }
    loaded.assert_grown(
        "and when all were cut",
        loaded.connections * 48 * 1024 + 8 * MIB,
    );
}

#[test]
fn slow_bodies_are_bounded_together_and_block_nobody() {
    let loaded = Loaded::start();
    let head = "POST /notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n";
    // Everything but the last byte. Together as much as fits if there are a thousand.
    let bytes = [head.as_bytes(), &vec![b'x'; 64 * MIB / 1100]].concat();
    let slow = loaded.open(&bytes);
    loaded.push();
    loaded.assert_grown(
        &format!("{} slow bodies", slow.len()),
        slow.len() * 48 * 1024 + 160 * MIB,
    );
    drop(slow);
    loaded.push();
}

#[test]
fn a_body_of_a_gigabyte_is_not_stored() {
    let loaded = Loaded::start();
    let announced = send(
        loaded.endpoint.address,
        b"POST /notifications HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n",
    );
    assert_eq!(read_answer(&mut { announced }).status, 413);
    let chunk = [b"10000\r\n", [b'x'; 0x10000].as_slice(), b"\r\n"].concat();
    let mut endless = send(
        loaded.endpoint.address,
        b"POST /notifications HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let sent = (0..16 * 1024)
        .take_while(|_| endless.write_all(&chunk).is_ok())
        .count()
        * 0x10000;
    assert!(sent < 64 * MIB, "{sent} bytes were taken");
    loaded.push();
    loaded.assert_grown("a body of 1 GiB, announced and not", 8 * MIB);
}

#[test]
fn an_endless_head_is_not_stored() {
    let loaded = Loaded::start();
    let mut endless = send(loaded.endpoint.address, b"POST /notifications HTTP/1.1\r\n");
    let line = [b"X-", [b'x'; 1000].as_slice(), b": y\r\n"].concat();
    let sent = (0..1024 * 1024)
        .take_while(|_| endless.write_all(&line).is_ok())
        .count()
        * line.len();
    assert!(sent < 8 * MIB, "{sent} bytes were taken");
    let mut rest = Vec::new();
    match endless.read_to_end(&mut rest) {
        Ok(_) => assert!(
            rest.starts_with(b"HTTP/1.1 431 "),
            "{:?}",
            String::from_utf8_lossy(&rest)
        ),
        // The kernel answered what was sent after that.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    loaded.push();
    loaded.assert_grown("a head without an end", 8 * MIB);
}
