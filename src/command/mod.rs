//! The commands, one file each, and how they end.

#![expect(
    clippy::doc_markdown,
    reason = "these docs are the help that a terminal shows"
)]

mod address;
mod admin_listener;
pub(crate) mod capture;
mod certificate;
mod check;
mod check_server;
mod counted;
mod credentials;
mod demo;
mod emulator;
mod existing;
mod explain;
mod findings;
mod format;
mod health;
mod ini;
mod input;
mod key;
mod listeners;
mod logs;
mod publish;
mod push;
mod receiver_tls;
mod running;
mod self_signed;
mod serve;
mod service;
mod stdout;
mod subscribe;
mod subscription;
mod topic;
mod unserved;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};

use crate::command::existing::DiffersError;
use crate::config::{Config, ConfigError, Sources};
use crate::journal::{OpenError, escaped};
use crate::net::TlsError;
use crate::remedy::word;
use crate::server::SecretPathError;
use crate::signals;
use crate::telemetry;
use crate::trust::StoreError;

/// Wrong configuration, as `sysexits.h` has it.
const EXIT_CONFIG: u8 = 78;
/// There already, but not as asked for.
const EXIT_DIFFERS: u8 = 3;
/// How long the last line on stderr may take.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(1);

/// A push endpoint for Alibaba Cloud MNS topics: a 201 means verified, meant for you, and on disk.
#[derive(Debug, Parser)]
#[command(
    name = "mns-endpoint",
    version,
    max_term_width = 100,
    after_help = "Examples:
  mns-endpoint demo                                        (everything at once, in this process)
  mns-endpoint serve --trust http://127.0.0.1:9001/
  mns-endpoint push http://127.0.0.1:8080/notifications    (in another terminal)
  mns-endpoint push --help"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// What each does stands at its struct: a comment here would take the place of the whole text.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Push(push::Push),
    Emulator(emulator::EmulatorCommand),
    Demo(demo::Demo),
    Explain(explain::Explain),
    Topic(topic::Topic),
    Subscription(subscription::Subscription),
    Publish(publish::Publish),
    Certificate(certificate::Certificate),
    Logs(logs::Logs),
    Check(check::Check),
    Health(health::Health),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
struct Configuration {
    /// The configuration file [default: config/endpoint.toml, else
    /// /etc/mns-endpoint/endpoint.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Addresses to listen on, separated by commas, all with one port (server.listen).
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The directory of both logs (logs.dir).
    #[arg(long, value_name = "DIR")]
    log_dir: Option<String>,
    /// Set any key, as in --set server.max_body=1MiB; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl Configuration {
    fn load(&self, trust: &[String]) -> Result<Config, ConfigError> {
        Config::load(&self.sources(trust))
    }

    fn sources(&self, trust: &[String]) -> Sources {
        let mut flags = self.set.clone();
        flags.extend(
            self.listen
                .clone()
                .map(|listen| ("server.listen".to_owned(), listen)),
        );
        flags.extend(self.log_dir.clone().map(|dir| ("logs.dir".to_owned(), dir)));
        Sources {
            file: self.config.clone(),
            // Names and values that are not text cannot be ours.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags,
            trust: trust.to_vec(),
        }
    }

    /// The command for a shell in the same directory that prints the address of the serve with this
    /// configuration, its secret path written out. `bound` is where it listens.
    fn show_address_command(&self, config: &Config, bound: SocketAddr) -> String {
        let mut command = "mns-endpoint check --show-address".to_owned();
        let mut add = |flag: &str, value: &str| command += &format!(" {flag} {}", word(value));
        if let Some(file) = &self.config {
            add("--config", &file.display().to_string());
        }
        // A proxy may have a password, and has no part in the address.
        for (key, value) in self.set.iter().filter(|(key, _)| key != "signing.proxy") {
            add("--set", &format!("{key}={value}"));
        }
        // Port 0 is another one for each start, and a service manager may have opened the socket.
        let is_chosen = config
            .listen
            .first()
            .is_some_and(|listen| listen.port() == bound.port());
        match &self.listen {
            Some(listen) if is_chosen => add("--listen", listen),
            None if is_chosen => {}
            _ => add("--listen", &bound.to_string()),
        }
        command
    }

    /// What the configuration is read from: the file or the built-in defaults, and what overrides
    /// them. Names, no values but the addresses that are trusted for this run.
    fn described(&self, trust: &[String]) -> String {
        let sources = self.sources(trust);
        let mut variables: Vec<String> = sources.variables().map(str::to_owned).collect();
        variables.sort();
        let mut parts = vec![sources.origin()];
        parts.extend(variables);
        parts.extend(self.set.iter().map(|(key, _)| format!("--set {key}")));
        parts.extend(self.listen.as_ref().map(|_| "--listen".to_owned()));
        parts.extend(self.log_dir.as_ref().map(|_| "--log-dir".to_owned()));
        parts.extend(trust.iter().map(|prefix| format!("--trust {prefix}")));
        parts.join(", ")
    }

    /// The same for judging what was sent to serve: with its secret path, which only serve makes.
    fn load_revealed(&self, trust: &[String]) -> anyhow::Result<Config> {
        let mut config = self.load(trust)?;
        if let Some(missing) = config.reveal_made_path()? {
            bail!(
                "server.secret_path_file: {} is made by the first serve, and without it no path is \
                 served",
                missing.display()
            );
        }
        Ok(config)
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, as in server.max_body=1MiB")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl Arguments {
    /// Reads the command line; prints help or a mistake and ends where there is nothing to run.
    #[must_use]
    pub fn read() -> Self {
        Self::parse()
    }
}

/// Runs one command. The code is 0 for done, 1 for failed, 3 if what `create --if-not-exists` found
/// differs, 78 for a wrong configuration; 2, for wrong usage, comes from [`Arguments::read`].
pub async fn run(arguments: Arguments) -> ExitCode {
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
        Command::Check(check) => check.run().await,
        Command::Topic(topic) => topic.run().await,
        Command::Subscription(subscription) => subscription.run().await,
        Command::Publish(publish) => publish.run().await,
        Command::Health(health) => health.run().await,
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

/// Tells an error with its causes on stderr, and gives the code to end with.
#[must_use]
pub fn failed(error: &anyhow::Error) -> ExitCode {
    // An error quotes what services answer and files hold: it must not act on the terminal.
    let told = format!(
        "mns-endpoint: {}\n",
        escaped(format!("{error:#}").as_bytes())
    );
    // Nobody is left to be told where stderr is gone or its reader has stopped: the code tells it
    // too.
    telemetry::within(LAST_WORD_TIMEOUT, move || {
        drop(std::io::stderr().write_all(told.as_bytes()))
    });
    let is_configuration = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<TlsError>()
            || cause.is::<SecretPathError>()
            || cause.is::<telemetry::TelemetryError>()
            || matches!(
                cause.downcast_ref(),
                Some(
                    OpenError::Unwritable { .. }
                        | OpenError::NotAFile { .. }
                        | OpenError::NotADirectory { .. }
                )
            )
            || matches!(cause.downcast_ref(), Some(StoreError::Unwritable { .. }))
    });
    let differs = error.chain().any(|cause| cause.is::<DiffersError>());
    match (is_configuration, differs) {
        (true, _) => ExitCode::from(EXIT_CONFIG),
        (false, true) => ExitCode::from(EXIT_DIFFERS),
        (false, false) => ExitCode::FAILURE,
    }
}
