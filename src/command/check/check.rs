//! `check`: reads the configuration as serve does, and looks at its surroundings without changing
//! any.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;

use crate::clock::{Clock as _, SystemClock};
use crate::command::check::directories::writable;
use crate::command::check::findings::{Finding, Findings};
use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::serve::address::{public_address, secret_address};
use crate::command::serve::admin_listener;
use crate::command::stdout::printer;
use crate::command::{Configuration, health};
use crate::config::{self, Config};
use crate::disk::fix_command;
use crate::journal::escaped;
use crate::net::{Tls, TlsFiles};
use crate::report::Report;
use crate::server::SecretPath;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A TLS certificate with fewer remaining days than this causes a warning.
const DAYS_LEFT_MIN: u64 = 21;

/// Check the configuration and its surroundings.
///
/// Reads the configuration as serve does and looks for problems with the address to give to a
/// subscription, IPv6, limits, misspelled environment variables for configuration keys, the TLS
/// certificate, checks that are switched off, an empty accept.topic_owners, accept.sources without
/// server.trusted_proxies, the directories logs.dir and signing.certificate_dir, free space, and
/// TZ. Searches the access log for pushes to a path that is not served, and asks a serve that runs
/// with this configuration which owners and topics it has accepted. Creates and changes nothing.
/// Does not check whether the address is free, or whether another process uses the logs. Exits with
/// 78 if any finding is an error (serve would not start, or its TLS certificate has expired),
/// otherwise with 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint check
  mns-endpoint check --show-address    # with the secret path, for subscription create
  mns-endpoint check --config /etc/mns-endpoint/endpoint.toml --output json")]
pub(crate) struct Check {
    #[command(flatten)]
    configuration: Configuration,
    /// The format of the findings.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Print only the address to give to a subscription, including its secret path
    /// (server.secret_path_file).
    #[arg(long, conflicts_with = "output")]
    show_address: bool,
}

/// The permission bits of everybody except the owner.
const OTHERS: u32 = 0o077;

impl Check {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        if self.show_address {
            // To stderr, so that stdout only has the address.
            writeln!(
                io::stderr(),
                "Configuration: {}",
                escaped(self.configuration.described(&[]).as_bytes())
            )?;
            writeln!(
                printer(),
                "{}",
                whole_address(&self.configuration.load(&[])?)?
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        let (origin, findings) = match self.configuration.load(&[]) {
            Ok(config) => {
                let mut findings = Findings::of(&config);
                if let Some(seen) = health::ready_part(&config, admin_listener::SEEN).await {
                    findings.0.push(Finding::note(
                        "accept",
                        format!("the running serve has accepted so far: {seen}"),
                    ));
                }
                (config.origin, findings)
            }
            // A finding like any other, so that `--output json` has it as well.
            Err(error) => {
                let origin = self.configuration.sources(&[]).origin();
                (
                    origin,
                    Findings(vec![Finding::error("configuration", error.to_string())]),
                )
            }
        };
        findings.print(self.output, &origin)?;
        Ok(findings.code())
    }
}

impl Findings {
    fn of(config: &Config) -> Self {
        let mut findings = Self(Vec::new());
        findings.look_at_environment(config);
        findings.look_at_listeners(config);
        findings.look_at_paths(config);
        findings.look_at_address(config);
        if let Some(file) = &config.secret_path_file {
            findings.look_at_secret_path(config, file);
        }
        findings.look_at_limits(config);
        if let Some(files) = &config.tls {
            findings.look_at_tls(files);
        }
        findings.look_at_trust(config);
        findings.look_at_logs(config);
        findings.look_at_destinations(config);
        findings.look_at_awaited(config);
        if let Err(error) = config::local_zone(std::env::var("TZ").ok().as_deref()) {
            findings.0.push(Finding::error("TZ", error.to_string()));
        }
        findings
    }

    fn look_at_secret_path(&mut self, config: &Config, file: &Path) {
        const KEY: &str = "server.secret_path_file";
        let name = file.display();
        self.0.push(match SecretPath::read(file) {
            Err(error) => Finding::error(KEY, error.to_string()),
            Ok(None) => Finding::note(
                KEY,
                format!("{name} does not exist yet: the next start creates it"),
            ),
            Ok(Some(path)) if path.segments() > 1 => {
                let text = format!(
                    "{name} has two segments: remove the second once no subscription uses it"
                );
                Finding::note(KEY, text)
            }
            Ok(Some(_)) => Finding::note(
                KEY,
                format!("{name} is in use; --show-address prints the whole address"),
            ),
        });
        if std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & OTHERS != 0) {
            let text = format!("other users can read {name}; fix it with: chmod 600 {name}");
            self.0.push(Finding::warning(KEY, text));
        }
        if config.tls.is_none() && config.trusted_proxies.is_empty() {
            let text = "without TLS everyone on the network path can read it: see server.tls";
            self.0.push(Finding::warning(KEY, text));
        }
    }

    fn look_at_tls(&mut self, files: &TlsFiles) {
        const KEY: &str = "server.tls.certificate";
        let not_after = match Tls::load(files.clone()) {
            Ok(tls) => tls.not_after(),
            Err(error) => return self.0.push(Finding::error(KEY, Report(&error).to_string())),
        };
        let name = files.certificate.display();
        self.0.push(match not_after.map(days_until) {
            None => Finding::note(KEY, format!("{name}: its expiry date cannot be read")),
            Some(Err(days)) => {
                Finding::error(KEY, format!("{name} expired {} ago", counted(days, "day")))
            }
            Some(Ok(days)) if days < DAYS_LEFT_MIN => {
                Finding::warning(KEY, format!("{name} expires in {}", counted(days, "day")))
            }
            Some(Ok(days)) => {
                Finding::note(KEY, format!("{name} expires in {}", counted(days, "day")))
            }
        });
    }

    fn look_at_trust(&mut self, config: &Config) {
        for prefix in &config.insecure_prefixes {
            let text = format!(
                "certificates whose address begins with {prefix} are fetched without TLS: anyone \
                on the network path can replace them and sign pushes"
            );
            self.0
                .push(Finding::warning("signing.certificate_prefixes", text));
        }
        if !config.policy.require_content_md5 {
            let text = "anyone who has one signed request can replace its body";
            self.0
                .push(Finding::warning("signing.require_content_md5", text));
        }
        if config.policy.max_age.is_none() {
            let text = "an old request can be replayed at any time";
            self.0.push(Finding::warning("signing.max_age", text));
        }
        if let Err(error) = writable(&config.certificate_dir) {
            let mending = fix_command(&config.certificate_dir, &error);
            let text = format!(
                "certificates cannot be cached in {}: {error}; {mending}",
                config.certificate_dir.display()
            );
            self.0
                .push(Finding::warning("signing.certificate_dir", text));
        }
        if config.trusted_proxies.takes_everyone() {
            let text = "it contains every address: anyone can claim any source address";
            self.0
                .push(Finding::warning("server.trusted_proxies", text));
        }
        if !config.admission.takes_every_source() && config.trusted_proxies.is_empty() {
            let text = "compared with the peer of the connection: if that is a proxy, name it in \
                server.trusted_proxies";
            self.0.push(Finding::warning("accept.sources", text));
        }
        if config.admission.takes_every_owner() {
            let text =
                "empty: anyone with an account may subscribe this address to a topic of theirs";
            self.0.push(Finding::warning("accept.topic_owners", text));
        }
    }
}

/// The address for a subscription, including its secret.
fn whole_address(config: &Config) -> anyhow::Result<String> {
    let listen = *config
        .listen
        .first()
        .context("server.listen names no address")?;
    let Some(file) = &config.secret_path_file else {
        return Ok(public_address(config, listen).0);
    };
    let path = SecretPath::read(file)?
        .with_context(|| format!("{} is made by the first serve", file.display()))?;
    Ok(secret_address(config, listen, &path))
}

/// Whole days from now, or `Err` with those since then.
fn days_until(then: SystemTime) -> Result<u64, u64> {
    let days = |span: Duration| {
        span.as_secs()
            .checked_div(DAY.as_secs())
            .unwrap_or_default()
    };
    match then.duration_since(SystemClock.now()) {
        Ok(left) => Ok(days(left)),
        Err(ago) => Err(days(ago.duration())),
    }
}
