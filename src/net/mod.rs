//! Sockets: from a bound listener to requests, with a bound on everything a peer can take.
//!
//! axum's own `serve` sets no timer and no bound on connections; this accept loop has both.

mod accept;
mod activation;
mod activity;
mod counters;
mod header_case;
mod limits;
pub(crate) mod proxies;
mod reach;
mod responder;
mod slots;
mod stream;
mod tls;
mod turned_away;

pub use accept::{Arrival, Connection, Front, bind, has_ipv6, serve};
pub use activation::{NotListening, inherited};
pub use counters::Counters;
pub use header_case::HeaderCase;
pub use limits::{HEAD_BYTES_MAX, Limits, raise_file_limit};
pub use proxies::TrustedProxies;
pub use reach::{is_private, is_private_host};
pub use responder::Responder;
pub use tls::{Tls, TlsError, TlsFiles};
