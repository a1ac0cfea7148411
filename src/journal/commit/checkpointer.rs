//! The thread beside the writer: it syncs the logs, and makes a commit log, so that no push waits
//! for either.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::Blank;
use crate::journal::logs::{LogsSynced, PendingSync, WriteBack};

/// More jobs than wait at any time; a write-back that finds no room is left out.
const JOBS_MAX: usize = 8;
/// What the thread does.
enum Job {
    Sync(PendingSync),
    WriteBack(WriteBack),
    Make(Blank),
}

/// What it has done.
pub(super) enum Done {
    Synced(Duration, io::Result<LogsSynced>),
    Made(io::Result<()>),
}

/// The handle to the thread, which ends with it.
pub(super) struct Checkpointer {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    /// Jobs that say when they are done, and have not.
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
        // It is a help and no more.
        drop(self.jobs.try_send(Job::WriteBack(range)));
    }

    fn submit(&mut self, job: Job) {
        // The thread ends with this handle only. Should it have panicked, `wait` says so.
        if self.jobs.send(job).is_ok() {
            self.pending = self.pending.saturating_add(1);
        }
    }

    /// Whether it has something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.pending > 0
    }

    /// What was done since, without waiting.
    pub(super) fn poll(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.pending = self.pending.saturating_sub(1);
        Some(done)
    }

    /// Waits until a job is done; `None` if no job is pending.
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
