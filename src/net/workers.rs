//! The threads that serve connections, each with its own runtime.
//!
//! A connection stays on its thread. With one multi-threaded runtime a push woke two threads,
//! because an idle thread also looks for work to steal. Measured on two cores with a runtime for
//! each thread: 24 µs of CPU per push instead of 30, and a fifth more pushes with 64 connections.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::runtime_thread;

/// Threads that serve connections. Dropping this ends them, and everything they serve.
pub struct Workers {
    first: Arc<Worker>,
    others: Vec<Arc<Worker>>,
    /// `None` if connections are served on the caller's runtime.
    _stop: Option<DropGuard>,
}

/// The runtime of one thread.
struct Worker {
    runtime: Handle,
    /// How many connections it has. Relaxed: a slightly old number places a connection just as
    /// well.
    connections: AtomicUsize,
}

/// A place on the least busy thread. It is given back when dropped.
pub(super) struct Place {
    worker: Arc<Worker>,
}

impl Workers {
    /// Starts this many threads.
    ///
    /// # Errors
    /// A runtime or a thread cannot be created.
    pub fn start(threads: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let first = Worker::start(stop.clone())?;
        let others = (1..threads.get())
            .map(|_| Worker::start(stop.clone()))
            .collect::<io::Result<_>>()?;
        let _stop = Some(stop.drop_guard());
        Ok(Self {
            first,
            others,
            _stop,
        })
    }

    /// Starts one thread for each processor of the machine, or for each that the container may use.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn for_each_processor() -> io::Result<Self> {
        Self::start(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Uses the caller's runtime.
    pub(super) fn here() -> Self {
        Self {
            first: Arc::new(Worker::of(Handle::current())),
            others: Vec::new(),
            _stop: None,
        }
    }

    /// A place on the thread with the fewest connections.
    pub(super) fn place(&self) -> Place {
        let workers = self.others.iter().chain([&self.first]);
        let least = workers.min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let worker = least.unwrap_or(&self.first).clone();
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Place { worker }
    }
}

impl Worker {
    fn of(runtime: Handle) -> Self {
        Self {
            runtime,
            connections: AtomicUsize::new(0),
        }
    }

    fn start(stop: CancellationToken) -> io::Result<Arc<Self>> {
        let runtime = runtime_thread::start("worker", stop)?;
        Ok(Arc::new(Self::of(runtime)))
    }
}

impl Place {
    /// The runtime of the thread.
    pub(super) fn runtime(&self) -> &Handle {
        &self.worker.runtime
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_gets_the_thread_with_the_fewest_and_gives_its_place_back() {
        let workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let connections = || -> Vec<usize> {
            let mut counts: Vec<_> = workers
                .others
                .iter()
                .chain([&workers.first])
                .map(|worker| worker.connections.load(Ordering::Relaxed))
                .collect();
            counts.sort_unstable();
            counts
        };
        let mut places: Vec<_> = (0..7).map(|_| workers.place()).collect();
        assert_eq!(connections(), [2, 2, 3]);
        places.drain(..3);
        assert_eq!(connections(), [1, 1, 2]);
        places.push(workers.place());
        places.push(workers.place());
        assert_eq!(connections(), [2, 2, 2]);
    }

    #[test]
    fn threads_and_their_connections_end_with_their_owner() {
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        workers.place().runtime().spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        drop(workers);
        // The task is dropped with its runtime, and the sender with the task.
        assert_eq!(receiver.recv(), Err(std::sync::mpsc::RecvError));
    }
}
