//! The admin listener: liveness, readiness, metrics and the inspector.

mod access;
mod admin;
mod exposition;
mod inspector;
mod ready;
mod respond;
mod routes;
mod wrong_tokens;

pub use access::Access;
pub use admin::{Admin, Sources};
pub use inspector::{About, Inspector, LogSource};
pub use ready::Part;
