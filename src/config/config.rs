//! The checked configuration, with one field for each part of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::checks::{check_dir, check_networks, positive};
use crate::config::raw::RawConfig;
use crate::config::{
    AdminOptions, ConfigError, Sources, accept, admin, certificates, forward as forward_tables,
    layers, logs, serving, telemetry,
};
use crate::forward;
use crate::journal::{Copied, Format, Settings};
use crate::mns::{Prefix, Prefixes, SigningCertUrl};
use crate::net;
use crate::server::{self, Paths, SecretPath, SecretPathError};
use crate::traces;
use crate::trust::{Admission, FetchOptions, Policy};

/// The checked configuration, with one field for each part of the program.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, if there was one.
    pub file: Option<PathBuf>,
    /// The name of that file, or of the built-in defaults.
    pub origin: String,
    /// The addresses to listen on. All have the same port.
    pub listen: Vec<SocketAddr>,
    /// The file of the secret path that replaces [`server::Settings::paths`], if there is one.
    pub secret_path_file: Option<PathBuf>,
    /// The address to give to a subscription, if it cannot be derived.
    pub public_url: Option<String>,
    /// The proxies that are trusted to name a request's source address.
    pub trusted_proxies: net::TrustedProxies,
    /// How long connections are still accepted after a signal to stop.
    pub drain_delay: Duration,
    /// How long requests in flight may take after that.
    pub drain: Duration,
    /// The bounds on connections.
    pub net: net::Limits,
    /// The files of certificate and key; `None` for plain HTTP.
    pub tls: Option<net::TlsFiles>,
    /// What is served, and how it is logged.
    pub server: server::Settings,
    /// What a push must satisfy.
    pub policy: Policy,
    /// The addresses that certificates may come from.
    pub prefixes: Prefixes,
    /// The prefixes among them that are fetched without TLS.
    pub insecure_prefixes: Vec<Prefix>,
    /// How certificates are fetched.
    pub fetch: FetchOptions,
    /// The certificate to fetch at the start, before a push names it.
    pub prefetch: Option<SigningCertUrl>,
    /// The directory of cached certificates.
    pub certificate_dir: PathBuf,
    /// Which pushes are meant for us.
    pub admission: Admission,
    /// The directory of both logs.
    pub log_dir: PathBuf,
    /// The permissions of new logs.
    pub log_mode: u32,
    /// The most bytes of refused requests that are stored; 0 stores none.
    pub quarantine_bytes: u64,
    /// How both logs are written, rotated and deleted.
    pub journal: Settings,
    /// Which log entries are also printed to stdout.
    pub stdout: Option<Copied>,
    /// The format of the diagnostic log.
    pub diagnostics_format: Format,
    /// Whether the diagnostic log also goes to a file.
    pub diagnostics: bool,
    /// The collector that traces are sent to, if pushes are traced.
    pub traces: Option<traces::Options>,
    /// The admin listener, if there is one.
    pub admin: Option<AdminOptions>,
    /// The destinations that notifications are forwarded to.
    pub forward: Vec<forward::Settings>,
    /// Environment variables that look like keys but are not read, each with the name that would be
    /// read.
    pub unread_variables: Vec<(String, String)>,
    keys: BTreeMap<String, String>,
}

impl Config {
    /// Reads all layers and checks every value.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let (read, layers) = layers::read(sources)?;
        // The checks know only the key; the layers know where it was set.
        Self::check(read, sources).map_err(|error| error.placed(|key| layers.place(key)))
    }

    /// The keys whose values differ in `other` and are read only at the start.
    #[must_use]
    pub fn keys_for_restart(&self, other: &Self) -> Vec<String> {
        let is_reloaded = |key: &str| {
            // Certificates are read again, but a listener cannot change between plain HTTP and TLS.
            let tls_stays = self.tls.is_some() == other.tls.is_some();
            // The journal uses accept.duplicates, and a reload does not replace the journal.
            let is_admission = key.starts_with("accept.") && key != "accept.duplicates";
            // The prefetch happens at the start only.
            let is_signing = key.starts_with("signing.") && key != "signing.prefetch";
            is_signing || is_admission || (key.starts_with("server.tls.") && tls_stays)
        };
        // The file may have the same name but a different token.
        let is_other_token = match (&self.admin, &other.admin) {
            (Some(ours), Some(theirs)) => ours.access.token != theirs.access.token,
            _ => false,
        };
        let all = self
            .keys
            .keys()
            .chain(other.keys.keys())
            .collect::<BTreeSet<_>>();
        // Compared as text after merging, because `a,b` and ["a", "b"] are the same list.
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

    /// Reads the secret path if one is configured, and creates it if its file is missing. Until
    /// then nothing is served.
    ///
    /// # Errors
    /// [`SecretPathError`] if the file cannot be read or created, or is not valid.
    pub fn reveal_path(&mut self) -> Result<(), SecretPathError> {
        if let Some(file) = &self.secret_path_file {
            self.server.paths = Paths::Secret(SecretPath::read_or_make(file)?);
        }
        Ok(())
    }

    /// Reads the secret path without creating it, for commands that examine what a `serve`
    /// received. Returns the file if it does not exist.
    ///
    /// # Errors
    /// [`SecretPathError`] if the file cannot be read or is not valid.
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

    fn check(read: layers::Read, sources: &Sources) -> Result<Self, ConfigError> {
        let trust = &sources.trust;
        let layers::Read {
            raw,
            file,
            origin,
            keys,
            set,
            unread_variables,
        } = read;
        let RawConfig {
            server,
            signing,
            accept,
            logs,
            admin,
            telemetry,
            forward,
        } = raw;
        let secret_path_file =
            Some(&server.secret_path_file).filter(|file| !file.as_os_str().is_empty());
        let paths = serving::check_paths(&server.paths.0, secret_path_file.is_some())?;
        let (prefixes, insecure_prefixes) = certificates::check_prefixes(&signing, trust)?;
        let forward = forward_tables::check(&forward, &set, accept.duplicates)?;
        Ok(Self {
            file,
            origin,
            listen: serving::check_listen(&server.listen.0)?,
            public_url: serving::check_public_url(&server.public_url, paths.as_ref())?,
            secret_path_file: secret_path_file.cloned(),
            trusted_proxies: net::TrustedProxies::new(check_networks(
                "server.trusted_proxies",
                &server.trusted_proxies.0,
            )?),
            drain_delay: server.drain_delay.0,
            drain: positive("server.drain", server.drain.0)?,
            net: serving::check_limits(&server)?,
            server: serving::check_settings(&server, paths, &logs)?,
            tls: serving::check_tls(server.tls)?,
            policy: certificates::check_policy(&signing)?,
            prefetch: certificates::check_prefetch(signing.prefetch, trust, &prefixes),
            prefixes,
            insecure_prefixes,
            fetch: certificates::check_fetch(&signing)?,
            certificate_dir: check_dir("signing.certificate_dir", signing.certificate_dir)?,
            forward,
            journal: logs::check_journal(&logs, accept.duplicates)?,
            admission: accept::check(accept)?,
            log_dir: check_dir("logs.dir", logs.dir)?,
            log_mode: logs.mode.0,
            quarantine_bytes: u64::try_from(logs.quarantine_bytes.0).unwrap_or(u64::MAX),
            stdout: logs::copied(logs.stdout),
            diagnostics_format: telemetry.format.into(),
            diagnostics: logs.diagnostics,
            traces: telemetry::check_traces(&telemetry, &sources.environment)?,
            admin: admin::check(admin)?,
            unread_variables,
            keys,
        })
    }
}
