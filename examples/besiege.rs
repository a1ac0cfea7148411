//! Besieges a `serve` of its own with slow peers, sends genuine pushes meanwhile, and prints what
//! came of both.
//!
//! `besiege --bin PATH --kind KIND [--connections 10040] [--slots 10000] [--sources 1] [--apart]
//! [--seconds 30] [--rate 20] [--at-least 99] [--within 1000]`
//!
//! Ends with 1 if less than `--at-least` percent of the pushes are answered 201, if their p99
//! passes `--within` ms, or if a health check fails. `tests/attack/slots` runs all of it.
//!
//! KIND is what each peer does, again and again: `bare`, `plausible`, `replayed` and `drip` leave a
//! body unfinished (no MNS headers; a right Date and certificate address; one genuine head on all;
//! one byte a second), `heads` a head, `large-heads` one of 31 KB, `idle` says nothing, `unread`
//! reads no answer, `kept` asks for the health on a kept connection. `--apart`: genuine pushes come
//! from an address of their own; without it all come from one. All traffic stays on 127.0.0.0/8.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "small figures of a bounded run"
)]
#![expect(clippy::print_stdout, reason = "what it is for")]

use std::io::BufRead as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::emulator::{Push, Signer, new_message_id, new_request_id};
use mns_endpoint::mns::{ContentFormat, ContentMd5, Notification};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// How long MNS waits for an answer.
const MNS_WAITS: Duration = Duration::from_secs(5);
/// The pause that the first attack was found with: less than `server.body_timeout`.
const PAUSE: Duration = Duration::from_millis(2700);
/// The pause of a peer whose connection could not be opened, or was closed at once.
const AGAIN: Duration = Duration::from_millis(100);
const SETTLE: Duration = Duration::from_secs(3);

/// What is asked for.
#[derive(Clone)]
struct Plan {
    bin: PathBuf,
    kind: String,
    connections: usize,
    slots: usize,
    sources: u8,
    is_apart: bool,
    seconds: u64,
    rate: u64,
    at_least: f64,
    within_ms: u64,
}

/// What the peers have done.
#[derive(Default)]
struct Spent {
    connects: AtomicU64,
    bytes: AtomicU64,
}

/// What came of genuine pushes or of health checks.
#[derive(Default)]
struct Outcome {
    answered: usize,
    failed: usize,
    spans_ms: Vec<u64>,
}

#[expect(clippy::too_many_lines, reason = "until it is split")]
#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let plan = Plan::of(std::env::args().skip(1))?;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?;
    let signer = Arc::new(tokio::task::spawn_blocking(|| Signer::generate(512)).await??);
    let certificates = serve_certificate(signer.certificate_pem().to_owned()).await?;
    let url = format!("http://{certificates}/cert.pem");
    let dir = tempfile::tempdir()?;
    let (server, address) = start(&plan, &format!("http://{certificates}/"), dir.path())?;
    let genuine = if plan.is_apart {
        Ipv4Addr::new(127, 0, 9, 9)
    } else {
        Ipv4Addr::LOCALHOST
    };
    ensure!(
        ask(genuine, address, &push(&signer, &url)?).await?.0 == 201,
        "the first push was refused"
    );
    let (spent, before) = (Arc::new(Spent::default()), resident(&server)?);
    let request: Arc<[u8]> = request(&plan.kind, &signer, &url)?.into();
    for number in 0..plan.connections {
        let source = Ipv4Addr::new(
            127,
            0,
            if plan.is_apart { 2 } else { 0 },
            source(number, plan.sources)?,
        );
        tokio::spawn(besiege(
            plan.kind.clone(),
            source,
            address,
            request.clone(),
            spent.clone(),
        ));
    }
    sleep(SETTLE).await;
    let (cpu, own, began) = (
        cpu_ticks(server.id())?,
        cpu_ticks(std::process::id())?,
        Instant::now(),
    );
    let (connects, bytes) = (
        spent.connects.load(Ordering::Relaxed),
        spent.bytes.load(Ordering::Relaxed),
    );
    let pushes = steadily(plan.rate, plan.seconds, || {
        let wire = push(&signer, &url);
        async move { Ok(ask(genuine, address, &wire?).await?.0 == 201) }
    });
    let health = steadily(4, plan.seconds, || async move {
        Ok(ask(
            genuine,
            address,
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await?
        .0 == 200)
    });
    let mut most = 0;
    let watch = async {
        loop {
            most = most.max(resident(&server).unwrap_or_default());
            sleep(Duration::from_millis(200)).await;
        }
    };
    let (pushes, health) = tokio::select! {
        both = async { tokio::join!(pushes, health) } => both,
        () = watch => bail!("unreachable"),
    };
    let took = began.elapsed().as_secs_f64();
    let per_second = |count: u64| count as f64 / took;
    let ticks = |after: u64, before: u64| (after.saturating_sub(before)) as f64 / took;
    println!(
        "{:<12} slots={} peers={} from {} address(es){} | pushes 201: {:.1}% of {} p50={}ms \
         p99={}ms | health 200: {:.1}% p99={}ms \
         | attacker: {:.0} connects/s {:.1} kB/s {:.0}% cpu | serve: {:.0}% cpu, {} MiB more than \
         before",
        plan.kind,
        plan.slots,
        plan.connections,
        plan.sources,
        if plan.is_apart {
            ", pushes from another"
        } else {
            ", pushes from the same"
        },
        pushes.percent(),
        pushes.answered + pushes.failed,
        pushes.at(500),
        pushes.at(990),
        health.percent(),
        health.at(990),
        per_second(
            spent
                .connects
                .load(Ordering::Relaxed)
                .saturating_sub(connects)
        ),
        per_second(spent.bytes.load(Ordering::Relaxed).saturating_sub(bytes)) / 1000.0,
        ticks(cpu_ticks(std::process::id())?, own),
        ticks(cpu_ticks(server.id())?, cpu),
        most.saturating_sub(before) / 1024,
    );
    let mut server = server;
    server.kill()?;
    server.wait()?;
    let holds = pushes.percent() >= plan.at_least && pushes.at(990) < plan.within_ms;
    ensure!(
        holds && (plan.at_least <= 0.0 || health.failed == 0),
        "genuine pushes or health checks were kept out"
    );
    Ok(())
}

impl Plan {
    fn of(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut plan = Self {
            bin: PathBuf::from("target/release/mns-endpoint"),
            kind: "bare".to_owned(),
            connections: 10_040,
            slots: 10_000,
            sources: 1,
            is_apart: false,
            seconds: 30,
            rate: 20,
            at_least: 0.0,
            within_ms: u64::MAX,
        };
        while let Some(flag) = arguments.next() {
            if flag == "--apart" {
                plan.is_apart = true;
                continue;
            }
            let value = arguments
                .next()
                .with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--bin" => plan.bin = PathBuf::from(value),
                "--kind" => plan.kind = value,
                "--connections" => plan.connections = value.parse()?,
                "--slots" => plan.slots = value.parse()?,
                "--sources" => plan.sources = value.parse()?,
                "--seconds" => plan.seconds = value.parse()?,
                "--rate" => plan.rate = value.parse()?,
                "--at-least" => plan.at_least = value.parse()?,
                "--within" => plan.within_ms = value.parse()?,
                _ => bail!("{flag}: see the first lines of examples/besiege.rs"),
            }
        }
        Ok(plan)
    }
}

impl Outcome {
    fn percent(&self) -> f64 {
        100.0 * self.answered as f64 / (self.answered + self.failed).max(1) as f64
    }

    /// The span that so many of 1000 do not pass. One that failed took as long as MNS waits.
    fn at(&self, part: usize) -> u64 {
        let mut spans = self.spans_ms.clone();
        spans.sort_unstable();
        spans
            .get(spans.len() * part / 1000)
            .or(spans.last())
            .copied()
            .unwrap_or_default()
    }
}

/// The last number of a peer's address.
fn source(number: usize, sources: u8) -> anyhow::Result<u8> {
    Ok(u8::try_from(number % usize::from(sources.max(1)))?.saturating_add(1))
}

/// Asks so often a second, whether answers come or not.
async fn steadily<F>(rate: u64, seconds: u64, mut ask: impl FnMut() -> F) -> Outcome
where
    F: Future<Output = anyhow::Result<bool>> + Send + 'static,
{
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / rate));
    let mut asked = Vec::new();
    for _ in 0..rate * seconds {
        ticks.tick().await;
        let answer = ask();
        asked.push(tokio::spawn(async move {
            let began = Instant::now();
            let is_right = matches!(timeout(MNS_WAITS, answer).await, Ok(Ok(true)));
            (is_right, if is_right { began.elapsed() } else { MNS_WAITS })
        }));
    }
    let mut outcome = Outcome::default();
    for one in asked {
        let Ok((is_right, span)) = one.await else {
            continue;
        };
        outcome.answered += usize::from(is_right);
        outcome.failed += usize::from(!is_right);
        outcome
            .spans_ms
            .push(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    }
    outcome
}

/// One peer, for ever.
#[expect(clippy::infinite_loop, reason = "it ends with the program")]
async fn besiege(
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
fn request(kind: &str, signer: &Signer, url: &str) -> anyhow::Result<Vec<u8>> {
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
        other => bail!("{other}: see the first lines of examples/besiege.rs"),
    })
}

/// A genuine push, signed now.
fn push(signer: &Signer, url: &str) -> anyhow::Result<Vec<u8>> {
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
async fn ask(from: Ipv4Addr, to: SocketAddr, wire: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = connect(from, to).await?;
    stream.write_all(wire).await?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    answer.truncate(read);
    let status = answer.get(9..12).context("no answer")?;
    Ok((std::str::from_utf8(status)?.parse()?, answer))
}

async fn serve_certificate(pem: String) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{pem}",
                pem.len()
            );
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    Ok(address)
}

fn start(plan: &Plan, trust: &str, dir: &std::path::Path) -> anyhow::Result<(Child, SocketAddr)> {
    let bin = std::fs::canonicalize(&plan.bin)
        .with_context(|| format!("there is no {}", plan.bin.display()))?;
    let mut child = Command::new(bin)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--log-dir",
            "logs",
            "--trust",
            trust,
            "--set",
        ])
        .arg(format!("server.max_connections={}", plan.slots))
        .args(["--set", "admin.listen=off", "--set", "logs.stdout=off"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(dir.join("stderr"))?)
        .spawn()?;
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.as_mut().context("no stdout")?).read_line(&mut line)?;
    let address = line
        .trim()
        .rsplit("//")
        .next()
        .context("no address")?
        .parse()?;
    Ok((child, address))
}

/// Resident memory, in KiB.
fn resident(server: &Child) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// CPU time of a process, in hundredths of a second.
fn cpu_ticks(id: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .context("no stat")?
        .split(' ')
        .collect();
    let field = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or_default()
    };
    Ok(field(11) + field(12))
}
