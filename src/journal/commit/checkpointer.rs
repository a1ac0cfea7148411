//! The checkpoint thread beside the writer: it syncs the logs and creates a commit log, so that no
//! push waits for either.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::Blank;
use crate::journal::logs::{LogsSynced, PendingSync, WriteBack};

/// The length of the queue of jobs. It is greater than the number of syncs and creations that can
/// be pending at once. A write-back is skipped if the queue is full.
const JOBS_MAX: usize = 8;
/// A job for the thread.
enum Job {
    Sync(PendingSync),
    WriteBack(WriteBack),
    Make(Blank),
}

/// A finished job.
pub(super) enum Done {
    Synced(Duration, io::Result<LogsSynced>),
    Made(io::Result<()>),
}

/// The handle to the thread. The thread ends when the handle is dropped.
pub(super) struct Checkpointer {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    /// Submitted jobs that have not reported their end yet. A write-back reports nothing and is not
    /// counted.
    pending: usize,
}

impl Checkpointer {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, waiting) = mpsc::sync_channel(JOBS_MAX);
        let (finished, done) = mpsc::sync_channel(JOBS_MAX);
        thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || run(&waiting, &finished))?;
        Ok(Self {
            jobs,
            done,
            pending: 0,
        })
    }

    pub(super) fn sync(&mut self, sync: PendingSync) {
        self.submit(Job::Sync(sync));
    }

    pub(super) fn make(&mut self, file: Blank) {
        self.submit(Job::Make(file));
    }

    pub(super) fn write_back(&self, range: WriteBack) {
        // A write-back is only a hint, so dropping it is harmless.
        drop(self.jobs.try_send(Job::WriteBack(range)));
    }

    fn submit(&mut self, job: Job) {
        // The thread ends only with this handle. If it panicked, `wait` returns `None`.
        if self.jobs.send(job).is_ok() {
            self.pending = self.pending.saturating_add(1);
        }
    }

    /// Whether a job is pending.
    pub(super) fn is_busy(&self) -> bool {
        self.pending > 0
    }

    /// Returns a finished job, without waiting.
    pub(super) fn poll(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.pending = self.pending.saturating_sub(1);
        Some(done)
    }

    /// Waits until a job is finished. `None` if no job is pending.
    pub(super) fn wait(&mut self) -> Option<Done> {
        if self.pending == 0 {
            return None;
        }
        self.pending = self.pending.saturating_sub(1);
        self.done.recv().ok()
    }
}

fn run(jobs: &Receiver<Job>, finished: &SyncSender<Done>) {
    for job in jobs {
        let done = match job {
            Job::WriteBack(range) => {
                range.run();
                continue;
            }
            Job::Sync(sync) => {
                let begun = Instant::now();
                let synced = sync.run();
                Done::Synced(begun.elapsed(), synced)
            }
            Job::Make(file) => Done::Made(file.make()),
        };
        if finished.send(done).is_err() {
            return;
        }
    }
}
