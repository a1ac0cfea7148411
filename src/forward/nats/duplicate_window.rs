//! How long the stream drops repeats: its duplicate window.
//!
//! `forward status` compares it with the age of what waits, and does not connect. So a forwarder
//! that does connect asks for it.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::forward::nats::connection::Connection;
use crate::forward::nats::info::stream_info;
use crate::forward::nats::stream::Streams;
use crate::forward::{Dedupe, Failure, NatsOptions};

/// How often it is asked for, because somebody may change it.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// When it is asked for again after a question without an answer. Usually the stream is made by
/// the first message.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The duplicate window of a stream, or the shortest one of the streams of a destination.
pub(super) struct DuplicateWindow {
    /// The streams. None: they do not drop repeats by a window.
    streams: Vec<String>,
    /// The answer. Outlives the connection: the window matters most during an outage.
    known: watch::Sender<Option<Duration>>,
}

impl DuplicateWindow {
    pub(super) fn new(options: &NatsOptions) -> Self {
        let all = || Streams::new(options).all().map(|(name, _)| name).collect();
        Self {
            streams: match options.dedupe {
                Dedupe::Window => all(),
                Dedupe::Subject => Vec::new(),
            },
            known: watch::Sender::default(),
        }
    }

    /// The answers from now on.
    pub(super) fn answers(&self) -> watch::Receiver<Option<Duration>> {
        self.known.subscribe()
    }

    /// Asks on a connection until the future is dropped.
    pub(super) async fn learn(&self, connection: &Connection) -> Infallible {
        while !self.streams.is_empty() {
            let wait = match self.shortest(connection).await {
                Ok(Some(window)) => {
                    let _before = self.known.send_replace(Some(window));
                    ASK_EVERY
                }
                Ok(None) => ASK_AGAIN,
                // Without the permission to ask, each further question would only be a line in the
                // log of the server.
                Err(_refused) => break,
            };
            sleep(wait).await;
        }
        pending().await
    }

    /// A repeat is dropped for at least the shortest window of all streams.
    async fn shortest(&self, connection: &Connection) -> Result<Option<Duration>, Failure> {
        let mut shortest: Option<Duration> = None;
        for stream in &self.streams {
            let Some(info) = stream_info(connection, stream).await? else {
                return Ok(None);
            };
            let window = info.config.duplicate_window;
            shortest = Some(shortest.map_or(window, |least| least.min(window)));
        }
        Ok(shortest)
    }
}
