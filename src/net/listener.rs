//! Binding an address, for both IPv4 and IPv6.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::net::limits::BACKLOG;

/// Binds an address. `[::]` is dual stack, and falls back to `0.0.0.0` on a machine without IPv6.
///
/// # Errors
/// The address is in use or does not belong to this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match bind_exactly(address) {
        // Only for `[::]`, which means every address: whoever names another IPv6 address wants that
        // one.
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED && !has_ipv6() => bind_exactly(
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
        ),
        bound => bound,
    }
}

/// Whether this machine has IPv6 sockets: a kernel may be built or booted without them.
#[must_use]
pub fn has_ipv6() -> bool {
    Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).is_ok()
}

fn bind_exactly(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // Set explicitly, because the default is a setting of the machine.
        socket.set_only_v6(false)?;
    }
    // Connections of the previous process remain in TIME_WAIT and would otherwise block the
    // address.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
