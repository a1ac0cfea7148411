//! Pushes at a steady rate, each sent again until it is answered 201, as MNS does.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{read_answer, send};

/// Connections, each with one push at a time.
const CONNECTIONS: usize = 32;
/// How long a refused push waits before it is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// One answer.
#[derive(Clone, Copy)]
pub struct Answered {
    pub number: usize,
    pub status: u16,
    /// From the time at which the push, or its retry, was due. A stalled endpoint thus delays the
    /// figures of the pushes behind it too.
    pub took: Duration,
}

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<Vec<Answered>>>,
}

struct Shared {
    address: SocketAddr,
    /// The bytes of a push, by its number.
    push: Box<dyn Fn(usize) -> Vec<u8> + Send + Sync>,
    per_second: usize,
    begun: Instant,
    next: AtomicUsize,
    is_over: AtomicBool,
    refused: AtomicUsize,
}

impl Load {
    /// Sends this many pushes a second until it is asked to stop.
    pub fn start(
        address: SocketAddr,
        per_second: usize,
        push: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            address,
            push: Box::new(push),
            per_second,
            begun: Instant::now(),
            next: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
        });
        let workers = (0..CONNECTIONS).map(|_| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.send_all())
        });
        let workers = workers.collect();
        Self { shared, workers }
    }

    /// How many answers were not 201.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Sends no new push, and returns all answers once each push has its 201.
    pub fn finish(self) -> Vec<Answered> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let answers = self.workers.into_iter().flat_map(|it| it.join().unwrap());
        answers.collect()
    }
}

impl Shared {
    fn send_all(&self) -> Vec<Answered> {
        let mut answers = Vec::new();
        let mut again: VecDeque<(Instant, usize)> = VecDeque::new();
        let mut kept = None;
        loop {
            let (due, number) = match again.front() {
                Some(first) if first.0 <= Instant::now() => again.pop_front().unwrap(),
                _ if !self.is_over.load(Ordering::Relaxed) => {
                    let number = self.next.fetch_add(1, Ordering::Relaxed);
                    let micros = number * 1_000_000 / self.per_second;
                    let span = Duration::from_micros(u64::try_from(micros).unwrap());
                    (self.begun + span, number)
                }
                // At the end only retries are left, and each waits for its time below.
                Some(_) => again.pop_front().unwrap(),
                None => return answers,
            };
            pause(due.saturating_duration_since(Instant::now()));
            let status = self.send(&mut kept, number);
            answers.push(Answered {
                number,
                status,
                took: due.elapsed(),
            });
            if status != 201 {
                self.refused.fetch_add(1, Ordering::Relaxed);
                again.push_back((Instant::now() + AGAIN_AFTER, number));
            }
        }
    }

    fn send(&self, kept: &mut Option<TcpStream>, number: usize) -> u16 {
        let mut stream = kept.take().unwrap_or_else(|| send(self.address, &[]));
        stream.write_all(&(self.push)(number)).unwrap();
        let status = read_answer(&mut stream).status;
        // A refusal before the body was read may end the connection.
        *kept = (status == 201).then_some(stream);
        status
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own")]
fn pause(span: Duration) {
    std::thread::sleep(span);
}
