//! A service that takes POST requests as a destination, with the signature of Standard Webhooks.
//!
//! Each notification is sent in a request of its own. Redirects are not followed and the proxy of
//! the environment is not used. Only the beginning of an answer is read, to explain a failure.

mod answer;
mod current;
mod examine;
mod files;
mod loaded;
mod secret;
mod sink;

pub use examine::{examine_http, look_at_http};
pub use files::InvalidFile;
pub use sink::HttpSink;
