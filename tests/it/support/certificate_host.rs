//! A host for certificates, and the ways in which it can fail.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How the host answers.
#[derive(Clone)]
pub enum Mode {
    /// With these bytes.
    Serve(Vec<u8>),
    /// With this complete answer, including its head.
    Raw(Vec<u8>),
    /// Not at all, while the connection stays open.
    Stall,
    /// By closing the connection.
    Hang,
    /// With these bytes for one target, and not at all for others.
    Only(&'static str, Vec<u8>),
}

/// Serves `http://ADDRESS/anything` on its own port and counts the requests.
pub struct CertificateHost {
    pub address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    requests: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
}

impl CertificateHost {
    pub fn start(mode: Mode) -> Self {
        Self::listen(mode, None)
    }

    /// Serves `https://localhost:PORT/anything`. Also returns the PEM of the root to trust.
    pub fn start_tls(mode: Mode) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (Self::listen(mode, Some(Arc::new(config))), made.cert.pem())
    }

    fn listen(mode: Mode, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, requests, served) = (Arc::new(Mutex::new(mode)), Arc::default(), Arc::default());
        let host = Self {
            address,
            mode,
            requests,
            served,
        };
        let (mode_of_thread, requests_of_thread) = (host.mode.clone(), host.requests.clone());
        let served_of_thread = host.served.clone();
        // Ends with the process, because it only waits for connections.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mode, requests) = (mode_of_thread.clone(), requests_of_thread.clone());
                let served = served_of_thread.clone();
                let tls = tls.clone();
                std::thread::spawn(move || match tls {
                    None => answer(stream, &mode, [&requests, &served]),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        answer(
                            StreamOwned::new(connection, stream),
                            &mode,
                            [&requests, &served],
                        );
                    }
                });
            }
        });
        host
    }

    pub fn serving(signer: &mns_endpoint::emulator::Signer) -> Self {
        Self::start(Mode::Serve(signer.certificate_pem().as_bytes().to_vec()))
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// How many of them were answered by [`Mode::Only`].
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// The directory in which an endpoint in `dir` keeps its certificates. Creates it.
    pub fn kept_in(&self, dir: &Path) -> PathBuf {
        let kept = dir.join("certs/signing").join(self.address.to_string());
        std::fs::create_dir_all(&kept).unwrap();
        kept
    }

    /// The prefix to trust.
    pub fn prefix(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The address of a certificate here.
    pub fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.address)
    }
}

fn answer(
    mut stream: impl Read + Write,
    mode: &Mutex<Mode>,
    [requests, served]: [&AtomicUsize; 2],
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let mode = mode.lock().unwrap().clone();
    let bytes = match mode {
        Mode::Serve(body) => found(body),
        Mode::Only(target, body) if head.starts_with(format!("GET {target} ").as_bytes()) => {
            served.fetch_add(1, Ordering::SeqCst);
            found(body)
        }
        Mode::Raw(bytes) => bytes,
        Mode::Stall | Mode::Only(..) => {
            // Until the client gives up.
            while stream.read(&mut byte).unwrap_or(0) > 0 {}
            return;
        }
        Mode::Hang => return,
    };
    // A client that has seen enough may have left.
    stream.write_all(&bytes).ok();
}

fn found(body: Vec<u8>) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}
