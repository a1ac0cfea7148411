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

mod figures;
mod peer;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use mns_endpoint::emulator::Signer;
use tokio::time::sleep;

use crate::figures::{Figures, Snapshot, steadily};
use crate::peer::{Spent, ask, besiege, push, request};
use crate::server::{resident, serve_certificate, start};

/// How long the peers have before anything is measured.
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

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let plan = Plan::of(std::env::args().skip(1))?;
    raise_file_limit()?;
    let signer = Arc::new(tokio::task::spawn_blocking(|| Signer::generate(512)).await??);
    let certificates = serve_certificate(signer.certificate_pem().to_owned()).await?;
    let url = format!("http://{certificates}/cert.pem");
    let dir = tempfile::tempdir()?;
    let (mut server, address) = start(
        &plan.bin,
        plan.slots,
        &format!("http://{certificates}/"),
        dir.path(),
    )?;
    let genuine = if plan.is_apart {
        Ipv4Addr::new(127, 0, 9, 9)
    } else {
        Ipv4Addr::LOCALHOST
    };
    ensure!(
        ask(genuine, address, &push(&signer, &url)?).await?.0 == 201,
        "the first push was refused"
    );
    let (spent, memory) = (Arc::new(Spent::default()), resident(&server)?);
    send_peers(&plan, address, request(&plan.kind, &signer, &url)?, &spent)?;
    sleep(SETTLE).await;
    let before = Snapshot::take(&server, &spent)?;
    let pushes = steadily(plan.rate, plan.seconds, || {
        let wire = push(&signer, &url);
        async move { Ok(ask(genuine, address, &wire?).await?.0 == 201) }
    });
    let health = steadily(4, plan.seconds, || async move {
        let check = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        Ok(ask(genuine, address, check).await?.0 == 200)
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
    let after = Snapshot::take(&server, &spent)?;
    println!(
        "{} | {} | {}, {} MiB more than before",
        plan.describe(),
        describe(&pushes, &health),
        after.since(&before),
        most.saturating_sub(memory) / 1024,
    );
    server.kill()?;
    server.wait()?;
    let holds = pushes.percent() >= plan.at_least && pushes.at(990) < plan.within_ms;
    ensure!(
        holds && (plan.at_least <= 0.0 || health.failed == 0),
        "genuine pushes or health checks were kept out"
    );
    Ok(())
}

/// Each peer takes a file, here and in `serve`.
fn raise_file_limit() -> anyhow::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        raised,
    )?)
}

fn send_peers(
    plan: &Plan,
    address: SocketAddr,
    request: Vec<u8>,
    spent: &Arc<Spent>,
) -> anyhow::Result<()> {
    let request: Arc<[u8]> = request.into();
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
    Ok(())
}

fn describe(pushes: &Figures, health: &Figures) -> String {
    format!(
        "pushes 201: {:.1}% of {} p50={}ms p99={}ms | health 200: {:.1}% p99={}ms",
        pushes.percent(),
        pushes.answered + pushes.failed,
        pushes.at(500),
        pushes.at(990),
        health.percent(),
        health.at(990),
    )
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
                _ => bail!("{flag}: see the first lines of benches/tools/besiege/main.rs"),
            }
        }
        Ok(plan)
    }

    fn describe(&self) -> String {
        format!(
            "{:<12} slots={} peers={} from {} address(es){}",
            self.kind,
            self.slots,
            self.connections,
            self.sources,
            if self.is_apart {
                ", pushes from another"
            } else {
                ", pushes from the same"
            },
        )
    }
}

/// The last number of a peer's address.
fn source(number: usize, sources: u8) -> anyhow::Result<u8> {
    Ok(u8::try_from(number % usize::from(sources.max(1)))?.saturating_add(1))
}
