//! Connections without a slot: answered 503, except for a health check, which gets its real answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::net::arrival::{Arrival, Connection};
use crate::net::frontend::Frontend;
use crate::net::limits::{
    LINGER_BYTES_MAX, LINGER_TIMEOUT, TURNED_AWAY_HEAD_BYTES_MAX, TURNED_AWAY_HEAD_TIMEOUT,
    TURNED_AWAY_MAX, TURNED_AWAY_PROXY_TIMEOUT,
};
use crate::net::responder::Responder;
use crate::net::{Tls, TrustedProxies};

/// Answers such connections: a limited number at a time, each within a limited time.
#[derive(Clone)]
pub(super) struct TurnedAway {
    tls: Option<Arc<Tls>>,
    proxies: TrustedProxies,
    health_path: Option<String>,
    room: Arc<Semaphore>,
}

impl TurnedAway {
    pub(super) fn new(frontend: &Frontend) -> Self {
        let Frontend {
            tls,
            proxies,
            health_path,
            ..
        } = frontend.clone();
        Self {
            tls,
            proxies,
            health_path,
            room: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
        }
    }

    /// Answers one, after its PROXY header and with TLS if that is expected. Returns `None` if too
    /// many are being answered; the connection is then closed.
    pub(super) fn answer<S>(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        service: S,
    ) -> Option<impl Future<Output = ()> + use<S>>
    where
        S: Responder,
    {
        // Never waits: the accept loop calls this.
        let permit = self.room.clone().try_acquire_owned().ok()?;
        let (tls, proxies, health_path) = (
            self.tls.clone(),
            self.proxies.clone(),
            self.health_path.clone(),
        );
        let answered = async move {
            let _permit = permit;
            // A proxy that stays silent is answered all the same.
            if proxies.trusts(peer)
                && let Ok(Err(_)) =
                    timeout(TURNED_AWAY_PROXY_TIMEOUT, proxies.open(&mut stream, peer)).await
            {
                return;
            }
            match tls {
                None => answer(stream, peer, health_path, service).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        answer(stream, peer, health_path, service).await;
                    }
                }
            }
        };
        // A connection that takes longer is closed.
        Some(async { drop(timeout(LINGER_TIMEOUT, answered).await) })
    }
}

async fn answer<S>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    health_path: Option<String>,
    service: S,
) where
    S: Responder,
{
    let mut head = Vec::new();
    // Without a health check every request gets the same answer, so none is read.
    let Some(health_path) = health_path else {
        return say_busy(stream).await;
    };
    let read = timeout(
        TURNED_AWAY_HEAD_TIMEOUT,
        read_health_check(&mut stream, &mut head, &health_path),
    )
    .await;
    if !read.unwrap_or(false) {
        return say_busy(stream).await;
    }
    let (unread, write) = tokio::io::split(stream);
    // The HTTP library first gets the head that was read here.
    let stream = tokio::io::join(std::io::Cursor::new(head).chain(unread), write);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        // The connection has no slot, so nothing reported about it can evict another.
        let arrival = Arrival {
            peer,
            first_byte: Instant::now(),
            connection: Connection::detached(),
        };
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.respond(arrival, request.map(Body::new)).await) }
    });
    drop(
        http1::Builder::new()
            // Without a slot it gets only one answer.
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

/// Reads a head of at most the size of a health check's. Returns whether it is one.
async fn read_health_check(
    stream: &mut (impl AsyncRead + Unpin),
    head: &mut Vec<u8>,
    path: &str,
) -> bool {
    let mut bounded = stream.take(u64::try_from(TURNED_AWAY_HEAD_BYTES_MAX).unwrap_or_default());
    while let Ok(1..) = bounded.read_buf(head).await {
        // A health check has few headers. With more than 32 `httparse` fails, and the answer is
        // 503.
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Partial) => {}
            Ok(httparse::Status::Complete(_)) => {
                let asked = request.path.and_then(|target| target.split('?').next());
                return matches!(request.method, Some("GET" | "HEAD")) && asked == Some(path);
            }
            Err(_) => return false,
        }
    }
    false
}

async fn say_busy(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 5\r\n\
        connection: close\r\ncontent-length: 19\r\n\r\nService Unavailable";
    let mut scratch = [0; 4096];
    // Discards what the peer still sends: a close with unread bytes resets the connection, and the
    // peer could not read the answer.
    let mut swallowed: usize = 0;
    if stream.write_all(ANSWER).await.is_ok() && stream.shutdown().await.is_ok() {
        while let Ok(read @ 1..) = stream.read(&mut scratch).await
            && swallowed < LINGER_BYTES_MAX
        {
            swallowed = swallowed.saturating_add(read);
        }
    }
}
