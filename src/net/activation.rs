//! Sockets that a service manager has opened and hands over, as systemd does.
//!
//! They stay open while we restart: connections wait in them and none is refused.

use std::io;

use socket2::{Domain, Socket};
use tokio::net::TcpListener;

/// Why the sockets that were handed over cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum NotListening {
    /// `LISTEN_PID` or `LISTEN_FDS` is not a number.
    #[error("LISTEN_PID or LISTEN_FDS in the environment is no number")]
    Environment,
    /// Another kind of socket.
    #[error("socket {0} of LISTEN_FDS is no TCP socket that listens")]
    OtherKind(usize),
    /// The system refuses it.
    #[error("socket {number} of LISTEN_FDS cannot be used")]
    Unusable {
        /// Its place, from 0.
        number: usize,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes the sockets that were handed over, in their order; none if there are none. Only once in a
/// process: the file descriptors have one owner.
///
/// # Errors
/// [`NotListening`]
pub fn inherited() -> Result<Vec<TcpListener>, NotListening> {
    let handed_over = sd_listen_fds::get().map_err(|_malformed| NotListening::Environment)?;
    let take = |(number, (_name, socket)): (usize, (Option<String>, sd_listen_fds::OwnedFd))| {
        let socket = Socket::from(socket.into_std());
        let is_tcp = matches!(socket.domain(), Ok(Domain::IPV4 | Domain::IPV6));
        if !is_tcp || !socket.is_listener().unwrap_or_default() {
            return Err(NotListening::OtherKind(number));
        }
        let prepared = socket
            .set_cloexec(true)
            .and_then(|()| socket.set_nonblocking(true));
        prepared
            .and_then(|()| TcpListener::from_std(socket.into()))
            .map_err(|source| NotListening::Unusable { number, source })
    };
    handed_over.into_iter().enumerate().map(take).collect()
}
