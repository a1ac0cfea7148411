//! The configuration: a file, the environment and flags become the settings of each part.
//!
//! [`Sources`] says where to look, [`Config::load`] reads and checks everything before a socket is bound
//! or a file is made. A mistake names the key, the value, what is allowed and where it stands.

mod admin;
mod layers;
mod raw;
mod values;
mod zone;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use admin::AdminOptions;
pub use layers::Sources;
pub use zone::local_zone;

use crate::config::raw::RawConfig;
use crate::journal::{AccessField, Duplicates, Format, Limits, Settings};
use crate::mns::{Prefix, Prefixes};
use crate::net;
use crate::server::{self, Paths};
use crate::trust::{Admission, FetchOptions, KEY_BITS, Policy};

/// The port and path of the manual.
pub const DEFAULT_PATH: &str = "/notifications";

/// A checked configuration, one part for each part of the program.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, or the built-in defaults.
    pub origin: String,
    /// The addresses to listen on, all with one port.
    pub listen: Vec<SocketAddr>,
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
    /// Where good certificates are kept.
    pub certificate_dir: PathBuf,
    /// Which pushes are meant for us.
    pub admission: Admission,
    /// The directory of both logs.
    pub log_dir: PathBuf,
    /// The permissions of new logs.
    pub log_mode: u32,
    /// How both logs are kept.
    pub journal: Settings,
    /// Whether access lines are printed.
    pub stdout: bool,
    /// Whether the diagnostic log also goes to a file.
    pub diagnostics: bool,
    /// The admin listener, where there is one.
    pub admin: Option<AdminOptions>,
    keys: BTreeMap<String, String>,
}

/// A mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that is not of its kind, or a key that does not exist.
    #[error("{0}")]
    Unreadable(String),
    /// A value that is of its kind but cannot be.
    #[error("{key} = {value:?}: {problem}")]
    Impossible {
        /// The path of the key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
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
            key.starts_with("signing.") || key.starts_with("accept.") || (key.starts_with("server.tls.") && tls_stays)
        };
        let all = self.keys.keys().chain(other.keys.keys()).collect::<BTreeSet<_>>();
        let differs = |key: &&String| self.keys.get(*key) != other.keys.get(*key);
        all.into_iter().filter(differs).filter(|key| !is_reloaded(key)).cloned().collect()
    }

    fn check(read: layers::Read, trust: &[String]) -> Result<Self, ConfigError> {
        let layers::Read { raw, origin, keys } = read;
        let RawConfig { server, signing, accept, logs, admin } = raw;
        let paths = check_paths(&server.paths.0)?;
        let (prefixes, insecure_prefixes) = check_prefixes(&signing, trust)?;
        if accept.require_owner && accept.topic_owners.0.is_empty() {
            let problem = "accept.topic_owners is empty: name the accounts whose topics you subscribed to";
            return Err(impossible("accept.require_owner", "true", problem));
        }
        Ok(Self {
            origin,
            listen: check_listen(&server.listen.0)?,
            public_url: check_public_url(&server.public_url, &paths)?,
            trusted_proxies: net::TrustedProxies::new(check_networks(
                "server.trusted_proxies",
                &server.trusted_proxies.0,
            )?),
            drain_delay: server.drain_delay.0,
            drain: positive("server.drain", server.drain.0)?,
            net: net::Limits {
                connections_max: at_least_one("server.max_connections", server.max_connections)?,
                head_timeout: positive("server.head_timeout", server.head_timeout.0)?,
                idle_timeout: positive("server.idle_timeout", server.idle_timeout.0)?,
            },
            tls: check_tls(server.tls)?,
            server: server::Settings {
                path_prefix: check_path_prefix(server.public_path_prefix, &paths)?,
                paths,
                health_path: check_health_path(server.health_path)?,
                body_bytes_max: at_least_one("server.max_body", server.max_body.0)?,
                body_timeout: positive("server.body_timeout", server.body_timeout.0)?,
                format: match logs.format {
                    raw::Format::Text => Format::Text,
                    raw::Format::Json => Format::Json,
                },
                shown: logs.request,
                refused_body_bytes: logs.refused_body.0,
                refused_per_second: logs.refused_rate.0.map(|rate| rate.0),
                access_fields: check_access_fields(&logs.access_fields.0)?,
            },
            policy: Policy {
                max_clock_skew: signing.max_clock_skew.0,
                max_age: signing.max_age.0,
                require_content_md5: signing.require_content_md5,
                min_key_bits: check_key_bits(signing.min_key_bits)?,
            },
            prefixes,
            insecure_prefixes,
            fetch: FetchOptions {
                timeout: check_fetch_timeout(signing.fetch_timeout.0)?,
                via: check_fetch_via(signing.fetch_via)?,
                proxy: check_proxy(signing.proxy)?,
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
            stdout: logs.stdout == raw::Stdout::Access,
            diagnostics: logs.diagnostics,
            admin: admin::check(admin)?,
            keys,
        })
    }
}

fn check_listen(list: &[String]) -> Result<Vec<SocketAddr>, ConfigError> {
    const KEY: &str = "server.listen";
    let parse = |text: &String| {
        let allowed = "write an address and a port, as in 0.0.0.0:8080 or [::]:8080";
        text.parse::<SocketAddr>().map_err(|_not_an_address| impossible(KEY, text, allowed))
    };
    let addresses = list.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = addresses.first() else {
        return Err(impossible(KEY, "", "at least one address is needed"));
    };
    if addresses.iter().any(|address| address.ip() == Ipv6Addr::UNSPECIFIED)
        && addresses.iter().any(SocketAddr::is_ipv4)
    {
        return Err(impossible(KEY, &list.join(","), "[::] takes IPv4 as well: leave the IPv4 addresses out"));
    }
    if addresses.iter().any(|address| address.port() != first.port()) {
        return Err(impossible(
            KEY,
            &list.join(","),
            "all addresses must have the same port: the logs are named after it",
        ));
    }
    Ok(addresses)
}

fn check_paths(list: &[String]) -> Result<Paths, ConfigError> {
    const KEY: &str = "server.paths";
    if list.iter().any(|path| path == "*") {
        return Ok(Paths::Any);
    }
    if list.is_empty() {
        return Err(impossible(KEY, "", "at least one path is needed; \"*\" serves every path"));
    }
    match list.iter().find(|path| !is_path(path)) {
        Some(path) => Err(impossible(KEY, path, "a path begins with / and has no query, fragment or blank")),
        None => Ok(Paths::These(list.to_vec())),
    }
}

fn check_health_path(path: String) -> Result<Option<String>, ConfigError> {
    match path {
        path if path.is_empty() => Ok(None),
        path if is_path(&path) => Ok(Some(path)),
        path => Err(impossible("server.health_path", &path, "a path begins with /; \"\" switches it off")),
    }
}

fn check_path_prefix(prefix: String, paths: &Paths) -> Result<String, ConfigError> {
    const KEY: &str = "server.public_path_prefix";
    if prefix.is_empty() {
        return Ok(prefix);
    }
    if !is_path(&prefix) || prefix.ends_with('/') {
        return Err(impossible(KEY, &prefix, "it begins with / and does not end with one; \"\" is none"));
    }
    match paths {
        Paths::These(paths) if !paths.iter().any(|path| path.starts_with(&prefix)) => {
            Err(impossible(KEY, &prefix, "none of server.paths begins with it, so nothing would be served"))
        }
        Paths::These(_) | Paths::Any => Ok(prefix),
    }
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
}

fn check_public_url(url: &str, paths: &Paths) -> Result<Option<String>, ConfigError> {
    const KEY: &str = "server.public_url";
    if url.is_empty() {
        return Ok(None);
    }
    let parsed = url.parse::<http::Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() && uri.query().is_none()
    });
    let Some(uri) = parsed else {
        return Err(impossible(KEY, url, "write http://HOST[:PORT][/PATH] or the same with https"));
    };
    // As for MNS: an address without a path has the default one, and http://HOST/ has one.
    let path = if url.matches('/').count() > 2 { uri.path() } else { DEFAULT_PATH };
    match paths {
        Paths::These(paths) if !paths.iter().any(|served| served == path) => {
            Err(impossible(KEY, url, &format!("MNS would post to {path}, which is not one of server.paths")))
        }
        Paths::These(_) | Paths::Any => Ok(Some(url.to_owned())),
    }
}

fn check_tls(tls: raw::Tls) -> Result<Option<net::TlsFiles>, ConfigError> {
    let raw::Tls { certificate, private_key } = tls;
    let problem = "certificate and private_key go together: name both, or none for plain HTTP";
    match (certificate.as_os_str().is_empty(), private_key.as_os_str().is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(net::TlsFiles { certificate, private_key })),
        (true, false) => Err(impossible("server.tls.certificate", "", problem)),
        (false, true) => Err(impossible("server.tls.private_key", "", problem)),
    }
}

fn check_prefixes(signing: &raw::Signing, trust: &[String]) -> Result<(Prefixes, Vec<Prefix>), ConfigError> {
    let mut all = Vec::new();
    for text in &signing.certificate_prefixes.0 {
        let extra = signing.extra_regions.0.iter().map(String::as_str);
        let expanded = Prefix::expand(text, extra);
        all.extend(expanded.map_err(|error| impossible("signing.certificate_prefixes", text, &error.to_string()))?);
    }
    for text in trust {
        let slashed = if text.ends_with('/') { text.clone() } else { format!("{text}/") };
        let prefix = Prefix::parse(&slashed).ok().filter(|_| !text.ends_with(".pem"));
        all.push(
            prefix
                .ok_or_else(|| impossible("--trust", text, "write what push prints, as in http://127.0.0.1:9001/"))?,
        );
    }
    let insecure = all.iter().filter(|prefix| !prefix.is_secure()).cloned().collect();
    Ok((Prefixes::new(all), insecure))
}

fn check_fetch_via(hosts: BTreeMap<String, String>) -> Result<HashMap<String, String>, ConfigError> {
    let is_host = |text: &&String| text.parse::<http::uri::Authority>().is_ok_and(|host| !host.as_str().contains('@'));
    if let Some(text) = hosts.iter().flat_map(|(host, via)| [host, via]).find(|text| !is_host(text)) {
        return Err(impossible("signing.fetch_via", text, "write HOST or HOST:PORT, without https://"));
    }
    Ok(hosts.into_iter().collect())
}

fn check_proxy(url: String) -> Result<Option<String>, ConfigError> {
    let is_proxy = |uri: http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    match url {
        url if url.is_empty() => Ok(None),
        url if url.parse().is_ok_and(is_proxy) => Ok(Some(url)),
        url => Err(impossible("signing.proxy", &url, "write http://HOST:PORT; \"\" takes the environment's")),
    }
}

fn check_dir(key: &'static str, dir: PathBuf) -> Result<PathBuf, ConfigError> {
    if dir.as_os_str().is_empty() {
        return Err(impossible(key, "", "a directory is needed; \".\" is the working directory"));
    }
    Ok(dir)
}

fn check_fetch_timeout(timeout: Duration) -> Result<Duration, ConfigError> {
    const KEY: &str = "signing.fetch_timeout";
    if timeout >= server::BUDGET {
        let problem = format!("a request has {:?} in all before MNS gives up: less is needed", server::BUDGET);
        return Err(impossible(KEY, &format!("{timeout:?}"), &problem));
    }
    positive(KEY, timeout)
}

fn check_key_bits(bits: usize) -> Result<usize, ConfigError> {
    if KEY_BITS.contains(&bits) {
        return Ok(bits);
    }
    let problem = format!("{} to {} are possible; the real key has 512", KEY_BITS.start(), KEY_BITS.end());
    Err(impossible("signing.min_key_bits", &bits.to_string(), &problem))
}

fn check_networks(key: &'static str, list: &[String]) -> Result<Vec<ipnet::IpNet>, ConfigError> {
    let parse = |text: &String| {
        let address = text.parse::<IpAddr>().map(ipnet::IpNet::from);
        address
            .or_else(|_| text.parse())
            .map_err(|_not_a_network| impossible(key, text, "write an address or a network, as in 100.64.0.0/10"))
    };
    list.iter().map(parse).collect()
}

fn check_access_fields(list: &[String]) -> Result<Vec<AccessField>, ConfigError> {
    use strum::VariantNames;
    let parse = |text: &String| {
        text.parse::<AccessField>().map_err(|_unknown| {
            impossible("logs.access_fields", text, &format!("{} are possible", AccessField::VARIANTS.join(", ")))
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

fn positive(key: &'static str, span: Duration) -> Result<Duration, ConfigError> {
    if span.is_zero() { Err(impossible(key, "0s", "it must be more than nothing")) } else { Ok(span) }
}

fn at_least_one(key: &'static str, number: usize) -> Result<usize, ConfigError> {
    if number == 0 { Err(impossible(key, "0", "it must be at least 1")) } else { Ok(number) }
}

fn impossible(key: &'static str, value: &str, problem: &str) -> ConfigError {
    ConfigError::Impossible { key, value: value.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests;
