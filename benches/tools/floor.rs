//! The least that a 201 which is true needs: the digest, the signature under one key, and two files
//! synced one after the other for all pushes that wait. What `serve` does beside that, from bounds
//! to recovery, is left out.
//!
//! `floor ADDRESS CERTIFICATE [together]`, in the directory of the two files. `together` syncs both
//! at the same time: an access line may then be on disk without its record, which `serve` never
//! lets happen.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use mimalloc::MiMalloc;
use mns_endpoint::mns::{ContentMd5, SignedRequest};
use mns_endpoint::trust::SigningCertificate;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Pushes that may wait.
const QUEUE_MAX: usize = 8192;
/// As `serve` has it: a commit of fewer waits so long for more.
const GATHERED: usize = 16;
const GATHER_WINDOW: Duration = Duration::from_micros(800);
/// About what an access line of `serve` has. `scripts/bench` counts by it what was answered 201.
const LINE_BYTES: usize = 160;

/// Text that was signed, body, and who waits for both to be on disk.
type Push = (Vec<u8>, Bytes, oneshot::Sender<()>);

struct Floor {
    certificate: SigningCertificate,
    queue: SyncSender<Push>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: floor ADDRESS CERTIFICATE [together]");
    };
    let certificate = SigningCertificate::parse(
        &std::fs::read(certificate).context("cannot read the certificate")?,
    )?;
    let append = |name: &str| OpenOptions::new().create(true).append(true).open(name);
    let files = (append("floor.endpoint")?, append("floor.access")?);
    let (queue, pushes) = mpsc::sync_channel(QUEUE_MAX);
    let is_together = rest.first().is_some_and(|word| word == "together");
    thread::spawn(move || {
        if is_together {
            commit_together(files, &pushes)
        } else {
            commit_in_order(files, &pushes)
        }
    });
    let router = Router::new()
        .route("/notifications", post(answer))
        .with_state(Arc::new(Floor { certificate, queue }));
    Ok(axum::serve(TcpListener::bind(address).await?, router).await?)
}

async fn answer(State(floor): State<Arc<Floor>>, request: Request<Body>) -> StatusCode {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::BAD_REQUEST;
    };
    let request = Request::from_parts(head, body);
    let Ok(signed) = SignedRequest::of(&request) else {
        return StatusCode::FORBIDDEN;
    };
    let text = signed.string_to_sign();
    let is_true = floor.certificate.verifies(&text, signed.signature())
        && signed.content_md5() == Some(ContentMd5::of(request.body()));
    if !is_true {
        return StatusCode::FORBIDDEN;
    }
    let (synced, wait) = oneshot::channel();
    let is_queued = floor
        .queue
        .try_send((text, request.into_body(), synced))
        .is_ok();
    if is_queued && wait.await.is_ok() {
        StatusCode::CREATED
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// What is written with one sync of each file.
#[derive(Default)]
struct Batch {
    endpoint: Vec<u8>,
    access: Vec<u8>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    /// `None` once nobody can send any more.
    fn gathered(&mut self, pushes: &Receiver<Push>) -> Option<()> {
        self.add(pushes.recv().ok()?);
        let begun = Instant::now();
        loop {
            let is_small = self.waiting.len() < GATHERED;
            let patience = if is_small {
                GATHER_WINDOW.saturating_sub(begun.elapsed())
            } else {
                Duration::ZERO
            };
            match pushes
                .try_recv()
                .ok()
                .or_else(|| pushes.recv_timeout(patience).ok())
            {
                Some(push) => self.add(push),
                None => return Some(()),
            }
        }
    }

    /// The head and the body as they came, the message again for what is decoded of it, and a line.
    fn add(&mut self, (text, body, waiting): Push) {
        for part in [text.as_slice(), &body, &body] {
            self.endpoint.extend_from_slice(part);
        }
        let end = self.access.len().saturating_add(LINE_BYTES);
        self.access.resize(end, b'.');
        self.waiting.push(waiting);
    }

    fn answer(&mut self) {
        for waiting in self.waiting.drain(..) {
            // An error here is a peer that has left.
            let _told = waiting.send(());
        }
        self.endpoint.clear();
        self.access.clear();
    }
}

fn commit_in_order(
    (mut endpoint, mut access): (File, File),
    pushes: &Receiver<Push>,
) -> std::io::Result<()> {
    let mut batch = Batch::default();
    while batch.gathered(pushes).is_some() {
        endpoint.write_all(&batch.endpoint)?;
        sync(&endpoint)?;
        access.write_all(&batch.access)?;
        sync(&access)?;
        batch.answer();
    }
    Ok(())
}

fn commit_together(
    (mut endpoint, mut access): (File, File),
    pushes: &Receiver<Push>,
) -> std::io::Result<()> {
    let mut batch = Batch::default();
    let (ask, asked) = mpsc::sync_channel(1);
    let (tell, told) = mpsc::sync_channel(1);
    let second = access.try_clone()?;
    thread::spawn(move || asked.iter().try_for_each(|()| tell.send(sync(&second))));
    while batch.gathered(pushes).is_some() {
        endpoint.write_all(&batch.endpoint)?;
        access.write_all(&batch.access)?;
        if ask.send(()).is_err() {
            break;
        }
        sync(&endpoint)?;
        let Ok(synced) = told.recv() else { break };
        synced?;
        batch.answer();
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "it measures what that costs")]
fn sync(file: &File) -> std::io::Result<()> {
    file.sync_data()
}
