//! A flood of forged pushes that keep naming new certificates: few are fetched, little is logged,
//! and all genuine pushes of the same time are accepted.
//!
//! `FLOOD_REQUESTS=` sets the number of forged pushes.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::emulator::Signer;
use mns_endpoint::mns::{ContentFormat, WELL_KNOWN_CERTIFICATE};
use mns_endpoint::trust::{ALL_FETCHES, FetchRate, PEER_FETCHES};
use socket2::{Domain, Socket, Type};

use crate::support::{
    CertificateHost, Draft, Endpoint, Mode, Options, attribute, eventually, foreign_key, key,
    read_answer, records,
};

/// The number of connections of the flood.
const SENDERS: usize = 8;
/// The default of `logs.refused_rate`, per second, and the bytes that each refusal may take with
/// the defaults.
const REFUSED_RATE: usize = 50;
const REFUSED_BYTES: usize = (4 + 16) * 1024;
/// The maximum size of an access line of these requests, in bytes.
const ACCESS_LINE_BYTES: usize = 256;

/// The result of a flood.
struct Flood {
    statuses: BTreeMap<u16, usize>,
    /// The ids of genuine pushes that were answered 201.
    acknowledged: Vec<String>,
    /// The number of new certificates of genuine pushes.
    new: usize,
    fetches: usize,
    grown: [usize; 2],
    took: Duration,
    log: String,
}

fn requests() -> usize {
    std::env::var("FLOOD_REQUESTS").map_or(5000, |count| count.parse().unwrap())
}

/// A connection from one of this machine's addresses.
fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::new(IpAddr::V4(from), 0).into())
        .unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// Sends one forged request after the other, each with a new address, from one peer after the
/// other.
///
/// Continues beyond [`requests`] until `is_met`: until the flood has coincided with what is
/// measured during it.
fn send_forged(
    endpoint: &Endpoint,
    host: &CertificateHost,
    peers: u8,
    next: &AtomicUsize,
    is_met: &AtomicBool,
) -> BTreeMap<u16, usize> {
    let forged =
        Draft::new(ContentFormat::Xml, "forged", "").set("Authorization", STANDARD.encode([7; 64]));
    let mut statuses = BTreeMap::new();
    let mut streams = BTreeMap::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests() && is_met.load(Ordering::Relaxed) {
            return statuses;
        }
        let peer = u8::try_from(number % usize::from(peers)).unwrap();
        let connected =
            || BufReader::new(connect(Ipv4Addr::new(127, 0, 2, peer), endpoint.address));
        let mut stream = streams.remove(&peer).unwrap_or_else(connected);
        let url = STANDARD.encode(host.url(&format!("forged-{number}.pem")));
        stream
            .get_mut()
            .write_all(&forged.clone().set("x-mns-signing-cert-url", url).wire())
            .unwrap();
        let answer = read_answer(&mut stream);
        *statuses.entry(answer.status).or_default() += 1;
        // A stranger gets one 403 on a connection.
        let is_closed = answer
            .headers
            .get("connection")
            .is_some_and(|token| token == "close");
        assert_eq!(is_closed, answer.status == 403);
        if !is_closed {
            streams.insert(peer, stream);
        }
    }
}

/// Pushes until the flood has ended: with a known certificate, whose key changes in between, and
/// with a few new ones.
fn push_genuine(
    endpoint: &Endpoint,
    host: &CertificateHost,
    new_max: usize,
    next: &AtomicUsize,
    [is_met, ended]: [&AtomicBool; 2],
) -> (Vec<String>, usize) {
    // However this ends, the flood must end too.
    let _met = SetOnDrop(is_met);
    let mut acknowledged = Vec::new();
    let mut push = |file: &str, signer: &Signer| {
        let draft = Draft::new(ContentFormat::Xml, "genuine", &host.url(file)).sign(signer);
        assert_eq!(
            endpoint.exchange(&draft.wire()).status,
            201,
            "{file}, after {}",
            acknowledged.len()
        );
        acknowledged.push(draft.message_id);
    };
    let (mut new, mut signer) = (0, key(512));
    while next.load(Ordering::Relaxed) < requests() / 2 {
        push("known.pem", &signer);
    }
    signer = foreign_key(512);
    host.set(Mode::Serve(signer.certificate_pem().as_bytes().to_vec()));
    push("known.pem", &signer);
    while !ended.load(Ordering::Relaxed) {
        if new < new_max {
            new += 1;
            push(&format!("new-{new}.pem"), &signer);
        }
        is_met.store(true, Ordering::Relaxed);
        push("known.pem", &signer);
    }
    (acknowledged, new)
}

/// Sets a flag when dropped, even while a failed assertion unwinds.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn flood(peers: u8, new_max: usize) -> Flood {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::listing(&host.prefix()));
    let first = Draft::new(ContentFormat::Xml, "first", &host.url("known.pem")).sign(&key(512));
    assert_eq!(endpoint.exchange(&first.wire()).status, 201);
    let lengths =
        |endpoint: &Endpoint| [endpoint.endpoint_log().len(), endpoint.access_log().len()];
    let (before, began) = (lengths(&endpoint), Instant::now());
    let (next, is_met, ended) = (
        AtomicUsize::new(0),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    let (statuses, (mut acknowledged, new)) = std::thread::scope(|scope| {
        // If a forger fails, the pushes must end too.
        let _ended = SetOnDrop(&ended);
        let forge = || scope.spawn(|| send_forged(&endpoint, &host, peers, &next, &is_met));
        let forgers: Vec<_> = (0..SENDERS).map(|_| forge()).collect();
        let genuine =
            scope.spawn(|| push_genuine(&endpoint, &host, new_max, &next, [&is_met, &ended]));
        let mut statuses = BTreeMap::new();
        for (status, count) in forgers
            .into_iter()
            .flat_map(|forger| forger.join().unwrap())
        {
            *statuses.entry(status).or_default() += count;
        }
        ended.store(true, Ordering::Relaxed);
        (statuses, genuine.join().unwrap())
    });
    let took = began.elapsed();
    acknowledged.push(first.message_id);
    let port = endpoint.address.port();
    let (_printed, dir) = endpoint.stop();
    let read = |name: &str| {
        std::fs::read_to_string(dir.path().join(format!("logs/{name}.{port}"))).unwrap()
    };
    let (log, access_log) = (read("endpoint_log"), read("access_log"));
    let grown = [log.len() - before[0], access_log.len() - before[1]];
    Flood {
        statuses,
        acknowledged,
        new,
        fetches: host.requests(),
        grown,
        took,
        log,
    }
}

impl Flood {
    /// The limits for each: `rate` is the bucket that applies.
    #[track_caller]
    #[expect(
        clippy::print_stdout,
        reason = "the figures are asked for by whoever runs it by hand"
    )]
    fn assert_harmless(&self, what: &str, rate: FetchRate) {
        let Self {
            statuses,
            acknowledged,
            new,
            fetches,
            grown,
            took,
            log,
        } = self;
        let log = records(log);
        let refused = log
            .iter()
            .filter(|entry| ["receive.rs:3", "receive.rs:5"].contains(&entry.place.as_str()));
        let refused: Vec<usize> = refused.map(|entry| entry.text.len()).collect();
        let (count, bytes) = (refused.len(), refused.iter().sum::<usize>());
        let sent = statuses.values().sum::<usize>();
        println!(
            "{what}: {sent} forged in {took:.1?} answered {statuses:?}; {} genuine, {new} of them \
             with a new certificate, \
            all 201; {fetches} fetches; endpoint log +{} bytes, {bytes} of them in {count} \
            refusals; access log +{} bytes",
            acknowledged.len(),
            grown[0],
            grown[1],
        );
        assert!(sent >= requests());
        assert!(
            statuses.keys().all(|status| [403, 503].contains(status)),
            "{statuses:?}"
        );

        let refills = usize::try_from(took.as_millis() / rate.refill.as_millis()).unwrap();
        let strangers = usize::try_from(rate.burst).unwrap() + refills;
        // And the first certificate, its renewal, and the new ones.
        assert!(*fetches <= strangers + 2 + new, "{fetches} fetches");

        let ids: HashSet<Vec<u8>> = log
            .iter()
            .filter_map(|entry| attribute(entry, "MessageId"))
            .collect();
        assert!(
            acknowledged.iter().all(|id| ids.contains(id.as_bytes())),
            "an acknowledged record is gone"
        );
        let changes = log.iter().filter(|entry| entry.place == "receive.rs:9");
        assert_eq!(changes.count(), 1, "one key has changed");

        let seconds = usize::try_from(took.as_secs()).unwrap() + 2;
        assert!(
            count <= REFUSED_RATE * seconds,
            "{count} refusals in {seconds} s"
        );
        assert!(
            bytes <= REFUSED_RATE * seconds * REFUSED_BYTES,
            "{bytes} bytes in {seconds} s"
        );
        assert!(
            grown[1] <= (sent + acknowledged.len()) * ACCESS_LINE_BYTES,
            "{} bytes",
            grown[1]
        );
    }
}

#[test]
fn while_one_peer_floods_new_genuine_certificates_are_still_fetched() {
    let flood = flood(1, 20);
    flood.assert_harmless("one peer", PEER_FETCHES);
    assert!(flood.new > 0, "none was new");
}

#[test]
fn while_many_peers_flood_a_known_certificate_is_still_renewed() {
    flood(250, 0).assert_harmless("250 peers", ALL_FETCHES);
}

#[test]
fn a_start_without_a_certificate_on_disk_accepts_every_push_of_mns_whatever_40_peers_name() {
    eventually("it was quicker than strangers' fetches", || {
        start_among_strangers(40, 8)
    });
}

/// Starts without a certificate on disk and sends pushes of MNS, while this many peers each name
/// several certificates that are never served. `None` if the first push was answered so late that
/// it may have waited for their fetches.
fn start_among_strangers(peers: u8, each: usize) -> Option<()> {
    /// As long as the settings allow: what is answered sooner has not waited for another's fetch.
    const FETCH_TIMEOUT: Duration = Duration::from_millis(2900);
    let pem = key(512).certificate_pem().as_bytes().to_vec();
    let (host, root) = CertificateHost::start_tls(Mode::Only("/x509_public_certificate.pem", pem));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.pem"), root).unwrap();
    let via = format!(
        "{{ \"mnstest.oss-cn-hangzhou.aliyuncs.com\" = \"localhost:{}\" }}",
        host.address.port()
    );
    let options = Options::default()
        .set("signing.fetch_via", &via)
        .set("signing.fetch_timeout", "2900ms")
        .env("SSL_CERT_FILE", "root.pem");
    let endpoint = Endpoint::start_in(dir, &options);
    // More than all fetches of strangers, each with a new address.
    let forged =
        Draft::new(ContentFormat::Xml, "forged", "").set("Authorization", STANDARD.encode([7; 64]));
    let wires: Vec<Vec<u8>> = (0..usize::from(peers) * each)
        .map(|number| {
            let name = format!("forged-{number}");
            let url = WELL_KNOWN_CERTIFICATE.replace("x509_public_certificate", &name);
            let url = STANDARD.encode(url);
            forged.clone().set("x-mns-signing-cert-url", url).wire()
        })
        .collect();
    let push = || Draft::new(ContentFormat::Xml, "genuine", WELL_KNOWN_CERTIFICATE).sign(&key(512));
    let first = push().wire();
    let begun = Instant::now();
    let strangers: Vec<TcpStream> = (1..=peers)
        .cycle()
        .zip(&wires)
        .map(|(peer, wire)| {
            let mut stream = connect(Ipv4Addr::new(127, 0, 2, peer), endpoint.address);
            stream.write_all(wire).unwrap();
            stream
        })
        .collect();
    eventually("every fetch that strangers may have under way is", || {
        (host.requests() >= 16).then_some(())
    });
    let answer = endpoint.exchange(&first);
    if begun.elapsed() >= FETCH_TIMEOUT {
        return None;
    }
    assert_eq!(answer.status, 201);
    let statuses: Vec<u16> = (0..20)
        .map(|_| endpoint.exchange(&push().wire()).status)
        .collect();
    assert_eq!(
        (statuses, host.served()),
        (vec![201; 20], 1),
        "one fetch, and it is not pushed out"
    );
    for stream in strangers {
        assert_eq!(read_answer(&mut BufReader::new(stream)).status, 503);
    }
    assert_eq!(endpoint.exchange(&push().wire()).status, 201);
    assert_eq!(host.served(), 1);
    Some(())
}

#[test]
fn warnings_about_unusable_certificates_on_disk_are_limited_whatever_strangers_name() {
    let host = CertificateHost::start(Mode::Hang);
    let options = Options::trusting(host.prefix());
    let dir = tempfile::tempdir().unwrap();
    let kept = host.kept_in(dir.path());
    std::fs::write(kept.join("torn.pem"), "torn by a power cut").unwrap();
    let endpoint = Endpoint::start_in(dir, &options);
    let send = |file: &str| {
        let forged = Draft::new(ContentFormat::Xml, "m", &host.url(file))
            .set("Authorization", STANDARD.encode([7; 64]));
        assert_eq!(endpoint.exchange(&forged.wire()).status, 503);
    };
    // Its fetches are used up, so each of these looks on disk.
    (0..PEER_FETCHES.burst).for_each(|number| send(&format!("{number}.pem")));
    let begun = Instant::now();
    (0..200).for_each(|_| send("torn.pem"));
    let warnings_max = usize::try_from(begun.elapsed().as_secs() / 10).unwrap() + 1;
    let told = endpoint.told();
    let warnings = told.matches("Ignored a certificate on disk").count();
    assert!(
        (1..=warnings_max).contains(&warnings),
        "{warnings} warnings in {:?}",
        begun.elapsed()
    );
}
