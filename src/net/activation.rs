//! Sockets that a service manager such as systemd has opened and hands over.
//!
//! They stay open during a restart: connections queue in them, and none is refused.

use std::io;

use socket2::{Domain, Socket};
use tokio::net::TcpListener;

/// Why the inherited sockets cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum NotListening {
    /// `LISTEN_PID` or `LISTEN_FDS` is not a number.
    #[error("LISTEN_PID or LISTEN_FDS in the environment is not a number")]
    Environment,
    /// One is another kind of socket.
    #[error("socket {0} of LISTEN_FDS is not a listening TCP socket")]
    OtherKind(usize),
    /// The system rejects one.
    #[error("socket {number} of LISTEN_FDS cannot be used")]
    Unusable {
        /// The index of the socket, from 0.
        number: usize,
        /// The error of the system.
        source: io::Error,
    },
}

/// Returns the inherited sockets in order; empty if nothing was inherited. Call it once: the file
/// descriptors can have only one owner.
///
/// # Errors
/// [`NotListening`]
pub fn inherited() -> Result<Vec<TcpListener>, NotListening> {
    let handed_over = sd_listen_fds::get().map_err(|_malformed| NotListening::Environment)?;
    let take = |(number, (_name, socket)): (usize, (Option<String>, sd_listen_fds::OwnedFd))| {
        let socket = Socket::from(socket.into_std());
        // A unit may also pass Unix sockets, and with `Accept=yes` a connection instead of a
        // listener.
        let is_tcp = matches!(socket.domain(), Ok(Domain::IPV4 | Domain::IPV6));
        if !is_tcp || !socket.is_listener().unwrap_or_default() {
            return Err(NotListening::OtherKind(number));
        }
        // The manager passes them without CLOEXEC, as otherwise they would not survive its exec,
        // and leaves blocking mode to the unit; tokio needs non-blocking sockets.
        let prepared = socket
            .set_cloexec(true)
            .and_then(|()| socket.set_nonblocking(true));
        prepared
            .and_then(|()| TcpListener::from_std(socket.into()))
            .map_err(|source| NotListening::Unusable { number, source })
    };
    handed_over.into_iter().enumerate().map(take).collect()
}
