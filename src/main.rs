//! The entry point: it parses the arguments, runs one command and returns an exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use mns_endpoint::command::{self, Arguments};

/// Entries pass from the threads that allocate them to the writer, which frees them. The system's
/// allocator is slow at that, and musl's is the slowest. Measured with mimalloc: 31,000 requests a
/// second instead of 25,000, and 36 µs of CPU each instead of 46.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    // Built by hand, because `#[tokio::main]` panics if the system refuses a thread, and waits for
    // all blocking tasks at the end.
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let code = runtime.block_on(command::run(arguments));
            // A thread that hangs in a disk operation must not keep the process from ending.
            runtime.shutdown_background();
            code
        }
        Err(error) => command::failed(&error.into()),
    }
}
