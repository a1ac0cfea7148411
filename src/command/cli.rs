//! The command line: it selects a command and its exit code.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::command::certificate::Certificate;
use crate::command::check::Check;
use crate::command::client::existing::DiffersError;
use crate::command::client::publish::Publish;
use crate::command::client::subscription::SubscriptionCommand;
use crate::command::client::topic::TopicCommand;
use crate::command::demo::Demo;
use crate::command::emulator::EmulatorCommand;
use crate::command::exit::{EXIT_CONFIG, EXIT_DIFFERS};
use crate::command::explain::Explain;
use crate::command::forward::Forward;
use crate::command::health::Health;
use crate::command::inspect::Inspect;
use crate::command::logs::Logs;
use crate::command::push::PushCommand;
use crate::command::serve::Serve;
use crate::config::ConfigError;
use crate::forward::InvalidFile;
use crate::journal::{OpenError, escaped};
use crate::net::TlsError;
use crate::server::SecretPathError;
use crate::signals;
use crate::telemetry;
use crate::trust::StoreError;

/// How long writing the last line to stderr may take.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(1);

/// A push endpoint for Alibaba Cloud MNS topics: a 201 means verified, meant for you, and on disk.
#[derive(Debug, Parser)]
#[command(
    name = "mns-endpoint",
    version,
    max_term_width = 100,
    after_help = "Examples:
  mns-endpoint demo                                        # everything at once, in this process
  mns-endpoint serve --trust http://127.0.0.1:9001/
  mns-endpoint push http://127.0.0.1:8080/notifications    # in another terminal
  mns-endpoint push --help"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// The help text of each command is on its struct: a comment here would replace it.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
    Push(PushCommand),
    Emulator(EmulatorCommand),
    Demo(Demo),
    Explain(Explain),
    Topic(TopicCommand),
    Subscription(SubscriptionCommand),
    Publish(Publish),
    Certificate(Certificate),
    Logs(Logs),
    Forward(Forward),
    Check(Check),
    Health(Health),
    Inspect(Inspect),
}

impl Arguments {
    /// Parses the command line. Prints help or usage errors and exits if there is nothing to run.
    #[must_use]
    pub fn read() -> Self {
        Self::parse()
    }
}

/// Runs one command. The exit code is 0 for success, 1 for failure, 3 if `create --if-not-exists`
/// found a difference, and 78 for a wrong configuration. [`Arguments::read`] exits with 2 for wrong
/// usage.
pub async fn run(arguments: Arguments) -> ExitCode {
    // A write beyond the limit on file sizes has to return an error instead of killing the process.
    if let Err(error) = signals::outlive_file_limit() {
        return failed(&anyhow::Error::from(error).context("cannot handle SIGXFSZ"));
    }
    let outcome = match arguments.command {
        Command::Serve(serve) => serve.run().await,
        Command::Push(push) => push.run().await,
        Command::Emulator(emulator) => emulator.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Certificate(certificate) => certificate.run(),
        Command::Logs(logs) => logs.run().await,
        Command::Forward(forward) => forward.run().await,
        Command::Check(check) => check.run().await,
        Command::Topic(topic) => topic.run().await,
        Command::Subscription(subscription) => subscription.run().await,
        Command::Publish(publish) => publish.run().await,
        Command::Health(health) => health.run().await,
        Command::Inspect(inspect) => inspect.run(),
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

/// Prints an error with its causes on stderr, and returns the code to end with.
#[must_use]
pub fn failed(error: &anyhow::Error) -> ExitCode {
    // An error may quote answers of services and contents of files, which must not control the
    // terminal.
    let line = format!(
        "mns-endpoint: {}\n",
        escaped(format!("{error:#}").as_bytes())
    );
    // If stderr is closed or its reader has stalled, nobody reads the message, but the exit code
    // still reports the failure.
    telemetry::within(LAST_WORD_TIMEOUT, move || {
        drop(std::io::stderr().write_all(line.as_bytes()))
    });
    // Searches the whole chain, because callers add context to these errors.
    let is_configuration = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<TlsError>()
            || cause.is::<SecretPathError>()
            || cause.is::<InvalidFile>()
            || cause.is::<telemetry::TelemetryError>()
            || matches!(
                cause.downcast_ref(),
                Some(
                    OpenError::Unwritable(_)
                        | OpenError::NotAFile { .. }
                        | OpenError::NotADirectory { .. }
                )
            )
            || matches!(cause.downcast_ref(), Some(StoreError::Unwritable(_)))
    });
    let differs = error.chain().any(|cause| cause.is::<DiffersError>());
    match (is_configuration, differs) {
        (true, _) => ExitCode::from(EXIT_CONFIG),
        (false, true) => ExitCode::from(EXIT_DIFFERS),
        (false, false) => ExitCode::FAILURE,
    }
}
