//! The account that the emulator plays: its topics, subscriptions and undelivered messages.
//!
//! One thread owns the database and does one piece of work after another, so each is atomic: nobody
//! sees half of it, and what a client was answered is on disk if the account has a directory.
//! Without one the same database lives in memory.

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
