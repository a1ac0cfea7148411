//! Sends signed pushes of a file made by `presigned` at a steady rate, alone or in bursts, and
//! reports how long the answers took, from the moment at which each push was due.
//!
//! `paced FILE ADDRESS RATE BURST SECONDS`

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const CONNECTIONS: usize = 64;
/// Pushes that one connection has not sent yet.
const WAITING_MAX: usize = 4096;
const ANSWER_BYTES_MAX: usize = 4096;

/// A push and when it is due.
type Due = (Instant, Bytes);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, address, rate, burst, seconds] = arguments.as_slice() else {
        bail!("usage: paced FILE ADDRESS RATE BURST SECONDS");
    };
    let (address, rate): (SocketAddr, u32) = (address.parse()?, rate.parse()?);
    let (burst, seconds): (usize, u32) = (burst.parse()?, seconds.parse()?);
    let count = usize::try_from(rate.checked_mul(seconds).context("too many")?)?;
    let pushes = read(file, count)?;
    let (mut senders, mut connections) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        senders.push(sender);
        connections.push(tokio::spawn(converse(stream, receiver)));
    }
    let pause = Duration::from_secs(1)
        .checked_mul(u32::try_from(burst)?)
        .and_then(|pause| pause.checked_div(rate));
    let pause = pause.context("the rate is 0, or a burst is too large")?;
    let begun = Instant::now();
    let pacing = thread::spawn(move || pace(&pushes, &senders, burst, pause));
    let mut spans = Vec::new();
    for connection in connections {
        spans.extend(connection.await??);
    }
    pacing
        .join()
        .map_err(|_panic| anyhow::anyhow!("the pacing thread has panicked"))?;
    let micros = begun.elapsed().as_micros();
    spans.sort_unstable();
    ensure!(
        spans.len() == count,
        "{count} pushes were due, {} were answered",
        spans.len()
    );
    let at = |part: usize| {
        spans
            .get(count.saturating_mul(part) / 1000)
            .or(spans.last())
            .map_or(0, Duration::as_micros)
    };
    #[expect(clippy::print_stdout, reason = "what it is for")]
    {
        println!(
            "PACED requests={count} micros={micros} p50={} p99={} p999={}",
            at(500),
            at(990),
            at(999)
        );
    }
    Ok(())
}

fn read(file: &str, count: usize) -> anyhow::Result<Vec<Bytes>> {
    let mut rest = Bytes::from(std::fs::read(file).context("cannot read the pushes")?);
    let mut pushes = Vec::with_capacity(count);
    while pushes.len() < count {
        let line = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .context("there are fewer pushes than are to be sent")?;
        let length: usize = std::str::from_utf8(&rest.split_to(line))?.parse()?;
        drop(rest.split_to(1));
        ensure!(length <= rest.len(), "a push is cut");
        pushes.push(rest.split_to(length));
    }
    Ok(pushes)
}

/// Hands the pushes out when they are due. A thread of its own: the runtime's timers are good for
/// milliseconds only.
fn pace(pushes: &[Bytes], senders: &[mpsc::Sender<Due>], burst: usize, pause: Duration) {
    let mut due = Instant::now();
    let mut turns = senders.iter().cycle();
    for burst in pushes.chunks(burst) {
        #[expect(clippy::disallowed_methods, reason = "a thread of its own")]
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for (push, sender) in burst.iter().zip(&mut turns) {
            // A connection that has ended reports why itself.
            drop(sender.blocking_send((due, push.clone())));
        }
        due = due.checked_add(pause).unwrap_or(due);
    }
}

/// One push after the other on one connection; how long each answer took.
async fn converse(
    mut stream: TcpStream,
    mut pushes: mpsc::Receiver<Due>,
) -> anyhow::Result<Vec<Duration>> {
    let mut spans = Vec::new();
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    while let Some((due, push)) = pushes.recv().await {
        stream.write_all(&push).await?;
        let mut filled = 0_usize;
        while !is_whole(answer.get(..filled).unwrap_or_default()) {
            let read = stream
                .read(answer.get_mut(filled..).unwrap_or_default())
                .await?;
            ensure!(read > 0, "the connection ended within an answer");
            filled = filled.saturating_add(read);
        }
        ensure!(
            answer.starts_with(b"HTTP/1.1 201 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        spans.push(due.elapsed());
    }
    Ok(spans)
}

/// A head, and as many bytes behind it as it announces.
fn is_whole(answer: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(end)) = head.parse(answer) else {
        return false;
    };
    let length = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .unwrap_or(0);
    answer.len() >= end.saturating_add(length)
}
