//! A client of the REST API for topics, subscriptions and publishing, for MNS and compatible
//! services.

mod base;
mod bounds;
mod client;
mod connection;
mod error;
mod list;
mod retry;

pub use base::{Base, BaseError};
pub use client::{Client, Created, Published};
pub use error::{ClientError, EndlessList};
