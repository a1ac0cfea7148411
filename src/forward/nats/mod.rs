//! NATS JetStream as a destination: a stream that has each notification once.
//!
//! The only folder that names `async-nats`. A connection is made, used until it is lost, and thrown
//! away with all that waits in it, so nothing is queued without one and every file is read
//! again for the next one.

mod acks;
mod answer;
mod connect;
mod connection;
mod creds;
mod duplicate_window;
mod examine;
mod info;
mod leader;
mod link;
mod monitor;
mod sink;
mod stream;

pub(crate) use creds::CAN_SIGN;
pub use examine::{Observation, Weight, examine};
pub use sink::NatsSink;
