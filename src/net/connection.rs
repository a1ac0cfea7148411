//! One connection from its first byte to its last: PROXY header, TLS, HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, HttpBody as _};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::net::activity::Phase;
use crate::net::answer_body::AnswerBody;
use crate::net::arrival::{Arrival, Connection};
use crate::net::counters::{Counters, Ending};
use crate::net::frontend::Frontend;
use crate::net::limits::{HEAD_BYTES_MAX, HEADERS_MAX, PIPELINED_PAUSE, READ_BUFFER_BYTES_MAX};
use crate::net::responder::Responder;
use crate::net::slots::Slot;
use crate::net::stream::TimedStream;
use crate::net::tracker::Tracker;

/// Serves connections concurrently.
pub(super) struct ConnectionServer<S> {
    pub(super) service: S,
    pub(super) frontend: Frontend,
    pub(super) counters: Arc<Counters>,
}

impl<S> ConnectionServer<S>
where
    S: Responder,
{
    /// Serves a connection until it ends, and then gives its slot back.
    pub(super) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Slot,
        _ending: Ending,
    ) {
        let tracker = Tracker::of(&slot);
        tracker.activity.begin_serving();
        let (stream, peer) = if self.frontend.proxies.trusts(peer) {
            match self.open_behind_proxy(stream, peer, &tracker).await {
                Some(opened) => opened,
                None => return,
            }
        } else {
            (stream, peer)
        };
        let Some(tls) = &self.frontend.tls else {
            return self.serve_http(stream, peer, tracker).await;
        };
        // Before the handshake is done nothing counts as progress.
        let secured = tokio::select! {
            secured = tls.accept(stream) => secured,
            () = tracker.activity.end_of_silence() => return,
        };
        match secured {
            Ok(stream) => self.serve_http(stream, peer, tracker).await,
            Err(error) => {
                self.counters
                    .failed_handshakes
                    .fetch_add(1, Ordering::Relaxed);
                debug!(%peer, %error, "A TLS handshake failed");
            }
        }
    }

    /// Waits until a trusted proxy sends something, and reads its PROXY header if there is one.
    /// Returns `None` if the connection must end.
    async fn open_behind_proxy(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        tracker: &Tracker,
    ) -> Option<(TcpStream, SocketAddr)> {
        let opened = self.frontend.proxies.open(&mut stream, peer);
        let opened = tokio::select! {
            opened = timeout(self.frontend.limits.idle_timeout, opened) => opened.ok()?,
            () = tracker.activity.end_of_silence() => return None,
        };
        match opened {
            Ok(client) => {
                tracker.note_peer(client.ip());
                Some((stream, client))
            }
            Err(error) => {
                self.counters.broken_heads.fetch_add(1, Ordering::Relaxed);
                debug!(%peer, %error, "A PROXY header is broken");
                None
            }
        }
    }

    async fn serve_http<T>(&self, stream: T, peer: SocketAddr, tracker: Tracker)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let activity = &tracker.activity;
        let io = TimedStream::new(stream, tracker.clone(), &self.frontend.limits);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            // Before `arrival`, which begins the request and so changes the phase.
            let is_pipelined = activity.phase() != Phase::Head;
            let arrival = self.arrival(peer, &tracker, &request);
            let (service, activity) = (self.service.clone(), activity.clone());
            async move {
                // A stranger can send thousands of pipelined requests and read no answer, which
                // would cost us more than the stranger.
                if is_pipelined && !activity.has_accepted() {
                    sleep(PIPELINED_PAUSE).await;
                }
                let answer = service.respond(arrival, request.map(Body::new)).await;
                // A body of unknown length is a stream, which may last for hours.
                if answer.body().size_hint().exact().is_none() {
                    activity.begin_stream();
                }
                Ok::<_, Infallible>(answer.map(|body| AnswerBody::new(body, activity)))
            }
        });
        // `pipeline_flush` stays off: it delays an answer, even the last one, while there are bytes
        // after its request. `header_read_timeout` stays off: it also runs between two requests, so
        // the stream has its own timers. Half-close stays on: a peer may shut down its sending side
        // and still read the answer.
        let mut http = http1::Builder::new();
        http.header_read_timeout(None)
            .max_buf_size(READ_BUFFER_BYTES_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .half_close(true);
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(io), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = activity.close.cancelled() => {
                // A connection that gives way ends at once, unless a push on it waits for the disk:
                // its 201 will be true, and without it MNS pushes again. During a stop every
                // request may finish.
                let may_finish = matches!(activity.phase(), Phase::Idle | Phase::Commit);
                if activity.gives_way() && !may_finish {
                    return;
                }
                // The library would close a connection without any request at once. Its stream ends
                // it after `FIRST_REQUEST_GRACE` instead.
                if !activity.is_waited_for() {
                    connection.as_mut().graceful_shutdown();
                }
                connection.await
            }
        };
        if let Err(error) = ended {
            self.note_broken(peer, &error);
        }
    }

    /// Builds the arrival of a request whose head is complete, and records its peer.
    fn arrival(
        &self,
        peer: SocketAddr,
        tracker: &Tracker,
        request: &hyper::Request<Incoming>,
    ) -> Arrival {
        let client = self.frontend.proxies.client(peer, request.headers());
        // Peers are counted for unproved connections only, so MNS's keep-alive connection takes no
        // lock.
        if client != peer && !tracker.activity.has_accepted() {
            tracker.note_peer(client.ip());
        }
        let first_byte = tracker
            .activity
            .begin_request(request.body().size_hint().exact());
        Arrival {
            peer: client,
            first_byte,
            connection: Connection::of(tracker),
        }
    }

    fn note_broken(&self, peer: SocketAddr, error: &hyper::Error) {
        if error.is_parse() || error.is_incomplete_message() || is_timeout(error) {
            self.counters.broken_heads.fetch_add(1, Ordering::Relaxed);
        }
        debug!(%peer, %error, "A connection ended early");
    }
}

fn is_timeout(error: &hyper::Error) -> bool {
    // `TimedStream` reports a slow peer as an I/O error, which hyper wraps.
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}
