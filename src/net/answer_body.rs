//! The body of an answer, whose end is the end of its request, and streamed bodies.
//!
//! An answer may be a stream that lasts for hours. Until its last byte the connection counts as
//! busy: an idle one would be asked to give way to a new connection, and would not end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::net::activity::Activity;

/// The body of an answer. The request ends when this is dropped. The HTTP library drops it once it
/// has the last frame, before it flushes that.
pub(super) struct AnswerBody {
    body: Body,
    activity: Arc<Activity>,
}

impl AnswerBody {
    pub(super) fn new(body: Body, activity: Arc<Activity>) -> Self {
        Self { body, activity }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.activity.end_request();
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    // Both are passed on: without the exact length hyper would send a small answer in chunks.
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body of the chunks that `poll` returns, until it returns `None`. The body is dropped once a
/// chunk cannot be written, because the peer is gone.
pub fn streamed<P>(poll: P) -> Body
where
    P: FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + Send + Unpin + 'static,
{
    Body::new(Streamed(poll))
}

struct Streamed<P>(P);

impl<P> HttpBody for Streamed<P>
where
    P: FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + Unpin,
{
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        (self.0)(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Mutex;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::net::{Frontend, Limits, bind, serve};

    fn ask(address: SocketAddr, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        BufReader::new(stream)
    }

    #[track_caller]
    fn expect(stream: &mut BufReader<TcpStream>, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "no {text}");
        }
    }

    #[test]
    fn a_stream_is_busy_until_its_end_and_idle_after_it() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _there = runtime.enter();
        let (pieces, receiver) = mpsc::channel::<Bytes>(4);
        let receiver = Arc::new(Mutex::new(Some(receiver)));
        let stream = async move || {
            let mut receiver = receiver.lock().unwrap().take().unwrap();
            streamed(move |cx| receiver.poll_recv(cx))
        };
        let service = Router::new()
            .route("/stream", get(stream))
            .fallback(async || "answered\n");
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let frontend = Frontend::plain(Limits::of_connections(2));
        let stop = CancellationToken::new();
        let serving = serve(
            vec![listener],
            service,
            frontend,
            Arc::default(),
            stop.clone(),
        );
        let serving = runtime.spawn(serving);
        let mut streaming = ask(address, "/stream");
        pieces.blocking_send("first\n".into()).unwrap();
        expect(&mut streaming, "first");
        let mut idle = ask(address, "/");
        expect(&mut idle, "answered");
        // Both slots are taken, and the stream is the older one.
        let mut newcomer = ask(address, "/");
        expect(&mut newcomer, "answered");
        assert_eq!(idle.read(&mut [0]).unwrap(), 0, "the idle one gives way");
        pieces.blocking_send("second\n".into()).unwrap();
        expect(&mut streaming, "second");
        drop(pieces);
        expect(&mut streaming, "0\r\n");
        let stream = streaming.get_mut();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        expect(&mut streaming, "answered");
        stop.cancel();
        runtime.block_on(serving).unwrap();
    }
}
