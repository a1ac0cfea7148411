//! The keys of the admin listener.

use std::net::SocketAddr;
use std::path::Path;

use crate::admin;
use crate::bounded;
use crate::config::checks::is_name;
use crate::config::error::impossible;
use crate::config::{ConfigError, raw};

/// The key that names the file with the token.
pub(super) const TOKEN_FILE: &str = "admin.token_file";
/// The largest file with a token, in bytes.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;
/// The paths that the admin listener may serve without a token.
const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The settings of the admin listener.
#[derive(Debug, Clone)]
pub struct AdminOptions {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Who may request what.
    pub access: admin::Access,
    /// The URL prefixes to which a notification may be replayed, besides loopback.
    pub replay_to: Vec<String>,
}

/// Checks the keys, and reads the token: the listener must not start without a token that it should
/// have.
pub(super) fn check(raw: raw::Admin) -> Result<Option<AdminOptions>, ConfigError> {
    if raw.listen == "off" {
        return Ok(None);
    }
    let allowed = "write an address and a port, as in 127.0.0.1:9080; \"off\" is possible too";
    let listen: SocketAddr = raw
        .listen
        .parse()
        .map_err(|_not_an_address| impossible("admin.listen", &raw.listen, allowed))?;
    let token = check_token(&raw.token_file)?;
    // Canonical, because an IPv4-mapped address such as ::ffff:127.0.0.1 is loopback as well.
    if token.is_none() && !listen.ip().to_canonical().is_loopback() {
        return Err(impossible(
            "admin.listen",
            &raw.listen,
            "other machines reach it: admin.token_file is needed",
        ));
    }
    if let Some(path) = raw
        .open
        .0
        .iter()
        .find(|path| !PATHS.contains(&path.as_str()))
    {
        return Err(impossible(
            "admin.open",
            path,
            "/healthz, /readyz and /metrics are possible",
        ));
    }
    // The port in the Host header is removed before it is compared, so a name with a port would
    // never match.
    if let Some(host) = raw.hosts.0.iter().find(|host| !is_name(host)) {
        let allowed = "write the name alone, as in mns.example.com: no http://, port or *";
        return Err(impossible("admin.hosts", host, allowed));
    }
    if let Some(prefix) = raw.replay_to.0.iter().find(|prefix| !is_prefix(prefix)) {
        let allowed = "write an http or https address that ends with /, as in \
            https://staging.example.com/";
        return Err(impossible("admin.replay_to", prefix, allowed));
    }
    Ok(Some(AdminOptions {
        listen,
        access: admin::Access {
            // Without a file, serve generates a token for the inspector later.
            inspector_token: token.clone(),
            token,
            open: raw.open.0,
            hosts: raw.hosts.0,
        },
        replay_to: raw.replay_to.0,
    }))
}

/// Whether it is a prefix of URLs that names a whole host. Without a `/` after the host it would
/// match other hosts as well.
fn is_prefix(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.and_then(|rest| rest.split_once('/'))
        // Text before an `@` would be a user name, and the host would be another one than it seems.
        .is_some_and(|(host, _)| !host.is_empty() && !host.contains('@') && text.ends_with('/'))
}

fn check_token(file: &Path) -> Result<Option<String>, ConfigError> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let shown = file.display().to_string();
    let text = bounded::read_text(file, TOKEN_FILE_BYTES_MAX).map_err(|error| {
        impossible(
            TOKEN_FILE,
            &shown,
            &format!("the file cannot be read: {error}"),
        )
    })?;
    // An editor ends the file with a line feed.
    match text.trim() {
        "" => Err(impossible(TOKEN_FILE, &shown, "there is no token in it")),
        // The token has to fit into a header value.
        token if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(token.to_owned())),
        _ => Err(impossible(
            TOKEN_FILE,
            &shown,
            "a token is one word of ASCII letters, digits and signs",
        )),
    }
}
