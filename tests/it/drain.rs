//! A stop behind a load balancer: first unhealthy but serving, then ended.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Bench, answer_within, eventually, exchange, key, read_answer, send};

/// Signals within this time after the first are the same stop. As in `src/signals.rs`.
pub const ONE_STOP: Duration = Duration::from_millis(200);

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn during_the_delay_every_push_is_accepted_and_every_connection_asked_to_end() {
    let mut bench = Bench::with(|options| options.set("server.drain_delay", "1h"));
    let mut kept = send(bench.endpoint.address, HEALTH);
    let answer = read_answer(&mut kept);
    assert_eq!(
        (answer.status, answer.headers.get("connection")),
        (200, None)
    );
    bench.endpoint.signal(Signal::TERM);
    bench.endpoint.assert_tells("Stopping");
    kept.write_all(HEALTH).unwrap();
    let answer = read_answer(&mut kept);
    assert_eq!(
        (answer.status, answer.headers["connection"].as_str()),
        (503, "close")
    );
    for _ in 0..3 {
        let answer = exchange(
            bench.endpoint.address,
            &bench.draft().sign(&key(512)).wire(),
        );
        assert_eq!(
            (answer.status, answer.headers["connection"].as_str()),
            (201, "close")
        );
    }
    let refused = exchange(bench.endpoint.address, &bench.draft().wire());
    assert_eq!(
        (refused.status, refused.headers["connection"].as_str()),
        (403, "close")
    );
    assert_eq!(bench.endpoint.ended(), None);
}

#[test]
fn the_process_ends_by_itself_after_the_delay_and_not_before() {
    const DELAY: Duration = Duration::from_secs(1);
    let bench = Bench::with(|options| options.set("server.drain_delay", "1s"));
    let begun = Instant::now();
    let _stopped = bench.endpoint.stop();
    let took = begun.elapsed();
    assert!(took >= DELAY && took < DELAY * 30, "{took:?}");
}

#[test]
fn a_second_signal_ends_the_delay_at_once() {
    let (mut bench, idle) = eventually("two signals came within the time of one stop", || {
        let bench = Bench::with(|options| options.set("server.drain_delay", "1h"));
        let idle = send(bench.endpoint.address, b"");
        let begun = Instant::now();
        bench.endpoint.signal(Signal::TERM);
        bench.endpoint.assert_tells("Stopping");
        // The same stop, signalled twice.
        bench.endpoint.signal(Signal::TERM);
        (begun.elapsed() < ONE_STOP).then_some((bench, idle))
    });
    assert!(!answer_within(&idle, Duration::from_millis(300)));
    assert_eq!(bench.endpoint.ended(), None);
    bench.endpoint.signal(Signal::INT);
    let code = eventually("it has ended", || bench.endpoint.ended());
    assert_eq!(code, 1);
    assert!(
        bench
            .endpoint
            .stderr()
            .contains("stopped immediately by a second SIGINT")
    );
}

#[test]
fn a_connection_that_is_silent_at_the_stop_is_still_answered() {
    let bench = Bench::with(|options| options.set("server.drain", "1h"));
    let mut fresh = send(bench.endpoint.address, b"");
    let mut used = send(bench.endpoint.address, HEALTH);
    assert_eq!(read_answer(&mut used).status, 200);
    let push = bench.draft().sign(&key(512)).wire();
    bench.endpoint.signal(Signal::TERM);
    bench.endpoint.assert_tells("Stopping");
    fresh.write_all(&push).unwrap();
    // A connection that has already been answered is closed at once.
    assert!(answer_within(&used, Duration::from_millis(500)));
    assert_eq!(read_answer(&mut fresh).status, 201);
    let begun = Instant::now();
    bench.endpoint.end();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn connections_that_the_kernel_has_accepted_before_the_stop_are_answered() {
    let bench = Bench::new();
    // While the process is stopped, connections are made and the stop is signalled.
    bench.endpoint.signal(Signal::STOP);
    let mut waiting: Vec<_> = (0..400)
        .map(|_| send(bench.endpoint.address, HEALTH))
        .collect();
    bench.endpoint.signal(Signal::TERM);
    bench.endpoint.signal(Signal::CONT);
    for stream in &mut waiting {
        // 200 if it was read before the signal was handled.
        assert!([200, 503].contains(&read_answer(stream).status));
    }
    bench.endpoint.end();
}

#[test]
fn a_peer_that_reads_no_answer_does_not_delay_the_stop() {
    let bench = Bench::with(|options| options.set("server.drain", "1h"));
    // Requests on a connection that has carried a push are answered without a pause, so its answers
    // soon fill the buffers.
    let mut unread = send(
        bench.endpoint.address,
        &bench.draft().sign(&key(512)).wire(),
    );
    assert_eq!(read_answer(&mut unread).status, 201);
    unread
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // The endpoint reads nothing more once it cannot write.
    while unread.write_all(&HEALTH.repeat(1000)).is_ok() {}
    let begun = Instant::now();
    let _stopped = bench.endpoint.stop();
    let took = begun.elapsed();
    // Without a stop it may leave the answer unread for 10 s.
    assert!(took < Duration::from_secs(9), "{took:?}");
}
