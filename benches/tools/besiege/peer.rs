//! The slow peers, and the genuine pushes beside them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::emulator::{Push, Signer, new_message_id, new_request_id};
use mns_endpoint::mns::{ContentFormat, ContentMd5, Notification};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// The pause that the first attack was found with: less than `server.body_timeout`.
const PAUSE: Duration = Duration::from_millis(2700);
/// The pause of a peer whose connection could not be opened, or was closed at once.
const AGAIN: Duration = Duration::from_millis(100);

/// What the peers have done.
#[derive(Default)]
pub(crate) struct Spent {
    pub(crate) connects: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// One peer, for ever.
#[expect(clippy::infinite_loop, reason = "it ends with the program")]
pub(crate) async fn besiege(
    kind: String,
    from: Ipv4Addr,
    to: SocketAddr,
    request: Arc<[u8]>,
    spent: Arc<Spent>,
) {
    loop {
        let began = Instant::now();
        if let Ok(stream) = connect(from, to).await {
            spent.connects.fetch_add(1, Ordering::Relaxed);
            // However it ends, the peer comes again.
            drop(converse(&kind, stream, &request, &spent).await);
        }
        if began.elapsed() < AGAIN {
            sleep(AGAIN).await;
        }
    }
}

async fn converse(
    kind: &str,
    mut stream: TcpStream,
    request: &[u8],
    spent: &Spent,
) -> anyhow::Result<()> {
    let mut scratch = [0; 4096];
    loop {
        send(&mut stream, request, spent).await?;
        match kind {
            "bare" | "plausible" | "replayed" => {
                // Closed before that, it need not wait.
                if let Ok(read) = timeout(PAUSE, stream.read(&mut scratch)).await {
                    ensure!(read? > 0, "closed");
                    continue;
                }
                send(&mut stream, b"x", spent).await?;
                if kind != "replayed" {
                    ensure!(stream.read(&mut scratch).await? > 0, "closed");
                }
            }
            "drip" | "heads" | "large-heads" => loop {
                if let Ok(read) = timeout(Duration::from_secs(1), stream.read(&mut scratch)).await {
                    ensure!(read? > 0, "closed");
                    break;
                }
                send(&mut stream, b"x", spent).await?;
            },
            "unread" => {
                // Until the endpoint takes no more.
                while timeout(PAUSE, send(&mut stream, request, spent))
                    .await
                    .is_ok_and(|sent| sent.is_ok())
                {}
                stream.write_all(b"x").await?;
            }
            "kept" => {
                ensure!(stream.read(&mut scratch).await? > 0, "closed");
                sleep(Duration::from_millis(500)).await;
            }
            _ => ensure!(stream.read(&mut scratch).await? > 0, "closed"),
        }
    }
}

async fn send(stream: &mut TcpStream, bytes: &[u8], spent: &Spent) -> anyhow::Result<()> {
    stream.write_all(bytes).await?;
    spent.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}

/// What a peer sends first.
pub(crate) fn request(kind: &str, signer: &Signer, url: &str) -> anyhow::Result<Vec<u8>> {
    const LINE: &str = "POST /notifications HTTP/1.1\r\nHost: x\r\n";
    let genuine = push(signer, url)?;
    let head = genuine
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .context("no head")?
        .saturating_add(4);
    let head = genuine.get(..head).unwrap_or_default().to_vec();
    Ok(match kind {
        "bare" => format!("{LINE}Content-Length: 2\r\n\r\nx").into_bytes(),
        "drip" => format!("{LINE}Content-Length: 900\r\n\r\nx").into_bytes(),
        "plausible" => {
            let head = String::from_utf8(head)?;
            let lines = head
                .lines()
                .filter(|line| !line.to_lowercase().starts_with("content-length"));
            let forged = lines.map(|line| match line.split_once(": ") {
                Some(("Authorization", _)) => format!("Authorization: {}", "A".repeat(86) + "=="),
                _ => line.to_owned(),
            });
            let head = forged
                .take_while(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join("\r\n");
            format!("{head}\r\nContent-Length: 2\r\n\r\nx").into_bytes()
        }
        "replayed" => [head, b"<".to_vec()].concat(),
        "heads" => format!("{LINE}X-Long: x").into_bytes(),
        "large-heads" => format!("{LINE}X-Long: {}", "x".repeat(31_000)).into_bytes(),
        "idle" => Vec::new(),
        "unread" | "kept" => b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        other => bail!("{other}: see the first lines of benches/tools/besiege/main.rs"),
    })
}

/// A genuine push, signed now.
pub(crate) fn push(signer: &Signer, url: &str) -> anyhow::Result<Vec<u8>> {
    let (now, id) = (SystemClock.now(), new_message_id());
    let bytes = |text: &str| text.as_bytes().to_vec().into();
    let notification = Notification {
        format: ContentFormat::Xml,
        message_md5: bytes(&ContentMd5::of(b"besieged").upper_hex()),
        topic_owner: bytes("1269128356620446"),
        publish_time: bytes("1463476256857"),
        subscriber: bytes("1269128356620446"),
        message_tag: bytes(""),
        subscription_name: bytes("MySampleTopic-Sub"),
        message_id: bytes(&id),
        message: bytes("besieged"),
        topic_name: bytes("MySampleTopic"),
    };
    let push = Push {
        notification: &notification,
        target: "/notifications",
        host: "127.0.0.1",
        certificate_url: url,
        date: now,
        request_id: &new_request_id(now),
        notation: Push::usual_notation(ContentFormat::Xml),
    };
    Ok(push.signed(signer)?.to_wire())
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if from != Ipv4Addr::LOCALHOST {
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    }
    Ok(socket.connect(to).await?)
}

/// One request on a connection of its own: its status, and what came.
pub(crate) async fn ask(
    from: Ipv4Addr,
    to: SocketAddr,
    wire: &[u8],
) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = connect(from, to).await?;
    stream.write_all(wire).await?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    answer.truncate(read);
    let status = answer.get(9..12).context("no answer")?;
    Ok((std::str::from_utf8(status)?.parse()?, answer))
}
