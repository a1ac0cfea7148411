//! The listeners of `serve`, and the limit on its connections.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;
use tracing::warn;

use crate::config::Config;
use crate::net;

/// Binds all addresses before anything else. All use the port of the first one.
pub(super) fn bind(addresses: &[SocketAddr]) -> anyhow::Result<(Vec<TcpListener>, SocketAddr)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut first: Option<SocketAddr> = None;
    for address in addresses {
        // With port 0 the system chooses the port of the first address, and the others get the
        // same.
        let address = SocketAddr::new(
            address.ip(),
            first.map_or(address.port(), |first| first.port()),
        );
        let listener = net::bind(address).map_err(|error| {
            let fix = match error.kind() {
                // First, because without IPv6 the system returns EAFNOSUPPORT or EADDRNOTAVAIL,
                // depending on how it was disabled.
                _ if address.is_ipv6() && !net::has_ipv6() => {
                    "this machine has no IPv6; use 0.0.0.0 for all its addresses"
                }
                ErrorKind::AddrInUse => {
                    "stop what uses it, or choose another port with --listen (server.listen)"
                }
                ErrorKind::AddrNotAvailable => {
                    "this machine has no such address; use 0.0.0.0 for all its addresses"
                }
                ErrorKind::PermissionDenied => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
                _ => "see --listen (server.listen)",
            };
            anyhow!("cannot listen on {address}: {error}; {fix}")
        })?;
        let bound = listener
            .local_addr()
            .context("cannot get the address of the listener")?;
        first.get_or_insert(bound);
        listeners.push(listener);
    }
    first_of(listeners)
}

/// The listeners, and the address of the first one, whose port is in the names of the logs.
pub(super) fn first_of(
    listeners: Vec<TcpListener>,
) -> anyhow::Result<(Vec<TcpListener>, SocketAddr)> {
    let first = listeners
        .first()
        .context("server.listen names no address")?;
    let address = first
        .local_addr()
        .context("cannot get the address of the listener")?;
    Ok((listeners, address))
}

/// Warns if `[::]` is IPv4 only.
pub(super) fn warn_without_ipv6(config: &Config, bound: SocketAddr) {
    let is_dual_stack = config
        .listen
        .iter()
        .any(|address| address.ip() == Ipv6Addr::UNSPECIFIED);
    if is_dual_stack && bound.ip() == Ipv4Addr::UNSPECIFIED {
        warn!("This machine has no IPv6: listening on 0.0.0.0 instead of [::]");
    }
}

/// The limits on connections, reduced to the number of files that this process may open.
pub(super) fn limits(config: &Config) -> net::Limits {
    let mut limits = config.net.clone();
    limits.connections_max = net::raise_file_limit(limits.connections_max);
    if limits.connections_max < config.net.connections_max {
        warn!(
            connections = limits.connections_max,
            wanted = config.net.connections_max,
            "The limit on open files is too low for server.max_connections: raise it with ulimit \
             -n or LimitNOFILE="
        );
    }
    limits
}
