//! The second listener: is it alive, is it ready, and what was counted.

mod access;
mod exposition;
mod ready;
mod respond;
mod routes;

pub use access::Access;
pub use ready::Part;
pub use routes::{Sources, router};
