//! The keys of the server: where it listens, what it serves, and its public address.

use std::net::{Ipv6Addr, SocketAddr};

use crate::config::checks::{at_least_one, positive};
use crate::config::error::impossible;
use crate::config::logs::check_access_fields;
use crate::config::{ConfigError, raw};
use crate::mns::DEFAULT_PATH;
use crate::net;
use crate::server::{self, Paths};

pub(super) fn check_listen(list: &[String]) -> Result<Vec<SocketAddr>, ConfigError> {
    const KEY: &str = "server.listen";
    let parse = |text: &String| {
        let allowed = "write an address and a port, as in 0.0.0.0:8080 or [::]:8080";
        text.parse::<SocketAddr>()
            .map_err(|_not_an_address| impossible(KEY, text, allowed))
    };
    let addresses = list.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = addresses.first() else {
        return Err(impossible(KEY, "", "at least one address is needed"));
    };
    // The socket of [::] is dual stack, so a second one for IPv4 on the same port could not be
    // bound.
    if addresses
        .iter()
        .any(|address| address.ip() == Ipv6Addr::UNSPECIFIED)
        && addresses.iter().any(SocketAddr::is_ipv4)
    {
        return Err(impossible(
            KEY,
            &list.join(","),
            "[::] takes IPv4 as well: leave the IPv4 addresses out",
        ));
    }
    if addresses
        .iter()
        .any(|address| address.port() != first.port())
    {
        return Err(impossible(
            KEY,
            &list.join(","),
            "all addresses must have the same port: the logs are named after it",
        ));
    }
    Ok(addresses)
}

/// Returns `None` if the path is secret: these paths are then not used.
pub(super) fn check_paths(list: &[String], is_secret: bool) -> Result<Option<Paths>, ConfigError> {
    const KEY: &str = "server.paths";
    if is_secret {
        return Ok(None);
    }
    if list.iter().any(|path| path == "*") {
        return Ok(Some(Paths::Any));
    }
    if list.is_empty() {
        return Err(impossible(
            KEY,
            "",
            "at least one path is needed; \"*\" serves every path",
        ));
    }
    match list.iter().find(|path| !is_path(path)) {
        Some(path) => Err(impossible(
            KEY,
            path,
            "a path begins with / and has no query, fragment or blank",
        )),
        None => Ok(Some(Paths::These(list.to_vec()))),
    }
}

fn check_health_path(path: String) -> Result<Option<String>, ConfigError> {
    match path {
        path if path.is_empty() => Ok(None),
        path if is_path(&path) => Ok(Some(path)),
        path => Err(impossible(
            "server.health_path",
            &path,
            "a path begins with /; \"\" switches it off",
        )),
    }
}

/// Checks the prefix. `paths` is the result of [`check_paths`].
fn check_path_prefix(prefix: String, paths: Option<&Paths>) -> Result<String, ConfigError> {
    const KEY: &str = "server.public_path_prefix";
    if prefix.is_empty() {
        return Ok(prefix);
    }
    if !is_path(&prefix) || prefix.ends_with('/') {
        return Err(impossible(
            KEY,
            &prefix,
            "it begins with / and does not end with one; \"\" for no prefix",
        ));
    }
    match paths {
        Some(Paths::These(paths)) if !paths.iter().any(|path| path.starts_with(&prefix)) => {
            Err(impossible(
                KEY,
                &prefix,
                "none of server.paths begins with it, so nothing would be served",
            ))
        }
        _ => Ok(prefix),
    }
}

/// Builds the settings of the server and its logging. `paths` is the result of [`check_paths`].
pub(super) fn check_settings(
    server: &raw::Server,
    paths: Option<Paths>,
    logs: &raw::Logs,
) -> Result<server::Settings, ConfigError> {
    Ok(server::Settings {
        path_prefix: check_path_prefix(server.public_path_prefix.clone(), paths.as_ref())?,
        // A secret path is read from its file later. Until then nothing may be served.
        paths: paths.unwrap_or_else(|| Paths::These(Vec::new())),
        health_path: check_health_path(server.health_path.clone())?,
        body_bytes_max: at_least_one("server.max_body", server.max_body.0)?,
        body_timeout: positive("server.body_timeout", server.body_timeout.0)?,
        format: logs.format.into(),
        request_detail: logs.request,
        refused_body_bytes: logs.refused_body.0,
        refused_per_second: logs.refused_rate.0.map(|rate| rate.0),
        refused_line_bytes: logs.refused_bytes.0.map(|rate| rate.0),
        prints_messages: logs.stdout == raw::Stdout::Messages,
        access_fields: check_access_fields(&logs.access_fields.0)?,
    })
}

/// Checks the bounds on connections.
pub(super) fn check_limits(server: &raw::Server) -> Result<net::Limits, ConfigError> {
    let heads_max = server.heads_max.0;
    // A head counts with the memory that it takes, which is twice its length for the largest.
    if heads_max < net::HEAD_BYTES_MAX.saturating_mul(2) {
        let allowed = "at least 64KiB, which is what one head of 32KiB takes";
        return Err(impossible(
            "server.heads_max",
            &heads_max.to_string(),
            allowed,
        ));
    }
    Ok(net::Limits {
        connections_max: at_least_one("server.max_connections", server.max_connections)?,
        head_timeout: positive("server.head_timeout", server.head_timeout.0)?,
        idle_timeout: positive("server.idle_timeout", server.idle_timeout.0)?,
        head_bytes_max: u64::try_from(heads_max).unwrap_or(u64::MAX),
    })
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
}

/// Checks the public address. `paths` is the result of [`check_paths`].
pub(super) fn check_public_url(
    url: &str,
    paths: Option<&Paths>,
) -> Result<Option<String>, ConfigError> {
    const KEY: &str = "server.public_url";
    if url.is_empty() {
        return Ok(None);
    }
    let parsed = url.parse::<http::Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && uri.query().is_none()
    });
    let Some(uri) = parsed else {
        return Err(impossible(
            KEY,
            url,
            "write http://HOST[:PORT][/PATH] or the same with https",
        ));
    };
    if paths.is_none() && uri.path() != "/" {
        return Err(impossible(
            KEY,
            url,
            "leave its path out: server.secret_path_file makes it",
        ));
    }
    // MNS posts to its default path if the address has no path, but `http://HOST/` has one:
    // `uri.path()` is `/` for both, so count the slashes.
    let path = if url.matches('/').count() > 2 {
        uri.path()
    } else {
        DEFAULT_PATH
    };
    match paths {
        Some(Paths::These(paths)) if !paths.iter().any(|served| served == path) => Err(impossible(
            KEY,
            url,
            &format!("MNS would post to {path}, which is not one of server.paths"),
        )),
        _ => Ok(Some(url.to_owned())),
    }
}

pub(super) fn check_tls(tls: raw::Tls) -> Result<Option<net::TlsFiles>, ConfigError> {
    let raw::Tls {
        certificate,
        private_key,
    } = tls;
    let problem = "certificate and private_key go together: name both, or none for plain HTTP";
    match (
        certificate.as_os_str().is_empty(),
        private_key.as_os_str().is_empty(),
    ) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(net::TlsFiles {
            certificate,
            private_key,
        })),
        (true, false) => Err(impossible("server.tls.certificate", "", problem)),
        (false, true) => Err(impossible("server.tls.private_key", "", problem)),
    }
}
