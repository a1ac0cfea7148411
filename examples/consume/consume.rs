//! Works off a stream that an endpoint forwards to: see ../README.md.
//!
//! `consume SERVER STREAM DURABLE COUNT`

use std::collections::HashSet;
use std::io::Write as _;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), async_nats::Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, stream, durable, count] = arguments.as_slice() else {
        return Err("usage: consume SERVER STREAM DURABLE COUNT".into());
    };
    let count: usize = count.parse()?;
    let context = jetstream::new(async_nats::connect(server).await?);
    let config = pull::Config {
        durable_name: Some(durable.clone()),
        ..pull::Config::default()
    };
    let stream = context.get_stream(stream).await?;
    let consumer = stream.get_or_create_consumer(durable, config).await?;
    let mut messages = consumer.messages().await?;
    // A message may come again: where a crash must not forget what was done, write the id in one
    // transaction with the work.
    let mut done = HashSet::new();
    while done.len() < count {
        let Some(message) = messages.next().await else {
            break;
        };
        let message = message?;
        let id = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get("Nats-Msg-Id"));
        let id = id
            .map(ToString::to_string)
            .ok_or("a message without an id")?;
        if done.insert(id.clone()) {
            let text = String::from_utf8_lossy(&message.payload);
            writeln!(std::io::stdout(), "{id} {text}")?;
        }
        // Waits until the server has taken the acknowledgement: one that is lost brings the message
        // again.
        message.double_ack().await?;
    }
    Ok(())
}
