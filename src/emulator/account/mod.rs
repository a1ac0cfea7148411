//! The account that the emulator simulates: its topics, subscriptions and undelivered messages.
//!
//! One thread owns the database and carries out one request after another, so each is atomic:
//! nobody sees a part of it. If the account has a directory, every success that was answered to a
//! client is on disk. Without a directory the same database is in memory.

mod account;
mod books;
mod copies;
mod error;
mod messages;
mod names;
mod overview;
mod subscriptions;
mod tables;
mod topics;

pub(super) use account::{Account, Creation};
pub(super) use error::AccountError;
pub use error::OpenError;
pub(super) use messages::{Delivery, Due, NewMessage, Outcome, Queued};
pub(super) use names::{Key, PAGE_ENTRIES_MAX, Page, Pages};
pub(super) use overview::{COUNTED_MAX, TopicOverview, Waiting};
