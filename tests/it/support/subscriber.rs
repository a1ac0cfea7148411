//! An endpoint with scripted answers that records what was pushed to it and when.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::Request;

use crate::support::api_host::read;

/// One request as received.
#[derive(Clone)]
pub struct Pushed {
    pub at: Instant,
    pub request: Request<Bytes>,
}

/// What happens to a connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Open,
    Closed,
}

/// Answers every request on every connection.
pub struct Subscriber {
    pub address: SocketAddr,
    pushed: Arc<Mutex<Vec<Pushed>>>,
}

impl Subscriber {
    /// `answer` returns the status for the request of that number, from 0. `None` is no answer.
    pub fn start(answer: impl Fn(usize) -> Option<u16> + Send + Sync + 'static) -> Self {
        Self::serving(answer, Kept::Open)
    }

    /// Closes each connection after its first answer, without announcing it.
    pub fn closing(answer: impl Fn(usize) -> Option<u16> + Send + Sync + 'static) -> Self {
        Self::serving(answer, Kept::Closed)
    }

    fn serving(answer: impl Fn(usize) -> Option<u16> + Send + Sync + 'static, kept: Kept) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pushed = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), pushed.clone());
        // Ends with the process, because it only waits for connections.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (answer.clone(), seen.clone());
                std::thread::spawn(move || serve(stream, &*answer, &seen, kept));
            }
        });
        Self { address, pushed }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, in order.
    pub fn pushed(&self) -> Vec<Pushed> {
        self.pushed.lock().unwrap().clone()
    }

    pub fn header(&self, name: &str) -> Vec<String> {
        let values = self
            .pushed()
            .into_iter()
            .map(|pushed| pushed.request.headers()[name].to_str().unwrap().to_owned());
        values.collect()
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(usize) -> Option<u16>,
    seen: &Mutex<Vec<Pushed>>,
    kept: Kept,
) {
    while let Some(request) = read(&mut stream) {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(Pushed {
                at: Instant::now(),
                request,
            });
            seen.len() - 1
        };
        let Some(status) = answer(number) else {
            continue;
        };
        if write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").is_err()
            || kept == Kept::Closed
        {
            return;
        }
    }
}
