//! A push endpoint for Alibaba Cloud MNS topics whose 201 is true.
//!
//! Start with [`server`]: a request is read, verified ([`trust`]), decoded ([`mns`]), and made
//! durable ([`journal`]) before it is answered. The modules below are in the order of the layers,
//! and a module imports only from layers above it on this page:
//!
//! | layer | modules |
//! |---|---|
//! | words | [`mns`] |
//! | floor | [`clock`], [`disk`], [`meter`], and small modules that are private |
//! | services | [`trust`], [`journal`], [`quarantine`], [`net`] |
//! | forwarding | [`forward`] |
//! | roles | [`server`], [`client`], [`emulator`] |
//! | judgement | a small module that is private |
//! | views | [`admin`] |
//! | assembly | [`config`], [`command`], and what logs, counts and takes signals |
//!
//! `docs/ARCHITECTURE.md` is the map.

pub mod mns;

mod bounded;
pub mod clock;
pub mod disk;
mod host_name;
pub mod meter;
mod page;
mod report;
mod roots;
mod runtime_thread;
mod span;
mod tls_error;
mod waiting;

pub mod journal;
pub mod net;
pub mod quarantine;
pub mod traces;
pub mod trust;

pub mod forward;

pub mod client;
pub mod emulator;
pub mod server;

mod explain;

pub mod admin;

pub mod command;
pub mod config;
mod metrics;
mod signals;
mod telemetry;

/// What the targets of `fuzz/` use of private modules. Other builds do not contain it.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    use std::io;
    use std::net::SocketAddr;

    use bytes::Bytes;
    use http::{HeaderMap, Request};

    use crate::command::capture;
    use crate::journal::{Log, frame, torn};
    use crate::net::{TrustedProxies, proxies};

    /// Parses a captured request, as `explain` does.
    #[must_use]
    pub fn capture(bytes: &[u8]) -> Option<(Request<Bytes>, &[u8])> {
        capture::read(bytes).ok()
    }

    /// The end of the last complete record of a file, as determined by a start.
    #[must_use]
    pub fn whole_end(log: Log, file: &[u8]) -> Option<usize> {
        torn::whole_end(log, file, true)
    }

    /// Encodes a frame of the commit log with these numbers in its head.
    #[must_use]
    pub fn frame(numbers: [u64; 6], endpoint: &[u8], access: &[u8]) -> Vec<u8> {
        frame::of_parts(numbers, endpoint, access)
    }

    /// Decodes the frame at the beginning, and encodes it again.
    #[must_use]
    pub fn frame_again(bytes: &[u8]) -> Option<Vec<u8>> {
        frame::again(bytes)
    }

    /// The client that a PROXY header names.
    ///
    /// # Errors
    /// The header cannot be parsed.
    pub async fn proxy_header(mut bytes: &[u8], peer: SocketAddr) -> io::Result<SocketAddr> {
        proxies::read_header(&mut bytes, peer).await
    }

    /// The client that X-Forwarded-For names.
    #[must_use]
    pub fn client(proxies: &TrustedProxies, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        proxies.client(peer, headers)
    }
}
