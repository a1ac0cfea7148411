//! Delivering a push: one connection to an endpoint, byte for byte what MNS sends.

mod answer;
mod connection;
mod error;
mod target;

pub use answer::Answer;
pub use connection::Connection;
pub use error::{ANSWER_TIMEOUT, DeliveryError};
pub use target::{Target, TargetError};
