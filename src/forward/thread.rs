//! The thread on which all forwarders run, with what their destinations' clients spawn.
//!
//! A forwarder and the client of its destination wake each other for every burst. On one thread
//! that costs no system call, and a burst that one of them makes is complete when the other runs.

use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Thread {
    runtime: Handle,
    _stop: DropGuard,
}

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    /// The system refuses a thread or what its runtime needs.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        thread::Builder::new()
            .name("forward".to_owned())
            .spawn(move || {
                // A runtime of one thread runs its tasks only inside `block_on`.
                runtime.block_on(stopped.cancelled());
                // A thread that hangs in a disk operation must not keep this one from ending.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            _stop: stop.drop_guard(),
        })
    }

    /// Its runtime. What is spawned in it runs on the thread.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
