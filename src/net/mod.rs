//! Sockets: from a bound listener to requests, with a bound on everything a peer can take.
//!
//! axum's own `serve` sets no timer and no bound on connections; this accept loop has both.

mod accept;
mod activity;
mod limits;
mod reach;
mod stream;

pub use accept::{Arrival, Counters, bind, serve};
pub use limits::{Limits, raise_file_limit};
pub use reach::is_private;
