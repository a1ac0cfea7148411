//! Hands accepted notifications on: one task, cursor and bound for each destination.
//!
//! It reads the endpoint log up to what is committed, and a [`Sink`] takes each [`Outgoing`]. Only
//! a sink makes a [`Delivered`], so nothing counts as taken that no destination has acknowledged.
//! At least once: what was in flight at a crash is sent again, under the same id.

mod outgoing;
mod settings;
mod sink;

pub use outgoing::Outgoing;
pub use settings::{
    Ack, Body, Create, Dedupe, Destination, HttpOptions, Login, NatsOptions, NewStream, Settings,
    StartAt, TlsOptions, WhenFull,
};
pub use sink::{Delivered, Failure, Reason, Sink};
