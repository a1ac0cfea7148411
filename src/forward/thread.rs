//! The thread on which all forwarders run, with what their destinations' clients spawn.
//!
//! A forwarder and the client of its destination wake each other for every burst. On one thread
//! that costs no system call, and a burst that one of them makes is complete when the other runs.

use std::io;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::runtime_thread;

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
        let stop = CancellationToken::new();
        Ok(Self {
            runtime: runtime_thread::start("forward", stop.clone())?,
            _stop: stop.drop_guard(),
        })
    }

    /// Its runtime. What is spawned in it runs on the thread.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
