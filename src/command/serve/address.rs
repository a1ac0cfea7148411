//! The address to give to a subscription.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::config::Config;
use crate::mns::DEFAULT_PATH;
use crate::net;
use crate::server::{Paths, SecretPath};

/// The address to give to a subscription, and whether others can reach it, as far as known. Hides a
/// secret path.
pub(crate) fn public_address(config: &Config, bound: SocketAddr) -> (String, bool) {
    let hidden = config
        .secret_path_file
        .as_ref()
        .map(|_file| SecretPath::hidden());
    address_with(config, bound, hidden.as_deref())
}

/// The same, including its secret path.
pub(crate) fn secret_address(config: &Config, bound: SocketAddr, secret: &SecretPath) -> String {
    address_with(config, bound, Some(&secret.revealed())).0
}

fn address_with(config: &Config, bound: SocketAddr, secret: Option<&str>) -> (String, bool) {
    let prefix = &config.server.path_prefix;
    if let Some(url) = &config.public_url {
        let whole = secret.map(|secret| format!("{}{prefix}{secret}", url.trim_end_matches('/')));
        let host = url
            .parse::<http::Uri>()
            .ok()
            .and_then(|url| Some(url.host()?.to_owned()));
        let is_public = host.is_none_or(|host| !net::is_private_host(&host));
        return (whole.unwrap_or_else(|| url.clone()), is_public);
    }
    let ip = reachable_ip(bound.ip());
    let path = match (secret, &config.server.paths) {
        (Some(secret), _) => format!("{prefix}{secret}"),
        // MNS adds the default path itself.
        (None, Paths::These(paths)) => paths
            .first()
            .filter(|path| *path != DEFAULT_PATH)
            .cloned()
            .unwrap_or_default(),
        (None, Paths::Any | Paths::Secret(_)) => String::new(),
    };
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    (
        format!("{scheme}://{}{path}", SocketAddr::new(ip, bound.port())),
        !net::is_private(ip),
    )
}

/// The address by which others reach this machine: the one listened on, or else that of the default
/// route.
pub(crate) fn reachable_ip(listening: IpAddr) -> IpAddr {
    if !listening.is_unspecified() {
        return listening;
    }
    // Connecting a datagram socket sends nothing: it only queries the routing table. The address is
    // reserved for documentation.
    let probe = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    // Without a route, as in a container without a network, there is nothing better to show.
    probe.map_or(listening, |address| address.ip())
}
