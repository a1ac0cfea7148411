//! A thread with a runtime of its own.

use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Starts a thread, which runs what is spawned in the returned runtime until it is stopped.
///
/// # Errors
/// The system refuses a thread, or what its runtime needs.
pub(crate) fn start(name: &str, stop: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // A runtime of one thread runs its tasks only inside `block_on`.
            runtime.block_on(stop.cancelled());
            // A thread that hangs in a disk operation must not keep this one from ending.
            runtime.shutdown_background();
        })?;
    Ok(handle)
}
