//! A service with scripted answers that records its requests.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;

/// Answers one request on each connection, in order, and closes it.
pub struct ApiHost {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl ApiHost {
    /// Each answer is a status line without the version, and a body. An empty one breaks the
    /// connection.
    pub fn start(answers: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<(String, String)> = answers
            .iter()
            .map(|(status, body)| ((*status).to_owned(), (*body).to_owned()))
            .collect();
        let asked = requests.clone();
        // The thread ends after its last answer.
        std::thread::spawn(move || {
            while let Some((status, body)) = answers.pop_front() {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read(&mut stream).unwrap();
                asked.lock().unwrap().push(request);
                if !status.is_empty() {
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    stream
                        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
                        .unwrap();
                }
            }
        });
        Self { address, requests }
    }

    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.requests.lock().unwrap().clone()
    }
}

/// The next request. `None` if the connection ends before it is complete.
pub fn read(stream: &mut impl Read) -> Option<Request<Bytes>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    assert!(parsed.parse(&head).unwrap().is_complete());
    let mut request = Request::builder()
        .method(parsed.method.unwrap())
        .uri(parsed.path.unwrap());
    for header in parsed.headers.iter() {
        request = request.header(header.name, header.value);
    }
    let length = request.headers_ref().unwrap().get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.to_str().unwrap().parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(request.body(Bytes::from(body)).unwrap())
}
