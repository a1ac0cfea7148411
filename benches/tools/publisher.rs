//! What forwarding is measured against: it publishes to a stream of NATS JetStream, with as many
//! messages in flight, and does nothing else. Its messages have the headers that forwarded ones
//! have, or three of them.
//!
//! `publisher SERVERS SUBJECT BYTES IN_FLIGHT SECONDS all|three`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ContextBuilder};
use async_nats::{ConnectOptions, HeaderMap};

/// The headers of a forwarded notification besides those with its id.
const HEADERS: [(&str, &str); 11] = [
    ("Nats-Expected-Stream", "MNS"),
    ("Mns-Topic-Owner", "1269128356620446"),
    ("Mns-Subscription-Name", "MySampleTopic-Sub"),
    ("Mns-Subscriber", "1269128356620446"),
    ("Mns-Message-Tag", ""),
    ("Mns-Message-MD5", "075C3D4AEB2D2F2D6A4C17C9D6DBBEBB"),
    ("Mns-Publish-Time", "1463476256857"),
    ("Mns-Request-Id", "573AE020B2B71CFC6801A6EF"),
    ("Mns-Received-At", "2016-05-17T09:10:56Z"),
    ("Mns-Endpoint", "localhost:8080"),
    ("Mns-Sequence", "100000"),
];

/// What one task has to know.
struct Publisher {
    context: jetstream::Context,
    subject: String,
    body: bytes::Bytes,
    has_all_headers: bool,
    next: AtomicU64,
    end: Instant,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, subject, bytes, in_flight, seconds, headers] = arguments.as_slice() else {
        bail!("usage: publisher SERVERS SUBJECT BYTES IN_FLIGHT SECONDS all|three");
    };
    let servers: Vec<&str> = servers.split(',').collect();
    let in_flight: usize = in_flight.parse()?;
    let client = ConnectOptions::new().connect(servers).await?;
    let context = ContextBuilder::new()
        .max_ack_inflight(in_flight.saturating_add(1))
        .build(client);
    let begun = Instant::now();
    let end = begun.checked_add(Duration::from_secs(seconds.parse()?));
    let publisher = Arc::new(Publisher {
        context,
        subject: subject.clone(),
        body: vec![b'x'; bytes.parse()?].into(),
        has_all_headers: headers == "all",
        next: AtomicU64::new(0),
        end: end.context("too many seconds")?,
    });
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(publish(publisher.clone())))
        .collect();
    let mut spans = Vec::new();
    for task in tasks {
        spans.extend(task.await??);
    }
    let micros = begun.elapsed().as_micros();
    spans.sort_unstable();
    let at = |part: usize| {
        let place = spans.len().saturating_mul(part) / 1000;
        spans.get(place).map_or(0, Duration::as_micros)
    };
    #[expect(clippy::print_stdout, reason = "what it is for")]
    {
        println!(
            "PUBLISHED requests={} micros={micros} p50={} p99={} p999={}",
            spans.len(),
            at(500),
            at(990),
            at(999)
        );
    }
    Ok(())
}

/// One message after the other, each once it is acknowledged; how long that took.
async fn publish(publisher: Arc<Publisher>) -> anyhow::Result<Vec<Duration>> {
    let mut spans = Vec::new();
    while Instant::now() < publisher.end {
        let number = publisher.next.fetch_add(1, Ordering::Relaxed);
        let mut headers = HeaderMap::new();
        let id = format!("1269128356620446/MySampleTopic-0/MySampleTopic-Sub/{number:032X}");
        headers.insert("Nats-Msg-Id", id);
        headers.insert("Mns-Message-Id", format!("{number:032X}"));
        headers.insert("Mns-Topic-Name", "MySampleTopic-0");
        if publisher.has_all_headers {
            HEADERS
                .iter()
                .for_each(|(name, value)| headers.insert(*name, *value));
        }
        let message = PublishMessage::build()
            .headers(headers)
            .payload(publisher.body.clone());
        let begun = Instant::now();
        let sent = publisher
            .context
            .send_publish(publisher.subject.clone(), message);
        sent.await?.await?;
        spans.push(begun.elapsed());
    }
    Ok(spans)
}
