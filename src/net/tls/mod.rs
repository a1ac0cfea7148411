//! TLS on accepted sockets: one pair of certificate and key, read again when it changes.
//!
//! A pair that cannot be used never replaces one that can.

mod files;
mod last_look;
mod pair;
mod tls;

pub use files::{TlsError, TlsFiles};
pub use tls::Tls;
