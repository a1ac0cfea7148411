//! The accept loop: one slot for each connection, one task for each slot, on the least busy thread.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::net::connection::ConnectionServer;
use crate::net::counters::{Counters, Ending};
use crate::net::frontend::Frontend;
use crate::net::limits::{ACCEPT_PAUSE, BACKLOG, SLOT_TIMEOUT};
use crate::net::proxies::canonical;
use crate::net::responder::Responder;
use crate::net::slots::{NoSlot, Slot, Slots};
use crate::net::turned_away::TurnedAway;
use crate::net::workers::{Place, Workers};

/// Accepts connections until `stop`, then waits for those that are open.
///
/// Every connection is a task of `tasks`. After `stop` each one ends once it has sent its current
/// answer; the caller bounds that wait. An error of accept never ends the loop. Returns before
/// `stop` only if a listener cannot accept connections any more.
pub async fn serve<S>(
    listeners: Vec<TcpListener>,
    service: S,
    frontend: Frontend,
    counters: Arc<Counters>,
    stop: CancellationToken,
) where
    S: Responder,
{
    let acceptor = Acceptor {
        workers: frontend
            .workers
            .clone()
            .unwrap_or_else(|| Arc::new(Workers::here())),
        slots: Slots::new(
            frontend.limits.connections_max,
            frontend.limits.head_bytes_max,
            counters.clone(),
        ),
        turned_away: TurnedAway::new(&frontend),
        server: Arc::new(ConnectionServer {
            service,
            frontend,
            counters,
        }),
        tasks: TaskTracker::new(),
        stop,
    };
    // One watch for all listeners. It is one of the tasks that are waited for below, and ends at
    // `stop`.
    if let Some(tls) = acceptor.server.frontend.tls.clone() {
        acceptor.tasks.spawn(tls.watch(acceptor.stop.clone()));
    }
    let loops: Vec<_> = listeners
        .into_iter()
        .map(|listener| acceptor.clone().start(listener))
        .collect();
    for ended in loops {
        // A receive error also means that the loop has ended.
        drop(ended.await);
        // A service that no longer accepts on one of its addresses should be restarted.
        if !acceptor.stop.is_cancelled() {
            return;
        }
    }
    // Only now, after the loops: one that still empties the kernel's queue adds tasks. `wait` never
    // returns on a tracker that is open.
    acceptor.tasks.close();
    acceptor.tasks.wait().await;
}

#[derive(Clone)]
struct Acceptor<S> {
    workers: Arc<Workers>,
    server: Arc<ConnectionServer<S>>,
    slots: Arc<Slots>,
    turned_away: TurnedAway,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<S> Acceptor<S>
where
    S: Responder,
{
    /// Accepts on its own thread. Among thousands of ready tasks the loop would run too rarely, and
    /// the kernel's queue would overflow: a genuine peer then waits a second before it retries.
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
                    // Nobody receives it if `serve` has returned because of another listener.
                    ended.send(()).ok();
                })
        });
        // `ended` was dropped with the closure, so `serve` sees that this listener has ended.
        if let Err(error) = begun {
            error!(%error, "Cannot start the thread that accepts connections");
        }
        end
    }

    async fn run(self, listener: StdListener) -> io::Result<()> {
        // Registered here, because this thread has its own runtime.
        let listener = TcpListener::from_std(listener)?;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer).await,
                // No pause: Linux passes a network error of the new connection on through
                // accept(2), and the listener is sound.
                Err(error) if is_peers_doing(&error) => {}
                Err(error) => {
                    warn!(%error, "Cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Takes connections that the kernel has accepted already, because closing the listener
        // would reset them. At most the length of its queue, so that a flood cannot prevent the
        // stop.
        for _ in 0..BACKLOG {
            tokio::select! {
                // Without this the other branch, which is always ready, could end the loop too
                // early.
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
        // Deregistered from the accept thread's runtime and registered below with that of its
        // worker, so that its events do not go through this thread.
        let stream = stream.into_std();
        let place = self.workers.place();
        let runtime = place.runtime().clone();
        let _served_there = runtime.enter();
        match (stream.and_then(TcpStream::from_std), slot) {
            (Ok(stream), Some(slot)) => self.open(stream, peer, slot, place),
            (Ok(stream), None) => self.turn_away(stream, peer, &place),
            (Err(error), _) => warn!(%error, "Cannot serve a connection"),
        }
    }

    /// Returns a free slot, or that of a connection that gives way. `None` if all are proved and
    /// busy, or if those that gave way do not end in time.
    async fn slot(&self, peer: SocketAddr) -> Option<Slot> {
        let now = Instant::now();
        let deadline = now.checked_add(SLOT_TIMEOUT).unwrap_or(now);
        loop {
            // A trusted proxy's address does not identify the peer: the proxy names it later.
            let peer = (!self.server.frontend.proxies.trusts(peer)).then_some(peer.ip());
            // A child token: an eviction cancels one connection, a stop cancels all.
            match self.slots.take(peer, self.stop.child_token()) {
                Ok(slot) => return Some(slot),
                Err(NoSlot::AllBusy) => return None,
                Err(NoSlot::Leaving) => timeout_at(deadline, self.slots.left()).await.ok()?,
            }
        }
    }

    fn open(&self, stream: TcpStream, peer: SocketAddr, slot: Slot, place: Place) {
        // Without `TCP_NODELAY` the last segment of a small answer waits for the acknowledgement of
        // the previous one.
        drop(stream.set_nodelay(true));
        self.server.counters.opened.fetch_add(1, Ordering::Relaxed);
        let runtime = place.runtime().clone();
        let ending = Ending::new(self.server.counters.clone(), place);
        self.tasks.spawn_on(
            self.server.clone().serve(stream, peer, slot, ending),
            &runtime,
        );
    }

    /// Answers a connection that gets no slot, without waiting for one.
    fn turn_away(&self, stream: TcpStream, peer: SocketAddr, place: &Place) {
        self.server
            .counters
            .turned_away
            .fetch_add(1, Ordering::Relaxed);
        if let Some(answered) = self
            .turned_away
            .answer(stream, peer, self.server.service.clone())
        {
            self.tasks.spawn_on(answered, place.runtime());
        }
    }
}

/// Whether the peer gave up the connection before it was accepted, which is not worth a log line.
fn is_peers_doing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
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
    use crate::net::{Limits, bind};

    #[tokio::test]
    async fn a_connection_that_is_served_late_is_answered_during_a_stop() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (counters, stop) = (Arc::<Counters>::default(), CancellationToken::new());
        let service = Router::new().fallback(async || "answered");
        let frontend = Frontend::plain(Limits::of_connections(8));
        let serving = tokio::spawn(serve(
            vec![listener],
            service,
            frontend,
            counters.clone(),
            stop.clone(),
        ));
        tokio::task::yield_now().await;
        let mut client = StdStream::connect(address).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        // The accept thread does this; the serving thread, which is this one, is blocked.
        while counters.opened.load(Ordering::Relaxed) == 0 {
            park_timeout(Duration::from_millis(1));
        }
        // Longer than the grace, which must not be counted from the accept.
        park_timeout(FIRST_REQUEST_GRACE + Duration::from_millis(100));
        stop.cancel();
        serving.await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("answered"), "{answer:?}");
    }
}
