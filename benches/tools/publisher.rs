//! What forwarding is measured against: it publishes to a stream of NATS JetStream, with as many
//! messages in flight, and does nothing else.
//!
//! `publisher SERVERS SUBJECT BYTES IN_FLIGHT SECONDS`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ContextBuilder};
use async_nats::{ConnectOptions, HeaderMap};

/// What one task has to know.
struct Publisher {
    context: jetstream::Context,
    subject: String,
    body: bytes::Bytes,
    next: AtomicU64,
    end: Instant,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, subject, bytes, in_flight, seconds] = arguments.as_slice() else {
        bail!("usage: publisher SERVERS SUBJECT BYTES IN_FLIGHT SECONDS");
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
        headers.insert("Nats-Msg-Id", format!("1269128356620446/T/S/{number:032X}"));
        headers.insert("Mns-Message-Id", format!("{number:032X}"));
        headers.insert("Mns-Topic-Name", "T");
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
