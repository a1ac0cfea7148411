//! TLS on accepted sockets: one certificate and its key, reloaded when they change.
//!
//! A pair that cannot be used never replaces one that can.

mod files;
mod last_look;
mod pair;
mod tls;

pub use files::{TlsError, TlsFiles};
pub use tls::Tls;
