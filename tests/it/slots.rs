//! Which connection gives way when every slot is taken: never that of a genuine push for that of a
//! stranger.
//!
//! `SLOTS_KEPT=` sets the number of genuine connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::mns::ContentFormat;
use mns_endpoint::server::Reason;
use socket2::{Domain, Socket, Type};

use crate::support::{
    Bench, Draft, Entry, Mode, answer_within, attribute, eventually, exchange, key, occupy,
    read_answer, send, within, within_body_timeout,
};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
const STALLED: &[u8] = b"POST /notifications ";
/// After this time a connection without progress is the first to give way.
const GRACE: Duration = Duration::from_secs(1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

/// An endpoint with this many slots, which has the certificate at [`url`] in its cache.
fn bench(slots: usize) -> Bench {
    let bench = Bench::with(|options| options.set("server.max_connections", &slots.to_string()));
    bench.accept(&genuine(&bench));
    await_free_slot(&bench);
    bench
}

/// Waits until the last push is over: its connection is proved and busy until shortly after its
/// answer was read. Until then another one gets 503 if there is no other slot.
fn await_free_slot(bench: &Bench) {
    let other = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n";
    eventually("its slot is free", || {
        (bench.endpoint.exchange(other).status == 404).then_some(())
    });
}

fn url(bench: &Bench) -> String {
    bench.host.url("cached.pem")
}

fn genuine(bench: &Bench) -> Draft {
    Draft::new(ContentFormat::Xml, "m", &url(bench)).sign(&key(512))
}

/// A connection that has carried a push.
fn proved(bench: &Bench) -> TcpStream {
    let mut stream = send(bench.endpoint.address, b"");
    push(bench, &mut stream);
    stream
}

#[track_caller]
fn push(bench: &Bench, stream: &mut TcpStream) {
    stream.write_all(&genuine(bench).wire()).unwrap();
    assert_eq!(read_answer(stream).status, 201);
}

/// A connection from one of this machine's addresses.
fn connect(from: Ipv4Addr, to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::new(IpAddr::V4(from), 0).into())
        .unwrap();
    socket.connect(&to.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Whether the other side has closed it. It has sent nothing else.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Ok(0) => true,
        Ok(_) => panic!("an answer"),
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Waits for some time in which nothing arrives.
fn wait(stream: &TcpStream, span: Duration) {
    assert!(!answer_within(stream, span));
}

/// The beginning of a request whose body does not arrive, in each form.
fn unfinished(bench: &Bench) -> [(&'static str, Vec<u8>); 4] {
    let forged = Draft::new(ContentFormat::Xml, "m", &url(bench))
        .set("Authorization", STANDARD.encode([7; 64]));
    let bare = "POST /notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx";
    [
        ("without headers of MNS's", bare.as_bytes().to_vec()),
        (
            "with plausible headers",
            [forged.head(), b"<".to_vec()].concat(),
        ),
        (
            "with one genuine head",
            [genuine(bench).head(), b"<".to_vec()].concat(),
        ),
        ("with a head that is not complete", STALLED.to_vec()),
    ]
}

#[test]
fn slow_strangers_in_every_slot_block_no_genuine_push() {
    for is_apart in [false, true] {
        let bench = bench(20);
        let (strangers, genuine_from) = (
            Ipv4Addr::LOCALHOST,
            if is_apart { OTHER } else { Ipv4Addr::LOCALHOST },
        );
        for (what, begun) in unfinished(&bench) {
            for round in 0..3 {
                let _slow: Vec<TcpStream> = (0..30)
                    .map(|_| connect(strangers, bench.endpoint.address, &begun))
                    .collect();
                for _ in 0..10 {
                    let mut stream = connect(
                        genuine_from,
                        bench.endpoint.address,
                        &genuine(&bench).wire(),
                    );
                    assert_eq!(read_answer(&mut stream).status, 201, "{what}, {round}");
                    assert_eq!(
                        exchange(bench.endpoint.address, HEALTH).status,
                        200,
                        "{what}, {round}"
                    );
                }
            }
        }
    }
}

#[test]
fn genuine_connections_between_two_pushes_outlive_every_stranger() {
    let count = std::env::var("SLOTS_KEPT").map_or(40, |count| count.parse().unwrap());
    let bench = bench(count + 10);
    let mut kept: Vec<TcpStream> = (0..count).map(|_| proved(&bench)).collect();
    let mut strangers = Vec::new();
    for round in 0..4 {
        for begun in [STALLED, b"", HEALTH] {
            strangers.extend((0..20).map(|_| send(bench.endpoint.address, begun)));
        }
        // A pause in which some of them become slow.
        wait(&kept[0], GRACE / 2);
        for stream in &mut kept {
            push(&bench, stream);
        }
        assert_eq!(bench.endpoint.exchange(HEALTH).status, 200, "{round}");
    }
}

#[test]
fn one_genuine_head_on_many_connections_proves_one_of_them() {
    // After this time without progress the one that is proved may give way too.
    within(GRACE, one_of_four_copies_is_proved);
}

fn one_of_four_copies_is_proved() {
    let bench = bench(4);
    let draft = genuine(&bench).set("Expect", "100-continue");
    let mut copies: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = send(bench.endpoint.address, &draft.head());
            assert_eq!(read_answer(&mut stream).status, 100);
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(bench.endpoint.exchange(HEALTH).status, 200);
    }
    copies[0].write_all(&draft.body).unwrap();
    assert_eq!(read_answer(&mut copies[0]).status, 201);
    assert!(copies[1..].iter_mut().any(is_closed), "none gave way");
    // Its body has arrived: the same head proves again, so this is a duplicate and not a
    // stranger's.
    let mut again = send(bench.endpoint.address, &draft.head());
    assert_eq!(read_answer(&mut again).status, 100);
    again.write_all(&draft.body).unwrap();
    assert_eq!(read_answer(&mut again).status, 201);
}

#[test]
fn copies_of_a_push_and_pushes_of_others_prove_no_connection() {
    let bench = Bench::with(|options| {
        options
            .set("server.max_connections", "10")
            .set("accept.topic_owners", "1269128356620446")
    });
    let own = genuine(&bench);
    bench.accept(&own);
    let foreign = Draft::with_body(
        String::from_utf8(own.body.clone())
            .unwrap()
            .replace("<TopicOwner>1269128356620446", "<TopicOwner>42"),
        &url(&bench),
    );
    let foreign = foreign
        .set("Content-Type", "text/xml;charset=utf-8")
        .sign(&key(512));
    for (copy, status) in [(own.wire(), 201), (foreign.wire(), 403)] {
        let _idle: Vec<TcpStream> = (0..30)
            .map(|_| {
                let mut stream = send(bench.endpoint.address, &copy);
                assert_eq!(read_answer(&mut stream).status, status);
                stream
            })
            .collect();
        // Two that arrive slowly, each followed by a stranger.
        for _ in 0..3 {
            let mut slow = [(); 2].map(|()| send(bench.endpoint.address, b""));
            let _strangers: Vec<TcpStream> = (0..4)
                .map(|_| send(bench.endpoint.address, STALLED))
                .collect();
            wait(&slow[0], GRACE / 10);
            slow.iter_mut().for_each(|stream| push(&bench, stream));
        }
    }
}

#[test]
fn a_connection_that_has_carried_a_push_stalls_like_any_other() {
    let bench = bench(3);
    let mut stalled = proved(&bench);
    let mut kept = [proved(&bench), proved(&bench)];
    stalled
        .write_all(b"POST /notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
        .unwrap();
    wait(&kept[0], GRACE / 10);
    assert_eq!(bench.endpoint.exchange(HEALTH).status, 200);
    eventually("it gives way", || is_closed(&mut stalled).then_some(()));
    kept.iter_mut().for_each(|stream| push(&bench, stream));
}

#[test]
fn unread_answers_and_missing_certificates_occupy_no_slot() {
    let bench = bench(1);
    let mut unread = send(bench.endpoint.address, b"");
    unread
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while unread.write_all(&HEALTH.repeat(1000)).is_ok() {}
    wait_for_slot(&bench);
    await_free_slot(&bench);
    bench.host.set(Mode::Stall);
    let _waiting = send(
        bench.endpoint.address,
        &bench.draft().sign(&key(512)).wire(),
    );
    wait_for_slot(&bench);
}

/// A push is accepted at the latest when the only other connection has made no progress for
/// [`GRACE`].
#[track_caller]
fn wait_for_slot(bench: &Bench) {
    let begun = Instant::now();
    let mut stream = send(bench.endpoint.address, &genuine(bench).wire());
    assert_eq!(read_answer(&mut stream).status, 201);
    // An answer may be left unread for 10 s.
    assert!(begun.elapsed() < GRACE * 8, "{:?}", begun.elapsed());
}

#[test]
fn among_strangers_the_peer_with_most_connections_gives_way() {
    let bench = bench(20);
    eventually("connecting takes less than a second", || {
        has_outlived_the_loud(&bench).then_some(())
    });
}

/// `false` if connecting took so long that the quiet one had to give way.
fn has_outlived_the_loud(bench: &Bench) -> bool {
    // It has sent nothing, is the oldest, and is not slow yet.
    let mut quiet = connect(OTHER, bench.endpoint.address, b"");
    let began = Instant::now();
    let _loud: Vec<TcpStream> = (0..100)
        .map(|_| connect(STRANGER, bench.endpoint.address, STALLED))
        .collect();
    if began.elapsed() >= GRACE {
        return false;
    }
    assert!(!is_closed(&mut quiet));
    push(bench, &mut quiet);
    true
}

#[test]
fn an_address_that_has_sent_a_push_is_never_the_loud_one() {
    let bench = bench(20);
    let mut first = connect(STRANGER, bench.endpoint.address, &genuine(&bench).wire());
    assert_eq!(read_answer(&mut first).status, 201);
    let mut quiet = connect(OTHER, bench.endpoint.address, b"");
    let _balancer: Vec<TcpStream> = (0..100)
        .map(|_| connect(STRANGER, bench.endpoint.address, STALLED))
        .collect();
    // The one that has been silent for the longest was closed, not those of a balancer.
    eventually("it gives way", || is_closed(&mut quiet).then_some(()));
}

#[test]
fn a_stranger_gets_one_403_on_a_connection_and_a_connection_of_pushes_goes_on() {
    let bench = bench(10);
    let forged = genuine(&bench)
        .set("Authorization", STANDARD.encode([7; 64]))
        .wire();
    let closes = |stream: &mut TcpStream| {
        stream.write_all(&forged).unwrap();
        let answer = read_answer(stream);
        assert_eq!(answer.status, 403);
        answer
            .headers
            .get("connection")
            .is_some_and(|token| token == "close")
    };
    let mut stranger = send(bench.endpoint.address, b"");
    assert!(closes(&mut stranger));
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0);
    // Like a proxy that sends the requests of several clients on one connection.
    let mut shared = proved(&bench);
    assert!(!closes(&mut shared));
    push(&bench, &mut shared);
    bench.host.set(Mode::Hang);
    let mut unsure = send(
        bench.endpoint.address,
        &bench.draft().sign(&key(512)).wire(),
    );
    let answer = read_answer(&mut unsure);
    assert_eq!(
        (answer.status, answer.headers.get("connection")),
        (503, None)
    );
    push(&bench, &mut unsure);
}

#[test]
fn the_body_of_a_refused_head_is_read_for_a_second_and_no_longer() {
    let bench = bench(10);
    let forged = genuine(&bench)
        .set("Authorization", STANDARD.encode([7; 64]))
        .set("Expect", "100-continue");
    let wrong = Reason::SignatureWrong.key().as_bytes();
    let refused = |before: usize, bytes: &[u8]| {
        let begun = Instant::now();
        let mut stream = send(bench.endpoint.address, &forged.head());
        assert_eq!(read_answer(&mut stream).status, 100);
        wait(&stream, GRACE / 4);
        stream.write_all(bytes).unwrap();
        assert_eq!(read_answer(&mut stream).status, 403);
        let log = eventually("it is logged", || {
            let log = bench.log();
            let is_ours =
                |entry: &Entry| attribute(entry, "Reason").is_some_and(|reason| reason == wrong);
            log.into_iter().filter(is_ours).nth(before)
        });
        (begun.elapsed(), log.text.contains("<Notification"))
    };
    let mut before = 0;
    eventually("its body came within a second", || {
        let (took, has_body) = refused(before, &forged.body);
        before += 1;
        assert!(has_body || took >= GRACE, "{took:?}");
        has_body.then_some(())
    });
    let (took, has_body) = refused(before, &forged.body[..1]);
    assert!(took >= GRACE && !has_body, "{took:?}");
}

#[test]
fn bytes_after_a_request_have_the_time_limit_of_a_head() {
    let bench = Bench::with(|options| options.set("server.head_timeout", "300ms"));
    for behind in [
        &b"P"[..],
        STALLED,
        b"POST /notifications HTTP/1.1\r\nHost: x\r\n",
    ] {
        for request in [
            HEALTH,
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            let mut stream = send(bench.endpoint.address, &[request, behind].concat());
            for _ in 0..request.len() / HEALTH.len() {
                assert_eq!(read_answer(&mut stream).status, 200);
            }
            let begun = Instant::now();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{behind:?}");
            assert!(
                begun.elapsed() < Duration::from_secs(4),
                "{:?}",
                begun.elapsed()
            );
        }
    }
    // Without further bytes, silence counts as a pause between two requests.
    let mut kept = send(bench.endpoint.address, HEALTH);
    assert_eq!(read_answer(&mut kept).status, 200);
    wait(&kept, Duration::from_millis(600));
    kept.write_all(HEALTH).unwrap();
    assert_eq!(read_answer(&mut kept).status, 200);
    // A request that arrives completely has its own time for everything, however late.
    let mut stream = send(
        bench.endpoint.address,
        &[HEALTH, &bench.draft().sign(&key(512)).wire()].concat(),
    );
    assert_eq!(
        (
            read_answer(&mut stream).status,
            read_answer(&mut stream).status
        ),
        (200, 201)
    );
}

#[test]
fn a_buffer_that_many_requests_have_enlarged_counts_while_it_exists() {
    let bench = Bench::with(|options| options.set("server.heads_max", "256KiB"));
    let large = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let mut idle: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut stream = send(bench.endpoint.address, large.as_bytes());
            assert_eq!(read_answer(&mut stream).status, 200);
            stream
        })
        .collect();
    eventually("most give way", || {
        (idle.iter_mut().filter_map(is_gone).count() >= 18).then_some(())
    });
    bench.accept(&genuine(&bench));
}

#[test]
fn heads_have_a_common_limit_and_the_largest_give_way_first() {
    let bench = Bench::with(|options| options.set("server.heads_max", "256KiB"));
    let known = Draft::new(ContentFormat::Xml, "m", &url(&bench)).sign(&key(512));
    bench.accept(&known);
    let head = format!(
        "POST /notifications HTTP/1.1\r\nHost: x\r\nX-Long: {}",
        "x".repeat(31_000)
    );
    let with_a_body = format!("{head}\r\nContent-Length: 2\r\n\r\nx");
    for begun in [head, with_a_body] {
        let mut large: Vec<TcpStream> = (0..30)
            .map(|_| send(bench.endpoint.address, begun.as_bytes()))
            .collect();
        // Four of them fit.
        eventually("the others give way", || {
            (large.iter_mut().filter_map(is_gone).count() >= 26).then_some(())
        });
        let mut slow = genuine(&bench).wire();
        let rest = slow.split_off(40);
        let mut stream = send(bench.endpoint.address, &slow);
        wait(&stream, GRACE / 10);
        stream.write_all(&rest).unwrap();
        assert_eq!(read_answer(&mut stream).status, 201);
    }
}

/// Whether it was closed, with an answer or without one.
fn is_gone(stream: &mut TcpStream) -> Option<()> {
    stream.set_nonblocking(true).unwrap();
    let read = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Ok(_) | Err(_) => Some(()),
    }
}

#[test]
fn a_push_whose_body_comes_late_is_not_taken_for_a_stranger() {
    within_body_timeout(|| {
        let bench = bench(1);
        let mut late = send(bench.endpoint.address, b"");
        occupy(&mut late, &url(&bench));
        let mut other = send(bench.endpoint.address, &genuine(&bench).wire());
        assert_eq!(read_answer(&mut other).status, 503);
        assert!(!is_closed(&mut late));
    });
}
