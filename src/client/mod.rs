//! A client of the REST API: topics, subscriptions and publishing, for MNS and for whatever speaks
//! like it.

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
