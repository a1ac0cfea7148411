//! The destination itself: a notification becomes a message, and the answer to it a verdict.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use bytes::Bytes;

use crate::forward::content::{body, headers};
use crate::forward::identity::identity;
use crate::forward::nats::answer::{Meaning, meaning};
use crate::forward::nats::link::Link;
use crate::forward::nats::stream::{Streams, is_stored};
use crate::forward::{
    Body, Dedupe, Delivered, Failure, NatsOptions, Outgoing, Settings, Sink, SubjectTemplate,
};

/// A stream of NATS JetStream.
pub struct NatsSink {
    link: Link,
    streams: Streams,
    subject: SubjectTemplate,
    shards: u32,
    dedupe: Dedupe,
    body: Body,
    endpoint: String,
}

impl NatsSink {
    /// Starts to connect, in the background. `endpoint` is the replica's name in what is sent.
    #[must_use]
    pub fn start(settings: &Settings, options: &NatsOptions, endpoint: &str) -> Self {
        Self {
            streams: Streams::new(options),
            subject: options.subject.clone(),
            shards: options.shards,
            dedupe: options.dedupe,
            body: settings.body,
            endpoint: endpoint.to_owned(),
            link: Link::start(&settings.name, options.clone(), settings.in_flight),
        }
    }

    fn message(&self, outgoing: &Outgoing, id: &str, stream: &str) -> (HeaderMap, Bytes) {
        let mut map = HeaderMap::new();
        for (name, value) in headers(outgoing, self.body, id, &self.endpoint) {
            map.insert(HeaderName::from_static(name), value);
        }
        map.insert(NATS_MESSAGE_ID, id);
        // The server rejects the message if another stream has its subject.
        map.insert(NATS_EXPECTED_STREAM, stream);
        (map, body(outgoing, self.body))
    }
}

impl Sink for NatsSink {
    async fn send(&self, outgoing: &Outgoing) -> Result<Delivered, Failure> {
        // First, so that no message is built while there is no connection.
        let connection = self.link.connection()?;
        let id = identity(outgoing);
        let subject = self.subject.subject(outgoing, &id, self.shards);
        let stream = self.streams.name(&id);
        let message = self.message(outgoing, &id, &stream);
        let answer = connection.publish(&subject, message).await?;
        match meaning(answer, self.dedupe) {
            Meaning::Delivered(delivered) => Ok(delivered),
            // The subject may be taken by a proposal that a lost leader never stored. Only the
            // stream proves that it has the message.
            Meaning::SubjectTaken => is_stored(&connection, &stream, &subject).await,
            Meaning::NoResponders => Err(self.streams.absence(&connection, &id, &subject).await),
            Meaning::Failed(failure) => Err(failure),
        }
    }

    fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    fn why_not_connected(&self) -> Option<Failure> {
        self.link.connection().err()
    }

    fn duplicate_window(&self) -> Option<Duration> {
        self.link.duplicate_window()
    }

    async fn close(&self) {
        self.link.close().await;
    }
}
