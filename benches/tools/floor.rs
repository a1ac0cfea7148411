//! The least that a true 201 needs: the digest, the signature under one key, and a commit for all
//! pushes that wait. It leaves out what `serve` does besides, from parsing to bounds and recovery.
//!
//! `floor ADDRESS CERTIFICATE commit-log|overlapped|two-syncs`, in the directory of its files. With
//! `commit-log` a commit writes both logs and one frame of a preallocated file, and syncs that file
//! alone. `overlapped` writes the next batch while that sync runs. With `two-syncs` a commit syncs
//! both logs, one after the other.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
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
use rustix::fs::Advice;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc as tasks, oneshot};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Pushes that may wait.
const QUEUE_MAX: usize = 8192;
/// With two syncs a commit of fewer pushes than this waits up to the window for more.
const GATHERED: usize = 16;
const GATHER_WINDOW: Duration = Duration::from_micros(800);
/// About the length of an access line of `serve`. `scripts/bench` counts the 201s by it.
const LINE_BYTES: usize = 160;
/// Two halves, as in `serve`.
const HALF_BYTES: u64 = 32 * 1024 * 1024;
/// Frames are padded to this.
const BLOCK_BYTES: usize = 4096;
/// After this many bytes the system is asked to write the logs to the disk, which makes the sync of
/// a checkpoint short.
const WRITE_BACK_BYTES: u64 = 1024 * 1024;

struct Push {
    signed_text: Vec<u8>,
    body: Bytes,
    committed: oneshot::Sender<()>,
    /// The thread that waits.
    worker: usize,
}

struct Worker {
    certificate: SigningCertificate,
    queue: SyncSender<Push>,
    number: usize,
}

/// Those who wait on one thread, answered with one system call for all of them.
type Answers = tasks::Sender<Vec<oneshot::Sender<()>>>;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, how] = arguments.as_slice() else {
        anyhow::bail!("usage: floor ADDRESS CERTIFICATE commit-log|overlapped|two-syncs");
    };
    let certificate = std::fs::read(certificate).context("cannot read the certificate")?;
    let (queue, pushes) = mpsc::sync_channel(QUEUE_MAX);
    let logs = Logs::open()?;
    // A server that listens is measured, so what takes time comes first.
    let mut commit_log = match how.as_str() {
        "two-syncs" => None,
        "commit-log" | "overlapped" => Some(CommitLog::create(logs.clone())?),
        other => anyhow::bail!("{other} is no way to commit"),
    };
    let answers = start_workers(address, &certificate, &queue)?;
    match &mut commit_log {
        None => run(&pushes, &answers, Some(GATHER_WINDOW), |batch| {
            logs.write(batch)?;
            logs.sync()
        })?,
        Some(commit_log) if how == "overlapped" => overlap(commit_log, &pushes, answers)?,
        Some(commit_log) => run(&pushes, &answers, None, |batch| {
            commit_log.write(batch)?;
            sync(&commit_log.file)
        })?,
    }
    Ok(())
}

/// Starts a thread for each processor.
fn start_workers(
    address: &str,
    certificate: &[u8],
    queue: &SyncSender<Push>,
) -> anyhow::Result<Vec<Answers>> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let mut answers = Vec::new();
    for number in 0..thread::available_parallelism()?.get() {
        let worker = Worker {
            certificate: SigningCertificate::parse(certificate)?,
            queue: queue.clone(),
            number,
        };
        let (sender, receiver) = tasks::channel(QUEUE_MAX);
        answers.push(sender);
        let listener = listener.try_clone()?;
        thread::spawn(move || serve(worker, listener, receiver));
    }
    Ok(answers)
}

/// Serves connections on this thread.
fn serve(
    worker: Worker,
    listener: std::net::TcpListener,
    mut answers: tasks::Receiver<Vec<oneshot::Sender<()>>>,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::spawn(async move {
            while let Some(answers) = answers.recv().await {
                for committed in answers {
                    // An error here is a peer that has left.
                    let _gone = committed.send(());
                }
            }
        });
        let router = Router::new()
            .route("/notifications", post(answer))
            .with_state(Arc::new(worker));
        axum::serve(TcpListener::from_std(listener)?, router).await
    })
}

async fn answer(State(worker): State<Arc<Worker>>, request: Request<Body>) -> StatusCode {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::BAD_REQUEST;
    };
    let request = Request::from_parts(head, body);
    let Ok(signed) = SignedRequest::of(&request) else {
        return StatusCode::FORBIDDEN;
    };
    let signed_text = signed.string_to_sign();
    let is_genuine = worker
        .certificate
        .verifies(&signed_text, signed.signature())
        && signed.content_md5() == Some(ContentMd5::of(request.body()));
    if !is_genuine {
        return StatusCode::FORBIDDEN;
    }
    let (committed, wait) = oneshot::channel();
    let push = Push {
        signed_text,
        body: request.into_body(),
        committed,
        worker: worker.number,
    };
    if worker.queue.try_send(push).is_ok() && wait.await.is_ok() {
        StatusCode::CREATED
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Commits batch after batch.
fn run(
    pushes: &Receiver<Push>,
    answers: &[Answers],
    window: Option<Duration>,
    mut commit: impl FnMut(&Batch) -> io::Result<()>,
) -> io::Result<()> {
    let mut batch = Batch::default();
    while batch.gather(pushes, window).is_some() {
        commit(&batch)?;
        batch.answer(answers);
    }
    Ok(())
}

/// Commits batch after batch, and writes one while another thread syncs those before it.
fn overlap(
    commit_log: &mut CommitLog,
    pushes: &Receiver<Push>,
    answers: Vec<Answers>,
) -> io::Result<()> {
    let (written, batches) = mpsc::sync_channel::<Batch>(1);
    let file = commit_log.file.try_clone()?;
    thread::spawn(move || {
        while let Ok(first) = batches.recv() {
            // All that were written before the sync begins are durable after it.
            let others: Vec<_> = batches.try_iter().collect();
            sync(&file)?;
            for mut batch in [first].into_iter().chain(others) {
                batch.answer(&answers);
            }
        }
        io::Result::Ok(())
    });
    let mut batch = Batch::default();
    while batch.gather(pushes, None).is_some() {
        commit_log.write(&batch)?;
        if written.send(std::mem::take(&mut batch)).is_err() {
            break;
        }
    }
    Ok(())
}

/// What one commit makes durable.
#[derive(Default)]
struct Batch {
    endpoint: Vec<u8>,
    access: Vec<u8>,
    waiting: Vec<(usize, oneshot::Sender<()>)>,
}

impl Batch {
    /// Returns `None` once nobody can send any more.
    fn gather(&mut self, pushes: &Receiver<Push>, window: Option<Duration>) -> Option<()> {
        self.add(pushes.recv().ok()?);
        let begun = Instant::now();
        loop {
            let patience = window
                .filter(|_| self.waiting.len() < GATHERED)
                .map(|window| window.saturating_sub(begun.elapsed()));
            let next = pushes.try_recv().ok();
            match next.or_else(|| pushes.recv_timeout(patience?).ok()) {
                Some(push) => self.add(push),
                None => return Some(()),
            }
        }
    }

    /// Adds about as many bytes as `serve` logs: the head and the body as they came, the message
    /// again for what is decoded of it, and a line.
    fn add(&mut self, push: Push) {
        for part in [push.signed_text.as_slice(), &push.body, &push.body] {
            self.endpoint.extend_from_slice(part);
        }
        let end = self.access.len().saturating_add(LINE_BYTES);
        self.access.resize(end, b'.');
        self.waiting.push((push.worker, push.committed));
    }

    fn answer(&mut self, answers: &[Answers]) {
        let (endpoint, access) = (&mut self.endpoint, &mut self.access);
        endpoint.clear();
        access.clear();
        for (number, worker) in answers.iter().enumerate() {
            let here = self.waiting.extract_if(.., |(other, _)| *other == number);
            let here: Vec<_> = here.map(|(_, committed)| committed).collect();
            if !here.is_empty() {
                // An error here is a thread that has ended.
                let _gone = worker.try_send(here);
            }
        }
    }
}

#[derive(Clone)]
struct Logs {
    endpoint: Arc<File>,
    access: Arc<File>,
}

impl Logs {
    fn open() -> io::Result<Self> {
        let append = |name: &str| OpenOptions::new().create(true).append(true).open(name);
        Ok(Self {
            endpoint: Arc::new(append("floor.endpoint")?),
            access: Arc::new(append("floor.access")?),
        })
    }

    fn write(&self, batch: &Batch) -> io::Result<()> {
        self.endpoint.as_ref().write_all(&batch.endpoint)?;
        self.access.as_ref().write_all(&batch.access)
    }

    fn sync(&self) -> io::Result<()> {
        sync(&self.endpoint)?;
        sync(&self.access)
    }

    /// Has the system begin to write them to the disk.
    fn write_back(&self) -> io::Result<()> {
        for file in [&self.endpoint, &self.access] {
            rustix::fs::fadvise(file.as_ref(), 0, None, Advice::DontNeed)?;
        }
        Ok(())
    }
}

/// A file that was written full once and is overwritten in place, so that its sync changes no
/// metadata of the file system.
struct CommitLog {
    logs: Logs,
    file: File,
    frame: Vec<u8>,
    place: u64,
    written_back: u64,
    jobs: SyncSender<Job>,
    checkpoints: Receiver<io::Result<()>>,
}

/// What a second thread does with the logs.
enum Job {
    WriteBack,
    Checkpoint,
}

impl CommitLog {
    fn create(logs: Logs) -> io::Result<Self> {
        let file = File::create("floor.commit")?;
        let zeros = vec![0; usize::try_from(HALF_BYTES).map_err(io::Error::other)?];
        (&file).write_all(&zeros)?;
        (&file).write_all(&zeros)?;
        sync(&file)?;
        let (jobs, waiting) = mpsc::sync_channel(4);
        let (done, checkpoints) = mpsc::sync_channel(1);
        // The second half has nothing that a checkpoint must cover before it is overwritten.
        drop(done.send(Ok(())));
        let beside = logs.clone();
        thread::spawn(move || {
            waiting.iter().try_for_each(|job| match job {
                Job::WriteBack => beside.write_back(),
                Job::Checkpoint => {
                    drop(done.send(beside.sync()));
                    Ok(())
                }
            })
        });
        Ok(Self {
            logs,
            file,
            frame: Vec::new(),
            place: 0,
            written_back: 0,
            jobs,
            checkpoints,
        })
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.logs.write(batch)?;
        self.fill_frame(batch);
        let len = u64::try_from(self.frame.len()).map_err(io::Error::other)?;
        let end = self.place.saturating_add(len);
        let boundary = if self.place < HALF_BYTES {
            HALF_BYTES
        } else {
            HALF_BYTES.saturating_mul(2)
        };
        if end > boundary {
            self.turn(boundary)?;
        }
        self.file.write_all_at(&self.frame, self.place)?;
        self.place = self.place.saturating_add(len);
        self.written_back = self.written_back.saturating_add(len);
        if self.written_back >= WRITE_BACK_BYTES {
            self.written_back = 0;
            // It is a help and no more.
            drop(self.jobs.try_send(Job::WriteBack));
        }
        Ok(())
    }

    /// Goes on in the other half, which a checkpoint must cover. This one gets its own now: all its
    /// batches are in the logs, and the one that is being committed too.
    fn turn(&mut self, boundary: u64) -> io::Result<()> {
        self.checkpoints.recv().map_err(io::Error::other)??;
        self.jobs.send(Job::Checkpoint).map_err(io::Error::other)?;
        self.place = if boundary == HALF_BYTES {
            HALF_BYTES
        } else {
            0
        };
        Ok(())
    }

    /// A checksum, both lengths, both batches, and zeros up to a whole block.
    fn fill_frame(&mut self, batch: &Batch) {
        let mut checksum = DefaultHasher::new();
        checksum.write(&batch.endpoint);
        checksum.write(&batch.access);
        self.frame.clear();
        self.frame
            .extend_from_slice(&checksum.finish().to_le_bytes());
        for part in [&batch.endpoint, &batch.access] {
            self.frame.extend_from_slice(&part.len().to_le_bytes());
        }
        self.frame.extend_from_slice(&batch.endpoint);
        self.frame.extend_from_slice(&batch.access);
        let whole = self.frame.len().next_multiple_of(BLOCK_BYTES);
        self.frame.resize(whole, 0);
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures what that costs")]
fn sync(file: &File) -> io::Result<()> {
    file.sync_data()
}
