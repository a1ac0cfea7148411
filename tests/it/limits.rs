//! What a peer can use of the endpoint: time, bytes and connections, each up to a limit.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;
use mns_endpoint::server::Reason;

use crate::support::{
    Answer, BODY_TIMEOUT, Bench, Draft, Endpoint, Options, answer_within, attribute, eventually,
    exchange_all, key, read_answer, send, unread, within_body_timeout,
};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF: &[u8] = b"POST /notifications HTTP/1.1\r\nHost: x\r\n";
/// A timeout of the endpoint. Timers may be late on a busy machine, but never early.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(4);
/// The time for the head of a health check while every slot is busy.
const TURNED_AWAY_HEAD: Duration = Duration::from_millis(300);
/// After this time a connection without progress is among the first to give way.
const GRACE: Duration = Duration::from_secs(1);

fn endpoint(set: &[(&str, &str)]) -> Endpoint {
    Endpoint::start(
        &set.iter()
            .fold(Options::default(), |options, (key, value)| {
                options.set(key, value)
            }),
    )
}

/// Reads what arrives until the other side closes or resets the connection.
fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&some[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("still open: {error}"),
        }
    }
}

/// After `start` the connection is closed without a byte, not before `SHORT` and well before any
/// other timer.
///
/// The time runs from before `start`, because the endpoint's timer may have started long before its
/// answer is read here.
#[track_caller]
fn assert_cut(start: impl FnOnce() -> TcpStream) {
    let begun = Instant::now();
    let mut stream = start();
    assert_eq!(String::from_utf8_lossy(&until_closed(&mut stream)), "");
    let waited = begun.elapsed();
    assert!(waited >= SHORT && waited < LONG, "{waited:?}");
}

#[track_caller]
fn ask(stream: &mut TcpStream) {
    stream.write_all(HEALTH).unwrap();
    assert_eq!(read_answer(stream).status, 200);
}

/// A new connection on which an answer has arrived, some time after the last one.
#[track_caller]
fn used(endpoint: &Endpoint) -> TcpStream {
    let mut stream = send(endpoint.address, HEALTH);
    assert_eq!(read_answer(&mut stream).status, 200);
    later(&stream);
    stream
}

/// Waits until the endpoint's clock, which counts milliseconds, has advanced.
fn later(stream: &TcpStream) {
    assert!(!answer_within(stream, Duration::from_millis(10)));
}

/// A connection in the middle of a body: the answer 100 proves that the request is being read.
fn busy(endpoint: &Endpoint, draft: &Draft) -> TcpStream {
    let mut stream = send(
        endpoint.address,
        &draft.clone().set("Expect", "100-continue").head(),
    );
    assert_eq!(read_answer(&mut stream).status, 100);
    stream
}

/// The logs contain nothing but the records of the start, and this is what was counted.
#[track_caller]
fn assert_only_counted(endpoint: Endpoint, counted: &str) {
    let log = endpoint.log_path("access_log");
    let records = endpoint.log_path("endpoint_log");
    let stderr = endpoint.path().join("stderr");
    let (_printed, _dir) = endpoint.stop();
    assert_eq!(std::fs::read_to_string(log).unwrap(), "");
    assert_eq!(
        crate::support::records(&std::fs::read_to_string(records).unwrap()).len(),
        1
    );
    let told = std::fs::read_to_string(stderr).unwrap();
    assert!(told.contains(counted), "{told}");
}

#[test]
fn a_head_that_is_not_complete_in_time_is_rejected() {
    let endpoint = endpoint(&[("server.head_timeout", "300ms")]);
    for begun in [b"P".as_slice(), HALF, &[HALF, b"A: b\r\n\r"].concat()] {
        assert_cut(|| send(endpoint.address, begun));
    }
    let mut kept = used(&endpoint);
    assert_cut(|| {
        kept.write_all(HALF).unwrap();
        kept
    });
    // Sending a byte occasionally does not extend the time.
    let mut slow = send(endpoint.address, HALF);
    let begun = Instant::now();
    while slow.write_all(b"a").is_ok() && !answer_within(&slow, Duration::from_millis(20)) {
        assert!(begun.elapsed() < LONG);
    }
    assert_eq!(until_closed(&mut slow), b"");
    assert_only_counted(endpoint, "broken_heads=5 ");
}

#[test]
fn a_head_in_two_pieces_is_read_when_it_is_complete_in_time() {
    let endpoint = endpoint(&[("server.head_timeout", "3s")]);
    let mut prompt = send(endpoint.address, &HEALTH[..10]);
    later(&prompt);
    prompt.write_all(&HEALTH[10..]).unwrap();
    assert_eq!(read_answer(&mut prompt).status, 200);
}

#[test]
fn a_connection_that_stays_idle_is_closed() {
    let endpoint = endpoint(&[("server.idle_timeout", "300ms")]);
    assert_cut(|| send(endpoint.address, b""));
    assert_cut(|| {
        let mut stream = send(endpoint.address, b"");
        ask(&mut stream);
        stream
    });
    // Also after an answer that had to wait for the disk.
    let bench = Bench::with(|options| options.set("server.idle_timeout", "300ms"));
    let push = bench.draft().sign(&key(512)).wire();
    assert_cut(|| {
        let mut pushed = send(bench.endpoint.address, &push);
        assert_eq!(read_answer(&mut pushed).status, 201);
        pushed
    });
    assert_cut(|| {
        let mut stream = send(endpoint.address, &HEALTH.repeat(3));
        for _ in 0..3 {
            assert_eq!(read_answer(&mut stream).status, 200);
        }
        stream
    });
    assert_only_counted(endpoint, "broken_heads=0 ");
}

#[test]
fn each_answer_starts_the_idle_timeout_again() {
    const IDLE: Duration = Duration::from_millis(1500);
    let endpoint = endpoint(&[("server.idle_timeout", "1500ms")]);
    let mut stream = send(endpoint.address, b"");
    let begun = Instant::now();
    while begun.elapsed() < IDLE * 2 {
        ask(&mut stream);
        assert!(!answer_within(&stream, IDLE / 5));
    }
}

#[test]
fn a_head_that_is_too_large_gets_431_and_a_broken_one_400_and_neither_is_logged() {
    let endpoint = endpoint(&[]);
    let long = |bytes: usize| [HALF, b"A: ", &b"x".repeat(bytes)].concat();
    let many = |headers: usize| [HALF, &b"A: b\r\n".repeat(headers - 1), b"\r\n"].concat();
    let cases: [(u16, Vec<u8>); 13] = [
        (431, [long(33 * 1024), b"\r\n\r\n".to_vec()].concat()),
        (431, [long(300 * 1024), b"\r\n\r\n".to_vec()].concat()),
        (431, long(33 * 1024)),
        (
            431,
            [
                b"GET /",
                "x".repeat(33 * 1024).as_bytes(),
                b" HTTP/1.1\r\n\r\n",
            ]
            .concat(),
        ),
        (431, many(101)),
        (400, b"NOT HTTP\r\n\r\n".to_vec()),
        (400, b"POST /notifications HTTP/1.7\r\n\r\n".to_vec()),
        (400, b"POST /notifications\r\n\r\n".to_vec()),
        (400, b"PO\"ST /notifications HTTP/1.1\r\n\r\n".to_vec()),
        (400, b"POST /\xff HTTP/1.1\r\n\r\n".to_vec()),
        (400, [HALF, b"A: \0\r\n\r\n"].concat()),
        (
            400,
            [HALF, b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"].concat(),
        ),
        (
            400,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
    ];
    for (status, bytes) in &cases {
        let mut stream = send(endpoint.address, bytes);
        let answer = read_answer(&mut stream);
        assert_eq!(
            (answer.status, answer.headers["connection"].as_str()),
            (*status, "close"),
            "{bytes:.60?}"
        );
        assert_eq!(until_closed(&mut stream), b"");
    }
    assert_only_counted(endpoint, &format!("broken_heads={} ", cases.len()));
}

#[test]
fn the_largest_head_is_served() {
    let bench = Bench::new();
    let fill = |draft: Draft, bytes: usize| draft.set("x-fill", "x".repeat(bytes)).sign(&key(512));
    let rest = fill(bench.draft(), 0).head().len();
    bench.accept(&fill(bench.draft(), 32 * 1024 - rest - 8));
    let most = (0..100 - bench.draft().headers.len() - 1)
        .fold(bench.draft(), |draft, _| draft.add("x-fill", "1"));
    bench.accept(&most.sign(&key(512)));
}

#[test]
fn at_the_limit_a_new_connection_replaces_a_silent_one_or_the_longest_idle() {
    let endpoint = endpoint(&[("server.max_connections", "3")]);
    let (mut first, mut second) = (used(&endpoint), used(&endpoint));
    // Nothing is ever sent on this one.
    let mut third = send(endpoint.address, b"");
    later(&third);
    ask(&mut first);
    later(&first);
    let mut fourth = used(&endpoint);
    assert_eq!(until_closed(&mut second), b"");
    // It has a second to send something. Then it is closed first, although others have been idle
    // for longer.
    assert!(!answer_within(&third, Duration::from_millis(1100)));
    let mut fifth = used(&endpoint);
    assert_eq!(until_closed(&mut third), b"");
    for stream in [&mut first, &mut fourth, &mut fifth] {
        ask(stream);
    }
    assert_only_counted(endpoint, "broken_heads=0 turned_away=0 ");
}

#[track_caller]
fn assert_turned_away(stream: &mut TcpStream) {
    let Answer {
        status,
        headers,
        body,
    } = read_answer(stream);
    assert_eq!((status, body.as_str()), (503, "Service Unavailable"));
    let mut headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    headers.sort_unstable();
    let decided_on = [
        ("connection", "close"),
        ("content-length", "19"),
        ("content-type", "text/plain"),
        ("retry-after", "5"),
    ];
    assert_eq!(headers, decided_on);
    assert_eq!(until_closed(stream), b"");
}

#[test]
fn if_all_connections_are_busy_a_new_one_gets_503_and_is_closed() {
    within_body_timeout(|| {
        let bench = Bench::with(|options| options.set("server.max_connections", "2"));
        let known = bench.draft().sign(&key(512));
        bench.accept(&known);
        // Their certificate is cached, so their heads prove them.
        let draft =
            || Draft::new(ContentFormat::Xml, "m", &known.certificate_url()).sign(&key(512));
        let drafts = [draft(), draft()];
        let push = bench.draft().sign(&key(512)).wire();
        let mut all = drafts.each_ref().map(|draft| busy(&bench.endpoint, draft));
        // All at once, because some take 300 ms and the bodies 3 s.
        let turned_away = [
            b"",
            &push[..],
            b"GET /other HTTP/1.1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nX: ",
            b"\r\n",
        ];
        let mut turned_away = turned_away.map(|bytes| send(bench.endpoint.address, bytes));
        turned_away.iter_mut().for_each(assert_turned_away);
        // The health check is still answered truthfully, in one piece or two.
        for (method, body) in [("GET", "OK\n"), ("HEAD", "")] {
            let first = format!("{method} /healthz?x HTTP/1.1\r\nHo");
            let answer = eventually("its head came in time", || {
                let begun = Instant::now();
                let mut stream = send(bench.endpoint.address, first.as_bytes());
                answer_within(&stream, Duration::from_millis(10));
                // It may have been refused, if this machine is busy.
                stream.write_all(b"st: x\r\n\r\n").ok();
                let is_late = begun.elapsed() >= TURNED_AWAY_HEAD;
                // With its own slot it would stay open: the bodies have timed out.
                stream.set_read_timeout(Some(LONG)).unwrap();
                let answer = String::from_utf8(until_closed(&mut stream)).unwrap();
                let is_served = answer.starts_with("HTTP/1.1 200 OK\r\n");
                assert!(is_served || is_late, "{answer}");
                is_served.then_some(answer)
            });
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        }
        for (stream, draft) in all.iter_mut().zip(&drafts) {
            stream.write_all(&draft.body).unwrap();
            assert_eq!(read_answer(stream).status, 201);
        }
        // Both are idle now, so there is room again.
        assert_eq!(bench.endpoint.exchange(HEALTH).status, 200);
        assert_eq!(bench.endpoint.access_log().lines().count(), 3);
    });
}

#[test]
fn clients_that_never_read_their_answers_block_nobody() {
    let bench = Bench::new();
    let mut deaf: Vec<TcpStream> = (0..3).map(|_| send(bench.endpoint.address, b"")).collect();
    for stream in &mut deaf {
        stream
            .set_write_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        // Until nothing more is accepted: the endpoint stops reading once it cannot write.
        let requests = HEALTH.repeat(1000);
        let written = (0..4000)
            .take_while(|_| stream.write_all(&requests).is_ok())
            .count();
        assert!(written < 4000, "the endpoint reads on and on");
    }
    let push = bench.draft().sign(&key(512));
    let asked = Instant::now();
    bench.accept(&push);
    // An answer may be left unread for 10 s.
    assert!(
        asked.elapsed() < Duration::from_secs(6),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn an_answer_is_not_delayed_by_bytes_after_its_request() {
    let bench = Bench::new();
    for behind in [b"\r\n".as_slice(), b"P", HALF, b"\x16\x03\x01\r\n\r\n"] {
        let wire = [bench.draft().sign(&key(512)).wire(), behind.to_vec()].concat();
        assert_eq!(
            read_answer(&mut send(bench.endpoint.address, &wire)).status,
            201,
            "{behind:?}"
        );
    }
}

#[test]
fn a_peer_that_keeps_sending_can_still_read_why_it_was_refused() {
    let endpoint = endpoint(&[]);
    let refused = [
        (
            413,
            "POST /notifications HTTP/1.1\r\nContent-Length: 900000",
        ),
        (404, "POST /other HTTP/1.1\r\nContent-Length: 900000"),
        (405, "PUT /notifications HTTP/1.1\r\nContent-Length: 900000"),
        (
            415,
            "POST /notifications HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 900000",
        ),
    ];
    for (status, head) in refused {
        let mut stream = send(
            endpoint.address,
            &[head.as_bytes(), b"\r\n\r\n", &[b'x'; 100_000]].concat(),
        );
        assert!(answer_within(&stream, LONG));
        // An immediate close would answer this with a reset, which can discard the answer.
        stream.write_all(&[b'x'; 800_000]).unwrap();
        assert_eq!(read_answer(&mut stream).status, status);
        assert_eq!(
            until_closed(&mut stream),
            b"",
            "what is left of the body is no request"
        );
    }
    eventually("all are logged", || {
        (endpoint.access_log().lines().count() == refused.len()).then_some(())
    });
}

#[test]
fn a_push_whose_peer_leaves_before_its_body_ends_is_never_taken_for_one() {
    let bench = Bench::new();
    let draft = Draft {
        body: b"a message that is not over".to_vec(),
        ..bench.draft_in(ContentFormat::Simplified)
    };
    let draft = draft
        .clone()
        .swap_body(draft.body)
        .notation(mns_endpoint::mns::Notation::Hex)
        .sign(&key(512));
    for is_reset in [false, true] {
        let mut stream = busy(&bench.endpoint, &draft);
        stream
            .write_all(&draft.body[..draft.body.len() - 1])
            .unwrap();
        if is_reset {
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    }
    eventually("both are logged", || {
        (bench.endpoint.access_log().lines().count() == 2).then_some(())
    });
    bench.accept(&bench.draft().sign(&key(512)));
    let reasons: Vec<_> = bench
        .log()
        .iter()
        .filter_map(|entry| attribute(entry, "Reason"))
        .collect();
    assert_eq!(reasons, [b"body_broken", b"body_broken"]);
    assert_eq!(
        bench.endpoint.access_log().matches("\" \"201\" \"").count(),
        1
    );
    assert_eq!(bench.host.requests(), 1);
}

#[test]
fn connections_that_have_sent_a_single_byte_give_way_to_requests() {
    for bytes in [&b"P"[..], b"\r\n", b"\r\nP"] {
        let (endpoint, _three) = eventually("requests are answered in time", || {
            let endpoint = endpoint(&[("server.max_connections", "3"), ("server.drain", "1h")]);
            let begun = Instant::now();
            let three = [(); 3].map(|()| send(endpoint.address, bytes));
            // A silence in which the server reads what it was sent.
            for stream in &three {
                let is_answered = answer_within(stream, Duration::from_millis(100));
                assert!(!is_answered || begun.elapsed() >= LONG);
            }
            // Rejected with 503 at first. It is served long before the three are closed by
            // server.head_timeout.
            for _ in 0..3 {
                eventually("a health check is answered", || {
                    let mut stream = send(endpoint.address, HEALTH);
                    (read_answer(&mut stream).status == 200).then_some(())
                });
            }
            (begun.elapsed() < LONG).then_some((endpoint, three))
        });
        // They do not delay a stop until the end of server.drain either.
        let begun = Instant::now();
        endpoint.stop();
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn a_line_break_after_a_body_is_not_the_beginning_of_a_head() {
    let bench = Bench::with(|options| options.set("server.head_timeout", "300ms"));
    let draft = bench.draft().sign(&key(512));
    let mut stream = send(
        bench.endpoint.address,
        &[draft.wire(), b"\r\n".to_vec()].concat(),
    );
    assert_eq!(read_answer(&mut stream).status, 201);
    // After the time for a head the connection is still open and usable.
    stream
        .set_read_timeout(Some(Duration::from_millis(700)))
        .unwrap();
    assert_eq!(
        stream.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .write_all(&bench.draft().sign(&key(512)).wire())
        .unwrap();
    assert_eq!(read_answer(&mut stream).status, 201);
}

/// A server whose stdout and stderr nobody reads after the first line.
struct Unread(
    std::process::Child,
    #[expect(dead_code, reason = "it goes with its owner")] tempfile::TempDir,
);

impl Unread {
    fn start() -> (Self, std::net::SocketAddr) {
        let dir = tempfile::tempdir().unwrap();
        let mut child = crate::support::program()
            .args(["serve", "--listen", "127.0.0.1:0", "--log-dir"])
            .arg(dir.path())
            .env("RUST_LOG", "debug")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(child.stdout.as_mut().unwrap()),
            &mut line,
        )
        .unwrap();
        let address = line.trim().rsplit("//").next().unwrap().parse().unwrap();
        (Self(child, dir), address)
    }

    /// Asks it to stop, repeatedly. Returns its exit code.
    fn stop(&mut self, again: bool) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.0);
        let stop = || rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        stop();
        eventually("it ends", || {
            let ended = self.0.try_wait().unwrap();
            if ended.is_none() && again {
                stop();
            }
            ended
        })
        .code()
        .unwrap()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_stalled_reader_of_stderr_blocks_nobody() {
    let (mut server, address) = Unread::start();
    // Each broken head is logged: together far more than the 64 KiB of a pipe.
    for _ in 0..1500 {
        drop(until_closed(&mut send(address, b"broken\r\n\r\n")));
    }
    ask(&mut send(address, &[]));
    // Its last line on stderr does not block it either.
    let started = Instant::now();
    let _open = send(
        address,
        b"POST /notifications HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    );
    ask(&mut send(address, &[]));
    assert_eq!(server.stop(true), 1);
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_stalled_reader_of_stdout_does_not_delay_the_stop() {
    let (mut server, address) = Unread::start();
    // More lines than fit into the pipe and the queue before it.
    for _ in 0..3000 {
        let mut stream = send(
            address,
            b"POST /notifications HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        );
        assert_eq!(read_answer(&mut stream).status, 403);
    }
    let started = Instant::now();
    assert_eq!(server.stop(false), 0);
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "{:?}",
        started.elapsed()
    );
}

/// Bodies of strangers without their last byte, up to the limit of 32 MiB for all of them together.
fn fill(bench: &Bench) -> [TcpStream; 3] {
    const HALF: usize = 16 * 1024 * 1024;
    let draft = bench.draft().sign(&key(512));
    let mut probes = 0;
    let mut is_full = || {
        probes += 1;
        let target = format!("{}?probe={}-{probes}", draft.target, draft.message_id);
        let answer = bench.endpoint.exchange(
            &Draft {
                target: target.clone(),
                ..draft.clone()
            }
            .wire(),
        );
        (answer.status == 503).then_some(target)
    };
    // Each has 3 s. If this machine is too busy to receive all of them in time, they are sent
    // again.
    let (held, probe) = eventually("there is no room", || {
        let held = [(HALF, HALF - 1), (HALF, HALF - 1), (10, 2)].map(|(announced, sent)| {
            // The certificate is not cached, so the head is neither proven nor disproven.
            let draft = bench
                .draft()
                .set("Content-length", announced.to_string())
                .sign(&key(512));
            let mut stream = send(bench.endpoint.address, &draft.head());
            // An error means that the peer was already closed.
            stream.write_all(&vec![b'x'; sent]).ok();
            stream
        });
        // The last bytes may be in flight: until they have arrived there is room for a probe.
        Some((held, (0..10).find_map(|_| is_full())?))
    });
    // And everything that was refused before.
    eventually("that is logged", || {
        bench.endpoint.access_log().contains(&probe).then_some(())
    });
    held
}

#[test]
fn past_the_bound_on_bodies_strangers_get_503_before_their_body_and_pushes_201() {
    // The bodies that occupy the room do so for 3 s at most.
    within_body_timeout(|| {
        let bench = Bench::with(|options| options.set("server.max_body", "32MiB"));
        let known = bench.draft().sign(&key(512));
        bench.accept(&known);
        let held = fill(&bench);
        let url = known.certificate_url();
        for _ in 0..20 {
            bench.accept(&Draft::new(ContentFormat::Xml, "m", &url).sign(&key(512)));
        }
        let draft = bench.draft().sign(&key(512));
        // No body is sent, and the answer hardly waits for it.
        bench.check_wire(&draft, &draft.head(), unread(503, Reason::TooManyInFlight));
        drop(held);
        eventually("there is room again", || {
            (bench.endpoint.exchange(&draft.wire()).status == 201).then_some(())
        });
    });
}

#[test]
fn strangers_below_their_share_and_signed_heads_for_others_block_no_push_even_after_a_restart() {
    let options = |options: Options| options.set("server.max_body", "32MiB");
    let bench = Bench::with(options);
    let known = bench.draft().sign(&key(512));
    bench.accept(&known);
    let push = || {
        Draft::new(
            ContentFormat::Xml,
            vec![b'm'; 3000],
            &known.certificate_url(),
        )
        .sign(&key(512))
    };
    let Bench {
        endpoint,
        host,
        shown,
    } = bench;
    let url = known.certificate_url();
    let kept = endpoint.path().join("certs/signing");
    let kept = kept.join(url.strip_prefix("http://").unwrap());
    eventually("its certificate is kept", || kept.exists().then_some(()));
    let (_printed, dir) = endpoint.stop();
    let endpoint = Endpoint::start_in(dir, &options(Options::listing(&host.prefix())));
    let bench = Bench {
        endpoint,
        host,
        shown,
    };
    // An incomplete body after a head that nothing disproves.
    let hold = |draft: Draft, sent: usize| {
        let head = draft.set("Content-length", (sent + 1).to_string()).head();
        let mut stream = send(bench.endpoint.address, &head);
        stream.write_all(&vec![b'x'; sent]).ok();
        stream
    };
    const MIB: usize = 1024 * 1024;
    let probe = [
        b"POST /notifications HTTP/1.1\r\nContent-Length: 3000\r\n\r\n".as_slice(),
        &[b'x'; 3000],
    ]
    .concat();
    eventually("all are taken beside both", || {
        let strangers = [16 * MIB, 16 * MIB - 100].map(|sent| (bench.draft(), sent));
        let strangers = strangers.map(|(draft, sent)| (draft.sign(&key(512)), sent));
        let signed = [8 * MIB, 8 * MIB - 100].map(|sent| (push(), sent));
        let pushes: Vec<Vec<u8>> = (0..20).map(|_| push().wire()).collect();
        let begun = Instant::now();
        let _held = [strangers, signed].map(|both| both.map(|(draft, sent)| hold(draft, sent)));
        // Until all of it has arrived a stranger has room.
        let is_full = || (bench.endpoint.exchange(&probe).status == 503).then_some(());
        (0..200).find_map(|_| is_full())?;
        let statuses: Vec<u16> = pushes
            .iter()
            .map(|wire| bench.endpoint.exchange(wire).status)
            .collect();
        // Room is occupied for this long at most.
        (begun.elapsed() < BODY_TIMEOUT).then(|| assert_eq!(statuses, [201; 20]))
    });
}

#[test]
fn a_push_whose_body_is_late_keeps_its_slot_while_strangers_occupy_all_their_room() {
    eventually("its body came in time", || {
        let bench = Bench::with(|options| {
            options
                .set("server.max_body", "32MiB")
                .set("server.max_connections", "6")
        });
        let known = bench.draft().sign(&key(512));
        bench.accept(&known);
        let held = fill(&bench);
        let late = Draft::new(ContentFormat::Xml, "m", &known.certificate_url()).sign(&key(512));
        let begun = Instant::now();
        let mut stream = busy(&bench.endpoint, &late);
        // As many as there are slots: all other connections give way.
        let silent: Vec<TcpStream> = (0..6).map(|_| send(bench.endpoint.address, b"")).collect();
        answer_within(&silent[5], Duration::from_millis(10));
        let mut status = [0; 12];
        let sent = stream.write_all(&late.body);
        let is_answered = sent.and_then(|()| stream.read_exact(&mut status)).is_ok();
        let is_accepted = is_answered && status == *b"HTTP/1.1 201";
        assert!(is_accepted || begun.elapsed() >= GRACE, "it gave way");
        drop(held);
        is_accepted.then_some(())
    });
}

/// The statuses of requests on one connection for which there is no room, and the Connection header
/// of each answer.
fn refused_for_want_of_room(bench: &Bench, wires: &[Vec<u8>]) -> Vec<Option<String>> {
    // Room is occupied for 3 s at most: if this machine is too busy, it is occupied again.
    eventually("all are refused", || {
        let held = fill(bench);
        let answers = exchange_all(bench.endpoint.address, wires);
        drop(held);
        let refused = answers.iter().all(|answer| answer.status == 503);
        refused.then(|| {
            answers
                .iter()
                .map(|answer| answer.headers.get("connection").cloned())
                .collect()
        })
    })
}

#[test]
fn a_connection_outlives_a_push_that_there_is_no_room_for_where_its_body_has_come() {
    let bench = Bench::with(|options| options.set("server.max_body", "32MiB"));
    let push = bench.draft().sign(&key(512)).wire();
    let announced = |length: usize| bench.draft().set("Content-length", length.to_string());
    let long = |length: usize| [announced(length).head(), vec![b'x'; length]].concat();
    let chunked = bench
        .draft()
        .without("Content-length")
        .set("Transfer-Encoding", "chunked")
        .head();
    let chunked = [chunked, b"3\r\nabc\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(
        refused_for_want_of_room(&bench, &[push, long(100_000), chunked, long(0)]),
        [const { None }; 4]
    );
    // One with more than is discarded, and one that waits for 100 Continue.
    for wire in [
        long(200_000),
        announced(5).set("Expect", "100-continue").head(),
    ] {
        assert_eq!(
            refused_for_want_of_room(&bench, &[wire]),
            [Some("close".to_owned())]
        );
    }
}

#[test]
fn bodies_that_are_announced_and_not_sent_take_no_room_from_others() {
    let bench = Bench::new();
    let announced = bench
        .draft()
        .set("Expect", "100-continue")
        .set("Content-length", "524288")
        .head();
    // The endpoint waits 3 s for a body. On a machine so busy that the first one has timed out by
    // then, all are sent again.
    eventually("all were waiting at the same time", || {
        let begun = Instant::now();
        let _silent: Vec<TcpStream> = (0..300)
            .map(|_| {
                let mut stream = send(bench.endpoint.address, &announced);
                assert_eq!(read_answer(&mut stream).status, 100);
                stream
            })
            .collect();
        // 150 MiB are announced, and not one byte was sent.
        assert_eq!(
            bench
                .endpoint
                .exchange(&bench.draft().sign(&key(512)).wire())
                .status,
            201
        );
        (begun.elapsed() < Duration::from_secs(3)).then_some(())
    });
}
