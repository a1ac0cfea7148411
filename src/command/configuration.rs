//! The sources of a command's configuration: a file, the environment, and flags that all commands
//! share.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::config::{Config, ConfigError, Sources};
use crate::disk::word;

/// The options that say where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Configuration {
    /// The configuration file [default: config/endpoint.toml, otherwise
    /// /etc/mns-endpoint/endpoint.toml].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Sets server.listen: the addresses on which serve listens, separated by commas, all with the
    /// same port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The directory of the access log and the endpoint log [default: logs.dir].
    #[arg(long, value_name = "DIR")]
    log_dir: Option<String>,
    /// Set any key, as in --set server.max_body=1MiB; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(super) set: Vec<(String, String)>,
}

impl Configuration {
    pub(super) fn load(&self, trust: &[String]) -> Result<Config, ConfigError> {
        Config::load(&self.sources(trust))
    }

    pub(super) fn sources(&self, trust: &[String]) -> Sources {
        let mut flags = self.set.clone();
        // After --set, so that the flag of a key overrides --set of the same key.
        flags.extend(
            self.listen
                .clone()
                .map(|listen| ("server.listen".to_owned(), listen)),
        );
        flags.extend(self.log_dir.clone().map(|dir| ("logs.dir".to_owned(), dir)));
        Sources {
            file: self.config.clone(),
            // Names and values that are not UTF-8 cannot be ours.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags,
            trust: trust.to_vec(),
        }
    }

    /// The shell command that, in the same directory, prints the address of the serve with this
    /// configuration, including its secret path. `bound` is the address on which it listens.
    pub(super) fn show_address_command(&self, config: &Config, bound: SocketAddr) -> String {
        let mut command = "mns-endpoint check --show-address".to_owned();
        let mut add = |flag: &str, value: &str| command += &format!(" {flag} {}", word(value));
        if let Some(file) = &self.config {
            add("--config", &file.display().to_string());
        }
        // The URL of a proxy may contain a password, and has no effect on the address.
        for (key, value) in self.set.iter().filter(|(key, _)| key != "signing.proxy") {
            add("--set", &format!("{key}={value}"));
        }
        // Port 0 means another port at each start, and a service manager may have opened the
        // socket.
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

    /// Describes the sources: the file or the built-in defaults, and what overrides them. Contains
    /// names and no values, except the addresses that are trusted for this run.
    pub(super) fn described(&self, trust: &[String]) -> String {
        let sources = self.sources(trust);
        let mut variables: Vec<String> = sources.variables().map(str::to_owned).collect();
        // The order in the environment is arbitrary, and this text is compared by people.
        variables.sort();
        let mut parts = vec![sources.origin()];
        parts.extend(variables);
        parts.extend(self.set.iter().map(|(key, _)| format!("--set {key}")));
        parts.extend(self.listen.as_ref().map(|_| "--listen".to_owned()));
        parts.extend(self.log_dir.as_ref().map(|_| "--log-dir".to_owned()));
        parts.extend(trust.iter().map(|prefix| format!("--trust {prefix}")));
        parts.join(", ")
    }

    /// The same, including the secret path that only serve creates, to judge requests that were
    /// sent to serve.
    pub(super) fn load_revealed(&self, trust: &[String]) -> anyhow::Result<Config> {
        let mut config = self.load(trust)?;
        if let Some(missing) = config.reveal_made_path()? {
            bail!(
                "server.secret_path_file: {} is created by the first serve; until then no path is \
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
