//! The accept loop: one slot for each connection, one task for each slot.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use axum::body::{Body, HttpBody as _};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::net::activity::{Activity, Phase};
use crate::net::counters::{Counters, Ending};
use crate::net::limits::{
    ACCEPT_PAUSE, BACKLOG, HEAD_BYTES_MAX, HEADERS_MAX, PIPELINED_PAUSE, READ_BUFFER_BYTES_MAX,
    SLOT_TIMEOUT,
};
use crate::net::proxies::canonical;
use crate::net::slots::{NoSlot, Slot, Slots};
use crate::net::stream::TimedStream;
use crate::net::turned_away::TurnedAway;
use crate::net::{Limits, Responder, Tls, TrustedProxies};

/// How a request came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Who sent it: the other end of the connection, or who asked there where that is a trusted
    /// proxy.
    pub peer: SocketAddr,
    /// When the first byte of the request came.
    pub first_byte: Instant,
    /// The connection that it came on.
    pub connection: Connection,
}

/// What the service reports about the current request, so that the connection of a genuine push
/// does not give way to others.
#[derive(Debug, Clone)]
pub struct Connection {
    activity: Arc<Activity>,
}

impl Connection {
    /// One for a request that has no slot: of a connection that is turned away, or of a
    /// benchmark.
    #[must_use]
    pub fn detached() -> Self {
        let slots = Slots::new(1, 0, Arc::default());
        Self {
            activity: Arc::new(Activity::new(0, slots, CancellationToken::new())),
        }
    }

    /// The body has come, and it is not known yet whether MNS sent the request.
    pub fn note_whole(&self) {
        self.activity.note_whole();
    }

    /// MNS signed the head of the request; its body is still to come.
    pub fn note_proved_head(&self) {
        self.activity.note_proved_head();
    }

    /// The request is a push that is meant for us, and waits for the disk.
    pub fn note_admitted(&self) {
        self.activity.note_admitted();
    }

    /// The request is a push of `peer` that is on disk, and was not there before. Takes no lock but
    /// for the first one, and once a minute.
    pub fn note_accepted(&self, peer: IpAddr) {
        self.activity.note_accepted(peer);
    }

    /// Whether a request on this connection was such a push.
    #[must_use]
    pub fn has_accepted(&self) -> bool {
        self.activity.has_accepted()
    }
}

/// What stands before the service.
#[derive(Clone)]
pub struct Front {
    /// The bounds on connections.
    pub limits: Limits,
    /// Speaks TLS on every connection, where there is one.
    pub tls: Option<Arc<Tls>>,
    /// Whose word on where a request comes from is taken.
    pub proxies: TrustedProxies,
    /// A GET or HEAD of this path is answered although every slot is taken.
    pub health_path: Option<String>,
}

impl Front {
    /// HTTP without TLS.
    #[must_use]
    pub fn plain(limits: Limits) -> Self {
        Self {
            limits,
            tls: None,
            proxies: TrustedProxies::default(),
            health_path: None,
        }
    }
}

/// Binds an address. `[::]` is dual stack, and `0.0.0.0` on a machine without IPv6.
///
/// # Errors
/// The address is in use or not ours.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match bind_exactly(address) {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED && !has_ipv6() => bind_exactly(
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
        ),
        bound => bound,
    }
}

/// Whether this machine has sockets of IPv6: a kernel may be built or started without them.
#[must_use]
pub fn has_ipv6() -> bool {
    Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).is_ok()
}

fn bind_exactly(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until `stop`, then waits for those that are open.
///
/// Every connection is a task of `tasks`; after `stop` each one ends with the answer that it is
/// making. The caller bounds the wait. An error of accept never ends the loop. Returns before
/// `stop` only if connections cannot be accepted any more.
pub async fn serve<S>(
    listeners: Vec<TcpListener>,
    service: S,
    front: Front,
    counters: Arc<Counters>,
    stop: CancellationToken,
) where
    S: Responder,
{
    let acceptor = Acceptor {
        runtime: Handle::current(),
        service,
        slots: Slots::new(
            front.limits.connections_max,
            front.limits.head_bytes_max,
            counters.clone(),
        ),
        turned_away: TurnedAway::new(&front),
        front,
        counters,
        tasks: TaskTracker::new(),
        stop,
    };
    if let Some(tls) = acceptor.front.tls.clone() {
        acceptor.tasks.spawn(tls.watch(acceptor.stop.clone()));
    }
    let loops: Vec<_> = listeners
        .into_iter()
        .map(|listener| acceptor.clone().start(listener))
        .collect();
    for ended in loops {
        // An error is a loop that has ended, too.
        drop(ended.await);
        // Deaf on an address, it is better started again.
        if !acceptor.stop.is_cancelled() {
            return;
        }
    }
    acceptor.tasks.close();
    acceptor.tasks.wait().await;
}

#[derive(Clone)]
struct Acceptor<S> {
    /// Where the connections are served.
    runtime: Handle,
    service: S,
    front: Front,
    slots: Arc<Slots>,
    turned_away: TurnedAway,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<S> Acceptor<S>
where
    S: Responder,
{
    /// Accepts on a thread of its own. Among thousands of tasks that are ready the loop would have
    /// its turn too seldom, and the kernel's queue would overflow: then a genuine peer waits a
    /// second until it asks again.
    fn start(self, listener: TcpListener) -> oneshot::Receiver<()> {
        let (ended, end) = oneshot::channel();
        let begun = listener.into_std().and_then(|listener| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            thread::Builder::new()
                .name("accept".to_owned())
                .spawn(move || {
                    if let Err(error) = runtime.block_on(self.run(listener)) {
                        error!(%error, "Cannot accept connections on a listener");
                    }
                    ended.send(()).ok();
                })
        });
        if let Err(error) = begun {
            error!(%error, "Cannot start the thread that accepts connections");
        }
        end
    }

    async fn run(self, listener: StdListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer).await,
                Err(error) if is_peers_doing(&error) => {}
                Err(error) => {
                    warn!(%error, "Cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Those that the kernel has accepted already: closing the listener would reset them.
        for _ in 0..BACKLOG {
            tokio::select! {
                biased;
                Ok((stream, peer)) = listener.accept() => self.admit(stream, peer).await,
                () = std::future::ready(()) => break,
            }
        }
        Ok(())
    }

    async fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let peer = canonical(peer);
        let slot = self.slot(peer).await;
        let stream = stream.into_std();
        let _served_there = self.runtime.enter();
        match (stream.and_then(TcpStream::from_std), slot) {
            (Ok(stream), Some(slot)) => self.open(stream, peer, slot),
            (Ok(stream), None) => self.turn_away(stream, peer),
            (Err(error), _) => warn!(%error, "Cannot serve a connection"),
        }
    }

    /// A free slot, or that of a connection that gives way; `None` if all are proved and busy.
    async fn slot(&self, peer: SocketAddr) -> Option<Slot> {
        let now = Instant::now();
        let deadline = now.checked_add(SLOT_TIMEOUT).unwrap_or(now);
        loop {
            let peer = (!self.front.proxies.trusts(peer)).then_some(peer.ip());
            match self.slots.take(peer, self.stop.child_token()) {
                Ok(slot) => return Some(slot),
                Err(NoSlot::AllBusy) => return None,
                Err(NoSlot::Leaving) => timeout_at(deadline, self.slots.left()).await.ok()?,
            }
        }
    }

    fn open(&self, stream: TcpStream, peer: SocketAddr, slot: Slot) {
        // Without it the last segment of a small answer waits for an acknowledgement.
        drop(stream.set_nodelay(true));
        self.counters.opened.fetch_add(1, Ordering::Relaxed);
        let ending = Ending(self.counters.clone());
        self.tasks.spawn_on(
            self.clone().connection(stream, peer, slot, ending),
            &self.runtime,
        );
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, slot: Slot, _ending: Ending) {
        let activity = slot.activity.clone();
        activity.begin_serving();
        let (stream, peer) = if self.front.proxies.trusts(peer) {
            match self.open_behind_proxy(stream, peer, &activity).await {
                Some(opened) => opened,
                None => return,
            }
        } else {
            (stream, peer)
        };
        let Some(tls) = &self.front.tls else {
            return self.serve_http(stream, peer, activity).await;
        };
        // Until the handshake is done nothing counts as progress.
        let secured = tokio::select! {
            secured = tls.accept(stream) => secured,
            () = activity.end_of_silence() => return,
        };
        match secured {
            Ok(stream) => self.serve_http(stream, peer, activity).await,
            Err(error) => {
                self.counters
                    .failed_handshakes
                    .fetch_add(1, Ordering::Relaxed);
                debug!(%peer, %error, "A TLS handshake failed");
            }
        }
    }

    /// Waits for a trusted proxy to speak, and for its PROXY header where it sends one. `None`
    /// where it has to end.
    async fn open_behind_proxy(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        activity: &Activity,
    ) -> Option<(TcpStream, SocketAddr)> {
        let opened = tokio::select! {
            opened = timeout(self.front.limits.idle_timeout, self.front.proxies.open(&mut stream, peer)) => opened.ok()?,
            () = activity.end_of_silence() => return None,
        };
        match opened {
            Ok(client) => {
                self.slots.note_peer(activity.number, client.ip());
                Some((stream, client))
            }
            Err(error) => {
                self.counters.broken_heads.fetch_add(1, Ordering::Relaxed);
                debug!(%peer, %error, "A PROXY header is broken");
                None
            }
        }
    }

    async fn serve_http<T>(&self, stream: T, peer: SocketAddr, activity: Arc<Activity>)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = TimedStream::new(stream, activity.clone(), &self.front.limits);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let is_pipelined = activity.phase() != Phase::Head;
            let arrival = self.arrival(peer, &activity, &request);
            let (service, activity) = (self.service.clone(), activity.clone());
            async move {
                // A stranger can send thousands of requests at once and read no answer: they cost
                // us more than it.
                if is_pipelined && !activity.has_accepted() {
                    sleep(PIPELINED_PAUSE).await;
                }
                let answer = service.respond(arrival, request.map(Body::new)).await;
                activity.end_request();
                Ok::<_, Infallible>(answer)
            }
        });
        // Never pipeline_flush: it holds an answer back, even the last one, while bytes stand
        // behind its request.
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
                // One that gives way ends at once, but for an answer that is true by the time it is
                // made. At a stop it may finish.
                if activity.gives_way() && !matches!(activity.phase(), Phase::Idle | Phase::Commit) {
                    return;
                }
                // The library would close one that has not spoken yet: its stream ends it instead,
                // in a moment.
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

    /// A head is complete.
    fn arrival(
        &self,
        peer: SocketAddr,
        activity: &Arc<Activity>,
        request: &hyper::Request<Incoming>,
    ) -> Arrival {
        let client = self.front.proxies.client(peer, request.headers());
        if client != peer && !activity.has_accepted() {
            self.slots.note_peer(activity.number, client.ip());
        }
        let first_byte = activity.begin_request(request.body().size_hint().exact());
        Arrival {
            peer: client,
            first_byte,
            connection: Connection {
                activity: activity.clone(),
            },
        }
    }

    fn note_broken(&self, peer: SocketAddr, error: &hyper::Error) {
        if error.is_parse() || error.is_incomplete_message() || is_timeout(error) {
            self.counters.broken_heads.fetch_add(1, Ordering::Relaxed);
        }
        debug!(%peer, %error, "A connection ended early");
    }

    /// Tells a connection that there is no room for it, without letting it wait for a slot.
    fn turn_away(&self, stream: TcpStream, peer: SocketAddr) {
        self.counters.turned_away.fetch_add(1, Ordering::Relaxed);
        if let Some(answered) = self.turned_away.answer(stream, peer, self.service.clone()) {
            self.tasks.spawn_on(answered, &self.runtime);
        }
    }
}

fn is_peers_doing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

fn is_timeout(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as StdStream;
    use std::thread::park_timeout;
    use std::time::Duration;

    use axum::Router;

    use super::*;
    use crate::net::limits::FIRST_REQUEST_GRACE;

    #[tokio::test]
    async fn a_connection_that_is_served_late_is_answered_although_a_stop_is_under_way() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (counters, stop) = (Arc::<Counters>::default(), CancellationToken::new());
        let service = Router::new().fallback(async || "answered");
        let front = Front::plain(Limits::of_connections(8));
        let serving = tokio::spawn(serve(
            vec![listener],
            service,
            front,
            counters.clone(),
            stop.clone(),
        ));
        tokio::task::yield_now().await;
        let mut client = StdStream::connect(address).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        // The thread that accepts does so; the one that serves, this one, has no time.
        while counters.opened.load(Ordering::Relaxed) == 0 {
            park_timeout(Duration::from_millis(1));
        }
        park_timeout(FIRST_REQUEST_GRACE + Duration::from_millis(100));
        stop.cancel();
        serving.await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("answered"), "{answer:?}");
    }
}
