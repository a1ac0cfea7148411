//! The door: arguments in, one command, an exit code out.

use std::process::ExitCode;

use mns_endpoint::command::{self, Arguments};

fn main() -> ExitCode {
    let arguments = Arguments::read();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(command::run(arguments));
            // A thread that hangs in the disk must not keep the process from ending.
            runtime.shutdown_background();
            code
        }
        Err(error) => command::failed(&error.into()),
    }
}
