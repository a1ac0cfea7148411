//! Socket activation: a restart that no client notices.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;

use crate::support::{
    CertificateHost, Draft, Endpoint, Options, activated, eventually, finish, key, program,
    read_answer,
};

/// The longest time for an answer during a restart, unless the restart itself takes longer on a
/// busy machine.
const GAP: Duration = Duration::from_secs(1);
const RESTARTS: usize = 3;
const SENDERS: usize = 4;

/// The result of each push.
type Sent = Mutex<Vec<Pushed>>;

struct Pushed {
    id: String,
    status: u16,
    begun: Instant,
    took: Duration,
}

/// Stops the senders, even if the test fails.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends one push after the other, each on a new connection, without any retry.
fn send_until(
    stop: &AtomicBool,
    address: std::net::SocketAddr,
    host: &CertificateHost,
    sent: &Sent,
) {
    while !stop.load(Ordering::SeqCst) {
        let draft = Draft::new(ContentFormat::Xml, "m", &host.url("a.pem")).sign(&key(512));
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).expect("a connection was refused");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(&draft.wire()).unwrap();
        let answer = read_answer(&mut stream);
        let took = begun.elapsed();
        sent.lock().unwrap().push(Pushed {
            id: draft.message_id,
            status: answer.status,
            begun,
            took,
        });
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figure is for the one who reads the run"
)]
fn a_restart_under_load_refuses_no_connection_and_loses_nothing() {
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    let host = CertificateHost::serving(&key(512));
    let options = Options {
        socket: Some(socket),
        ..Options::trusting(host.prefix())
    };
    let (sent, stop) = (Sent::default(), AtomicBool::new(false));
    // For each restart: when the stop began, when it had ended, and when the next start was
    // complete.
    let mut restarts = Vec::new();
    // In memory, because the time that a shared disk takes for the syncs of a stop and a start is
    // not under test.
    let mut endpoint = Endpoint::start_in(tempfile::tempdir_in("/dev/shm").unwrap(), &options);
    assert_eq!(endpoint.address, address);
    let count = || sent.lock().unwrap().len();
    let endpoint = std::thread::scope(|scope| {
        let stopping = Stopping(&stop);
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| scope.spawn(|| send_until(&stop, address, &host, &sent)))
            .collect();
        for _ in 0..RESTARTS {
            let before = count();
            eventually("some pushes are answered", || {
                (count() >= before + 20).then_some(())
            });
            let begun = Instant::now();
            let (_printed, dir) = endpoint.stop();
            let stopped = Instant::now();
            endpoint = Endpoint::start_in(dir, &options);
            restarts.push((begun, stopped - begun, stopped.elapsed()));
        }
        let before = count();
        eventually("some more are answered", || {
            (count() >= before + 20).then_some(())
        });
        drop(stopping);
        for sender in senders {
            sender.join().unwrap();
        }
        endpoint
    });
    let log = endpoint.endpoint_log();
    let sent = sent.into_inner().unwrap();
    let longest = restarts
        .iter()
        .map(|(_, stop, start)| *stop + *start)
        .max()
        .unwrap();
    for Pushed {
        id,
        status,
        begun,
        took,
    } in &sent
    {
        assert_eq!(*status, 201, "{id}");
        assert!(
            *took < GAP.max(longest * 2),
            "{id} took {took:?} from {begun:?} on; restarts (begun, stop, start): {restarts:?}"
        );
        assert_eq!(log.matches(&format!(": {id}\n")).count(), 1, "{id}");
    }
    let longest = sent.iter().map(|pushed| pushed.took).max().unwrap();
    println!(
        "{} pushes over {RESTARTS} restarts; the longest answer took {longest:?}",
        sent.len()
    );
}

#[test]
fn a_connection_made_while_nothing_runs_is_answered_by_the_next_start() {
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let mut waiting = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    waiting
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let options = Options {
        socket: Some(socket),
        ..Options::default()
    };
    let endpoint = Endpoint::start(&options);
    assert_eq!(read_answer(&mut waiting).status, 200);
    assert!(
        endpoint
            .told()
            .contains("Listening on sockets of the service manager")
    );
}

#[test]
fn only_a_listening_tcp_socket_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut command = activated(&listener);
    command
        .current_dir(dir.path())
        .arg("serve")
        .stdin(OwnedFd::from(connected));
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("socket 0 of LISTEN_FDS is not a listening TCP socket"),
        "{told}"
    );
    let mut wrong = program();
    wrong
        .current_dir(dir.path())
        .arg("serve")
        .env("LISTEN_PID", "x")
        .env("LISTEN_FDS", "1");
    finish(&mut wrong, b"").assert(
        1,
        "LISTEN_PID or LISTEN_FDS in the environment is not a number",
    );
}
