//! Keeps a connection: makes one, waits until it is lost, and makes the next, to each server in
//! turn. Of those that answer, the one that leads the stream is preferred.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::forward::nats::connect::connect;
use crate::forward::nats::connection::{Connection, NotConnected};
use crate::forward::nats::duplicate_window::DuplicateWindow;
use crate::forward::nats::leader::other_leader;
use crate::forward::{Failure, NatsOptions, Reason};

/// The first wait after all servers have failed; the next ones double it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often a connection without a reported loss is examined.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a new connection may take to be exchanged for one to the server that leads the stream.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection, or why it is missing.
type State = Result<Arc<Connection>, NotConnected>;

/// Keeps a connection.
pub(super) struct Link {
    state: watch::Receiver<State>,
    window: watch::Receiver<Option<Duration>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The state of the task.
struct Keeper {
    /// Of the destination.
    name: String,
    options: NatsOptions,
    in_flight: usize,
    state: watch::Sender<State>,
    window: DuplicateWindow,
    /// The server that is tried next.
    next: usize,
}

impl Link {
    /// Starts to connect. `name` is that of the destination.
    pub(super) fn start(name: &str, options: NatsOptions, in_flight: usize) -> Self {
        let (sender, state) = watch::channel(Err(disconnected("not connected yet")));
        // Random, so that replicas that start together do not all connect to the first one.
        let next = rand::random_range(0..options.servers.len().max(1));
        let window = DuplicateWindow::new(&options);
        let answers = window.answers();
        let keeper = Keeper {
            name: name.to_owned(),
            options,
            in_flight,
            state: sender,
            window,
            next,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(keeper.keep(stop.clone()));
        Self {
            state,
            window: answers,
            stop,
            task: Mutex::new(Some(task)),
        }
    }

    /// The connection.
    ///
    /// # Errors
    /// Why it is missing.
    pub(super) fn connection(&self) -> Result<Arc<Connection>, Failure> {
        let state = self.state.borrow().clone();
        state.map_err(|NotConnected { reason, detail }| Failure::Down { reason, detail })
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.state.borrow().is_ok()
    }

    /// The duplicate window of the stream, once a server has said it.
    pub(super) fn duplicate_window(&self) -> Option<Duration> {
        *self.window.borrow()
    }

    /// Ends the task and the connection.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            // If it panicked, the runtime has reported it.
            let _ended = task.await;
        }
    }
}

impl Keeper {
    async fn keep(mut self, stop: CancellationToken) {
        let mut wait = FIRST_WAIT;
        while !stop.is_cancelled() {
            let step = async {
                match self.connect().await {
                    Ok(connection) => {
                        wait = FIRST_WAIT;
                        self.stay(connection).await;
                    }
                    Err(why) => {
                        self.publish(&why);
                        // Between half of it and all of it, so that replicas do not reconnect
                        // together.
                        sleep(wait.mul_f64(rand::random_range(0.5..=1.0))).await;
                        wait = wait.saturating_mul(2).min(WAIT_MAX);
                    }
                }
            };
            let _stopped = stop.run_until_cancelled(step).await;
        }
        let _before = self.state.send_replace(Err(disconnected("closed")));
    }

    /// Tries each server once.
    ///
    /// # Errors
    /// The failure of the last server, or the first one about credentials, which somebody has to
    /// correct.
    async fn connect(&mut self) -> Result<Connection, NotConnected> {
        let mut failed: Option<NotConnected> = None;
        let servers = self.options.servers.len();
        for _ in 0..servers {
            let place = self.next.checked_rem(servers).unwrap_or_default();
            // Also if this one connects: when it is lost, the next server is tried first.
            self.next = place.saturating_add(1);
            let Some(server) = self.options.servers.get(place) else {
                continue;
            };
            match self.connect_to(server).await {
                Ok(connection) => {
                    let (place, connection) = self.at_leader(place, connection).await;
                    let server = self.options.servers.get(place).unwrap_or(server);
                    info!(to = self.name, server, "Connected to NATS");
                    return Ok(connection);
                }
                Err(why) => {
                    if failed
                        .as_ref()
                        .is_none_or(|it| it.reason != Reason::Forbidden)
                    {
                        failed = Some(why);
                    }
                }
            }
        }
        Err(failed.unwrap_or_else(|| disconnected("there is no server to connect to")))
    }

    async fn connect_to(&self, server: &str) -> Result<Connection, NotConnected> {
        // Boxed, because the client's future is large and is part of two others here.
        Box::pin(connect(server, &self.options, &self.name, self.in_flight)).await
    }

    /// Exchanges a connection for one to the server that leads the stream, if that is among the
    /// configured ones and can be reached now.
    async fn at_leader(&self, place: usize, connection: Connection) -> (usize, Connection) {
        let search = self.search_leader(place, &connection);
        let found = timeout(SEARCH_TIMEOUT, search).await.ok().flatten();
        found.unwrap_or((place, connection))
    }

    async fn search_leader(
        &self,
        place: usize,
        connection: &Connection,
    ) -> Option<(usize, Connection)> {
        let NatsOptions {
            servers, stream, ..
        } = &self.options;
        // Among one there is nothing to choose, and shards that are streams of their own have
        // leaders of their own.
        if servers.len() < 2 || stream.contains('{') {
            return None;
        }
        let leader = other_leader(connection, stream).await?;
        for (other, server) in servers.iter().enumerate() {
            if other != place
                && let Ok(found) = self.connect_to(server).await
                && found.is_to(&leader)
            {
                return Some((other, found));
            }
        }
        None
    }

    /// Publishes a connection, and waits until it is lost.
    async fn stay(&self, connection: Connection) {
        let connection = Arc::new(connection);
        let _before = self.state.send_replace(Ok(connection.clone()));
        tokio::select! {
            () = until_lost(&connection) => {}
            never = self.window.learn(&connection) => match never {},
        }
        // What waits for an answer on it fails now, and is sent on the next connection.
        connection.give_up();
        let why = connection.farewell();
        self.publish(&why.unwrap_or_else(|| disconnected("the connection was lost")));
    }

    /// Publishes why there is no connection, and logs it if the reason is new.
    fn publish(&self, why: &NotConnected) {
        self.state.send_if_modified(|state| {
            let is_new = !matches!(state, Err(before) if before == why);
            if is_new {
                let (reason, detail) = (why.reason.key(), why.detail.as_str());
                warn!(to = self.name, reason, detail, "Not connected to NATS");
                *state = Err(why.clone());
            }
            is_new
        });
    }
}

/// Waits until a connection is lost or should be replaced.
async fn until_lost(connection: &Connection) {
    let mut looks = interval(LOOK_INTERVAL);
    // After a stall one look is enough; the missed ones are not made up for.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = connection.lost() => return,
            _now = looks.tick() => {
                if connection.is_spent() {
                    return;
                }
            }
        }
    }
}

fn disconnected(detail: &str) -> NotConnected {
    NotConnected {
        reason: Reason::Disconnected,
        detail: detail.to_owned(),
    }
}
