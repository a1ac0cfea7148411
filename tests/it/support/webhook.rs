//! A service that takes POST requests and answers each as a test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::api_host::read;

/// What the service does with a request.
#[derive(Clone)]
pub enum Reply {
    /// It answers with this status, these header lines and an empty body.
    Status(u16, &'static str),
    /// It ends the connection without an answer.
    Cut,
    /// It answers 200, and ends the connection within the body.
    CutBody,
    /// It never answers.
    Silent,
    /// It answers with this status, and a body that never ends.
    Endless(u16),
}

/// A request that arrived.
#[derive(Clone)]
pub struct Came {
    pub at: Instant,
    pub request: Request<Bytes>,
}

type Rule = dyn Fn(&Came, usize) -> Reply + Send + Sync;

/// A service on loopback, until the process ends.
pub struct Webhook {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    rule: Mutex<Arc<Rule>>,
    came: Mutex<Vec<Came>>,
    delivered: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// How many bytes of endless bodies were written.
    written: AtomicUsize,
    tls: Option<Arc<ServerConfig>>,
}

impl Came {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.request.headers().get(name);
        value
            .unwrap_or_else(|| panic!("{name} is missing"))
            .to_str()
            .unwrap()
    }

    /// The id of its message.
    pub fn message(&self) -> &str {
        self.header("mns-message-id")
    }
}

impl Webhook {
    /// Starts a service. `rule` gets a request and the number of earlier requests for its message.
    pub fn start(rule: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::bound("127.0.0.1:0", None, rule)
    }

    /// Starts a service that accepts everything.
    pub fn taking() -> Self {
        Self::start(|_, _| Reply::Status(200, ""))
    }

    /// Starts a service at an address, with TLS if it is configured.
    pub fn bound(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        rule: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            rule: Mutex::new(Arc::new(rule)),
            came: Mutex::default(),
            delivered: Mutex::default(),
            connections: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            tls,
        });
        let shared = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || shared.connected(stream));
            }
        });
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn answers(&self, rule: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static) {
        *self.inner.rule.lock().unwrap() = Arc::new(rule);
    }

    /// The requests so far, in order.
    pub fn came(&self) -> Vec<Came> {
        self.inner.came.lock().unwrap().clone()
    }

    /// The requests for a message.
    pub fn came_for(&self, message: &str) -> Vec<Came> {
        let came = self.came().into_iter();
        came.filter(|came| came.message() == message).collect()
    }

    /// The ids of messages that were answered 2xx, once for each answer.
    pub fn delivered(&self) -> Vec<String> {
        self.inner.delivered.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::Relaxed)
    }

    pub fn written(&self) -> usize {
        self.inner.written.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn connected(&self, stream: TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        match &self.tls {
            None => self.serve(stream),
            Some(config) => {
                let session = ServerConnection::new(config.clone()).unwrap();
                self.serve(StreamOwned::new(session, stream));
            }
        }
    }

    fn serve(&self, mut stream: impl Read + Write) {
        while let Some(request) = read(&mut stream) {
            let came = Came {
                at: Instant::now(),
                request,
            };
            let before = {
                let mut all = self.came.lock().unwrap();
                let same = all.iter().filter(|it| it.message() == came.message());
                let before = same.count();
                all.push(came.clone());
                before
            };
            let rule = self.rule.lock().unwrap().clone();
            let reply = rule(&came, before);
            // Before the answer, so that a client that has its answer finds the message here.
            if matches!(reply, Reply::Status(200..=299, _) | Reply::CutBody) {
                let message = came.message().to_owned();
                self.delivered.lock().unwrap().push(message);
            }
            if self.answer(&mut stream, &reply).is_none() {
                return;
            }
        }
    }

    /// `None` ends the connection.
    fn answer(&self, stream: &mut (impl Read + Write), reply: &Reply) -> Option<()> {
        let head = |status: u16, head: &str, length: &str| {
            format!("HTTP/1.1 {status} x\r\n{head}content-length: {length}\r\n\r\n")
        };
        match reply {
            Reply::Status(status, lines) => {
                stream.write_all(head(*status, lines, "0").as_bytes()).ok()
            }
            Reply::Cut => None,
            Reply::CutBody => {
                stream.write_all(head(200, "", "10").as_bytes()).ok()?;
                stream.write_all(b"half").ok()?;
                None
            }
            Reply::Silent => {
                // Returns when the client closes the connection.
                stream.read_exact(&mut [0]).ok();
                None
            }
            Reply::Endless(status) => {
                // Far more than a test lasts, so that only the client ends it.
                let length = (1_u64 << 40).to_string();
                stream
                    .write_all(head(*status, "", &length).as_bytes())
                    .ok()?;
                let part = [b'x'; 1024];
                loop {
                    stream.write_all(&part).ok()?;
                    self.written.fetch_add(part.len(), Ordering::Relaxed);
                }
            }
        }
    }
}
