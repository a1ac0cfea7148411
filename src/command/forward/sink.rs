//! Makes the sink of a destination, whatever its kind.

use std::sync::Arc;

use crate::clock::SystemClock;
use crate::forward::{
    Delivered, Destination, Failure, HttpSink, InvalidFile, NatsSink, Outgoing, Settings, Sink,
};

/// A destination of either kind.
pub(super) enum AnySink {
    Nats(Box<NatsSink>),
    Http(Box<HttpSink>),
}

/// Makes the sink of a destination, which connects in the background. `replica` is the name of this
/// endpoint in the messages that are sent.
///
/// # Errors
/// A file that the destination names cannot be used.
pub(super) fn start(settings: &Settings, replica: &str) -> Result<AnySink, InvalidFile> {
    Ok(match &settings.destination {
        Destination::Nats(options) => {
            AnySink::Nats(Box::new(NatsSink::start(settings, options, replica)))
        }
        Destination::Http(options) => {
            let clock = Arc::new(SystemClock);
            AnySink::Http(Box::new(HttpSink::new(settings, options, replica, clock)?))
        }
    })
}

/// The name of this endpoint in the messages that are sent: host and port.
pub(in crate::command) fn replica(port: u16) -> String {
    let host = rustix::system::uname();
    format!("{}:{port}", host.nodename().to_string_lossy())
}

impl Sink for AnySink {
    async fn send(&self, outgoing: &Outgoing) -> Result<Delivered, Failure> {
        match self {
            Self::Nats(sink) => sink.send(outgoing).await,
            Self::Http(sink) => sink.send(outgoing).await,
        }
    }

    fn is_connected(&self) -> bool {
        match self {
            Self::Nats(sink) => sink.is_connected(),
            Self::Http(sink) => sink.is_connected(),
        }
    }

    async fn close(&self) {
        match self {
            Self::Nats(sink) => sink.close().await,
            Self::Http(sink) => sink.close().await,
        }
    }
}
