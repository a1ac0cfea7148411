//! The door: arguments in, one command, an exit code out.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use mns_endpoint::command::{self, Arguments};

/// Small blocks go from the threads that make them to the one that writes, which the system's
/// allocator does slowly, and musl's slowest of all.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let code = runtime.block_on(command::run(arguments));
            // A thread that hangs in the disk must not keep the process from ending.
            runtime.shutdown_background();
            code
        }
        Err(error) => command::failed(&error.into()),
    }
}
