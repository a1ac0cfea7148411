//! What one could run instead of `serve`: it publishes each body to a stream of NATS and answers
//! 201 once nats-server has acknowledged it. It verifies nothing.
//!
//! `jetstream ADDRESS NATS_ADDRESS`. The client is the part of NATS's protocol that this needs.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Pushes that may wait.
const QUEUE_MAX: usize = 8192;
/// Acknowledgements come to this subject, a dot and a number.
const INBOX: &str = "_INBOX.bench";
const CREATE: &str = "$JS.API.STREAM.CREATE.pushes";
const STREAM: &str = r#"{"name":"pushes","subjects":["pushes"],"storage":"file"}"#;

type Push = (Bytes, oneshot::Sender<()>);
/// Those who wait for an acknowledgement, by its number.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, nats_address] = arguments.as_slice() else {
        bail!("usage: jetstream ADDRESS NATS_ADDRESS");
    };
    let stream = tokio::net::TcpStream::connect(nats_address).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let greeting = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {INBOX}.* 1\r\n\
         PUB {CREATE} {INBOX}.0 {}\r\n{STREAM}\r\n",
        STREAM.len()
    );
    writer.write_all(greeting.as_bytes()).await?;
    let (_number, created) = next_message(&mut reader).await?;
    let created = String::from_utf8_lossy(&created);
    ensure!(!created.contains("\"error\""), "no stream: {created}");
    let (queue, pushes) = mpsc::channel(QUEUE_MAX);
    let waiting = Waiting::default();
    tokio::spawn(publish(pushes, writer, waiting.clone()));
    tokio::spawn(acknowledge(reader, waiting));
    let router = Router::new()
        .route("/notifications", post(answer))
        .with_state(queue);
    Ok(axum::serve(TcpListener::bind(address).await?, router).await?)
}

async fn answer(State(queue): State<mpsc::Sender<Push>>, body: Bytes) -> StatusCode {
    let (acknowledged, wait) = oneshot::channel();
    if queue.try_send((body, acknowledged)).is_ok() && wait.await.is_ok() {
        StatusCode::CREATED
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Publishes all that wait with one write.
async fn publish(
    mut pushes: mpsc::Receiver<Push>,
    mut writer: OwnedWriteHalf,
    waiting: Waiting,
) -> anyhow::Result<()> {
    let (mut batch, mut number) = (Vec::new(), 0_u64);
    while pushes.recv_many(&mut batch, QUEUE_MAX).await > 0 {
        let mut wire = Vec::new();
        for (body, acknowledged) in batch.drain(..) {
            number = number.wrapping_add(1);
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.insert(number, acknowledged);
            write!(wire, "PUB pushes {INBOX}.{number} {}\r\n", body.len())?;
            wire.extend_from_slice(&body);
            wire.extend_from_slice(b"\r\n");
        }
        writer.write_all(&wire).await?;
    }
    Ok(())
}

async fn acknowledge(mut reader: BufReader<OwnedReadHalf>, waiting: Waiting) -> anyhow::Result<()> {
    loop {
        let (number, message) = next_message(&mut reader).await?;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let acknowledged = waiting.remove(&number);
        // What is dropped here without an answer gets 503.
        if let Some(acknowledged) = acknowledged.filter(|_| message.starts_with(b"{\"stream\"")) {
            // An error here is a peer that has left.
            let _gone = acknowledged.send(());
        }
    }
}

/// Returns the next message: the number in its subject, and its content. A PING is not answered:
/// nats-server closes a connection for that after minutes, and a round takes seconds.
async fn next_message(reader: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<(u64, Vec<u8>)> {
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(reader.read_line(&mut line).await? > 0, "nats-server left");
        ensure!(!line.starts_with("-ERR"), "nats-server: {line}");
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("MSG") {
            continue;
        }
        let (subject, length) = (words.next(), words.next_back());
        let number = subject.and_then(|subject| subject.rsplit_once('.'));
        let (_, number) = number.context("a subject without a number")?;
        let mut message = vec![0; length.context("no length")?.parse()?];
        reader.read_exact(&mut message).await?;
        return Ok((number.parse()?, message));
    }
}
