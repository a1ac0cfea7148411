//! The case of header names in an answer.

use std::convert::Infallible;

use http::{Extensions, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// The size of the pipe for the names, in bytes.
const HEAD_BYTES_MAX: usize = 4096;

/// The case of some header names. A client that compares names case-sensitively, as the vendor's
/// Java SDK does with `Location`, needs the case that its service uses.
///
/// The HTTP library writes all names in lower case or all in title case. It only mixes them for a
/// proxy: it saves the case of the names that it reads in a private extension, and writes an answer
/// in the case found in the answer's extensions. So this lets the library read a request with the
/// names, and saves that extension.
#[derive(Debug, Clone)]
pub struct HeaderCase(Extensions);

impl HeaderCase {
    /// Writes `names` as given. All others stay in lower case.
    pub async fn of(names: &[&str]) -> Self {
        // `0` is valid for each of these names, even for Content-Length.
        let lines: String = names.iter().map(|name| format!("{name}: 0\r\n")).collect();
        let (mut client, server) = tokio::io::duplex(HEAD_BYTES_MAX);
        let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let (found, mut case) = mpsc::channel(1);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            // There is one request, so the channel has room.
            drop(found.try_send(request.extensions().clone()));
            async { Ok::<_, Infallible>(Response::new(String::new())) }
        });
        let mut http = http1::Builder::new();
        http.header_read_timeout(None)
            .preserve_header_case(true)
            // Ends the connection after the answer: otherwise `join` would wait for another
            // request.
            .keep_alive(false);
        let (written, served) = tokio::join!(
            client.write_all(head.as_bytes()),
            http.serve_connection(TokioIo::new(server), service)
        );
        debug_assert!(
            written.is_ok() && served.is_ok(),
            "a request of ours is well-formed: {served:?}"
        );
        Self(case.try_recv().unwrap_or_default())
    }

    /// Writes the names in the head of `answer` in this case.
    pub fn apply<B>(&self, answer: &mut Response<B>) {
        answer.extensions_mut().extend(self.0.clone());
    }
}
