//! Sockets: from a bound listener to requests, with a limit on everything that a peer can use.
//!
//! axum's own `serve` has no timers and no limit on connections; this accept loop has both.

mod accept;
mod activation;
mod activity;
mod answer_body;
mod arrival;
mod connection;
mod counters;
mod frontend;
mod header_case;
mod limits;
mod listener;
pub(crate) mod proxies;
mod reach;
mod responder;
mod slots;
mod stream;
mod tls;
mod tracker;
mod turned_away;
mod workers;

pub use accept::serve;
pub use activation::{NotListening, inherited};
pub use answer_body::streamed;
pub use arrival::{Arrival, Connection};
pub use counters::Counters;
pub use frontend::Frontend;
pub use header_case::HeaderCase;
pub use limits::{HEAD_BYTES_MAX, Limits, raise_file_limit};
pub use listener::{bind, has_ipv6};
pub use proxies::TrustedProxies;
pub use reach::{is_private, is_private_host};
pub use responder::Responder;
pub use tls::{Tls, TlsError, TlsFiles};
pub use workers::Workers;
