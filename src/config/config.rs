//! The checked configuration: one part for each part of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::error::{at_least_one, impossible, positive};
use crate::config::raw::RawConfig;
use crate::config::{
    AdminOptions, ConfigError, Sources, accept, admin, certificates, layers, raw, serving,
};
use crate::journal::{AccessField, Duplicates, Format, Limits, Settings};
use crate::mns::{Prefix, Prefixes, SigningCertUrl};
use crate::net;
use crate::server::{self, Paths, SecretPath, SecretPathError};
use crate::trust::{Admission, FetchOptions, Policy};

/// A checked configuration, one part for each part of the program.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, where there was one.
    pub file: Option<PathBuf>,
    /// The name of that file, or of the built-in defaults.
    pub origin: String,
    /// The addresses to listen on, all with one port.
    pub listen: Vec<SocketAddr>,
    /// The file of the path that takes the place of [`server::Settings::paths`], where there is
    /// one.
    pub secret_path_file: Option<PathBuf>,
    /// The address to give to a subscription, where it cannot be found.
    pub public_url: Option<String>,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: net::TrustedProxies,
    /// How long connections are still accepted after a signal to stop.
    pub drain_delay: Duration,
    /// How long open requests may take after that.
    pub drain: Duration,
    /// Bounds on connections.
    pub net: net::Limits,
    /// Where certificate and key lie; `None` for plain HTTP.
    pub tls: Option<net::TlsFiles>,
    /// What is served and how it is logged.
    pub server: server::Settings,
    /// What is asked of a push.
    pub policy: Policy,
    /// Where certificates may come from.
    pub prefixes: Prefixes,
    /// Those of the prefixes that are fetched without TLS.
    pub insecure_prefixes: Vec<Prefix>,
    /// How certificates are fetched.
    pub fetch: FetchOptions,
    /// The certificate that is fetched at the start, before a push names it.
    pub prefetch: Option<SigningCertUrl>,
    /// Where good certificates are kept.
    pub certificate_dir: PathBuf,
    /// Which pushes are meant for us.
    pub admission: Admission,
    /// The directory of both logs.
    pub log_dir: PathBuf,
    /// The permissions of new logs.
    pub log_mode: u32,
    /// How much room refused requests have; 0 keeps none.
    pub quarantine_bytes: u64,
    /// How both logs are kept.
    pub journal: Settings,
    /// Whether access lines are printed.
    pub stdout: bool,
    /// Whether the diagnostic log also goes to a file.
    pub diagnostics: bool,
    /// The admin listener, where there is one.
    pub admin: Option<AdminOptions>,
    /// Variables of the environment that look like keys and are not read, each with the name that
    /// would be.
    pub unread_variables: Vec<(String, String)>,
    keys: BTreeMap<String, String>,
}

impl Config {
    /// Reads all layers and checks every value.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::check(layers::read(sources)?, &sources.trust)
    }

    /// The keys that `other` has another value for and that are read at the start only.
    #[must_use]
    pub fn keys_for_restart(&self, other: &Self) -> Vec<String> {
        let is_reloaded = |key: &str| {
            let tls_stays = self.tls.is_some() == other.tls.is_some();
            let is_admission = key.starts_with("accept.") && key != "accept.duplicates";
            let is_signing = key.starts_with("signing.") && key != "signing.prefetch";
            is_signing || is_admission || (key.starts_with("server.tls.") && tls_stays)
        };
        // A file of the same name may hold another token.
        let is_other_token = match (&self.admin, &other.admin) {
            (Some(ours), Some(theirs)) => ours.access.token != theirs.access.token,
            _ => false,
        };
        let all = self
            .keys
            .keys()
            .chain(other.keys.keys())
            .collect::<BTreeSet<_>>();
        let differs = |key: &&String| {
            self.keys.get(*key) != other.keys.get(*key)
                || (*key == admin::TOKEN_FILE && is_other_token)
        };
        all.into_iter()
            .filter(differs)
            .filter(|key| !is_reloaded(key))
            .cloned()
            .collect()
    }

    /// Reads the secret path, where there is one, and makes it where it is not there yet. From then
    /// on it is served; before, nothing is.
    ///
    /// # Errors
    /// [`SecretPathError`]
    pub fn reveal_path(&mut self) -> Result<(), SecretPathError> {
        if let Some(file) = &self.secret_path_file {
            self.server.paths = Paths::Secret(SecretPath::read_or_make(file)?);
        }
        Ok(())
    }

    /// The same without making it, for whoever judges what a `serve` has been sent. Gives the file
    /// that is not there.
    ///
    /// # Errors
    /// [`SecretPathError`]
    pub fn reveal_made_path(&mut self) -> Result<Option<&Path>, SecretPathError> {
        let Some(file) = &self.secret_path_file else {
            return Ok(None);
        };
        let Some(path) = SecretPath::read(file)? else {
            return Ok(Some(file));
        };
        self.server.paths = Paths::Secret(path);
        Ok(None)
    }

    #[expect(clippy::too_many_lines, reason = "until it is split")]
    fn check(read: layers::Read, trust: &[String]) -> Result<Self, ConfigError> {
        let layers::Read {
            raw,
            file,
            origin,
            keys,
            unread_variables,
        } = read;
        let RawConfig {
            server,
            signing,
            accept,
            logs,
            admin,
        } = raw;
        let net = serving::check_limits(&server)?;
        let secret_path_file =
            Some(server.secret_path_file).filter(|file| !file.as_os_str().is_empty());
        let listed = serving::check_paths(&server.paths.0, secret_path_file.is_some())?;
        let (prefixes, insecure_prefixes) = certificates::check_prefixes(&signing, trust)?;
        accept::check(&accept)?;
        Ok(Self {
            file,
            origin,
            listen: serving::check_listen(&server.listen.0)?,
            public_url: serving::check_public_url(&server.public_url, listed.as_ref())?,
            secret_path_file,
            trusted_proxies: net::TrustedProxies::new(check_networks(
                "server.trusted_proxies",
                &server.trusted_proxies.0,
            )?),
            drain_delay: server.drain_delay.0,
            drain: positive("server.drain", server.drain.0)?,
            net,
            tls: serving::check_tls(server.tls)?,
            server: server::Settings {
                path_prefix: serving::check_path_prefix(
                    server.public_path_prefix,
                    listed.as_ref(),
                )?,
                // Which one is secret stands in the file. Until that is read nothing is served.
                paths: listed.unwrap_or_else(|| Paths::These(Vec::new())),
                health_path: serving::check_health_path(server.health_path)?,
                body_bytes_max: at_least_one("server.max_body", server.max_body.0)?,
                body_timeout: positive("server.body_timeout", server.body_timeout.0)?,
                format: match logs.format {
                    raw::Format::Text => Format::Text,
                    raw::Format::Json => Format::Json,
                },
                request_detail: logs.request,
                refused_body_bytes: logs.refused_body.0,
                refused_per_second: logs.refused_rate.0.map(|rate| rate.0),
                refused_line_bytes: logs.refused_bytes.0.map(|rate| rate.0),
                access_fields: check_access_fields(&logs.access_fields.0)?,
            },
            policy: Policy {
                max_clock_skew: signing.max_clock_skew.0,
                max_age: signing.max_age.0,
                require_content_md5: signing.require_content_md5,
                min_key_bits: certificates::check_key_bits(signing.min_key_bits)?,
            },
            prefetch: certificates::check_prefetch(signing.prefetch, trust, &prefixes),
            prefixes,
            insecure_prefixes,
            fetch: FetchOptions {
                timeout: certificates::check_fetch_timeout(signing.fetch_timeout.0)?,
                via: certificates::check_fetch_via(signing.fetch_via)?,
                proxy: certificates::check_proxy(signing.proxy)?,
            },
            certificate_dir: check_dir("signing.certificate_dir", signing.certificate_dir)?,
            admission: Admission::new(
                accept.topic_owners.0,
                accept.topics.0,
                check_networks("accept.sources", &accept.sources.0)?,
            ),
            journal: check_journal(&logs, accept.duplicates)?,
            log_dir: check_dir("logs.dir", logs.dir)?,
            log_mode: logs.mode.0,
            quarantine_bytes: u64::try_from(logs.quarantine_bytes.0).unwrap_or(u64::MAX),
            stdout: logs.stdout == raw::Stdout::Access,
            diagnostics: logs.diagnostics,
            admin: admin::check(admin)?,
            unread_variables,
            keys,
        })
    }
}

fn check_dir(key: &'static str, dir: PathBuf) -> Result<PathBuf, ConfigError> {
    if dir.as_os_str().is_empty() {
        return Err(impossible(
            key,
            "",
            "a directory is needed; \".\" is the working directory",
        ));
    }
    Ok(dir)
}

fn check_networks(key: &'static str, list: &[String]) -> Result<Vec<ipnet::IpNet>, ConfigError> {
    let parse = |text: &String| {
        let address = text.parse::<IpAddr>().map(ipnet::IpNet::from);
        address.or_else(|_| text.parse()).map_err(|_not_a_network| {
            impossible(
                key,
                text,
                "write an address or a network, as in 100.64.0.0/10",
            )
        })
    };
    list.iter().map(parse).collect()
}

fn check_access_fields(list: &[String]) -> Result<Vec<AccessField>, ConfigError> {
    use strum::VariantNames;
    let parse = |text: &String| {
        text.parse::<AccessField>().map_err(|_unknown| {
            impossible(
                "logs.access_fields",
                text,
                &format!("{} are possible", AccessField::VARIANTS.join(", ")),
            )
        })
    };
    list.iter().map(parse).collect()
}

fn check_journal(logs: &raw::Logs, duplicates: Duplicates) -> Result<Settings, ConfigError> {
    let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    let rotate_bytes = match logs.rotate_size.0 {
        Some(size) => Some(bytes(at_least_one("logs.rotate_size", size.0)?)),
        None => None,
    };
    Ok(Settings {
        limits: Limits::default(),
        sync: logs.sync.0,
        rotate_bytes,
        keep: logs.keep.0,
        low_water_bytes: bytes(logs.low_water.0),
        duplicates,
    })
}
