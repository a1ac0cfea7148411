//! The address to give to a subscription.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::config::{Config, DEFAULT_PATH};
use crate::net;
use crate::server::Paths;

/// The address to give to a subscription, and whether others can reach it as far as we can tell.
pub(super) fn public_address(config: &Config, bound: SocketAddr) -> (String, bool) {
    if let Some(url) = &config.public_url {
        return (url.clone(), true);
    }
    let ip = reachable_ip(bound.ip());
    let path = match &config.server.paths {
        Paths::These(paths) => paths.first().filter(|path| *path != DEFAULT_PATH).map_or("", String::as_str),
        Paths::Any => "",
    };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    (format!("{scheme}://{}{path}", SocketAddr::new(ip, bound.port())), !net::is_private(ip))
}

/// The address by which others reach us: the one listened on, else that of the default route.
fn reachable_ip(listening: IpAddr) -> IpAddr {
    if !listening.is_unspecified() {
        return listening;
    }
    // Connecting a datagram socket sends nothing: it only asks the routing table. The address is reserved
    // for documentation.
    let probe = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    probe.map_or(listening, |address| address.ip())
}
