//! The door: arguments in, one command, an exit code out.

use std::process::ExitCode;

use mns_endpoint::command::{self, Arguments};

fn main() -> ExitCode {
    let arguments = Arguments::read();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command::run(arguments)),
        Err(error) => command::failed(&error.into()),
    }
}
