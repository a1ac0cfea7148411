//! What is on disk: the access log and the endpoint log of one port, written together.
//!
//! A [`Record`] and an [`AccessLine`] turn into an [`Entry`], [`Journal::append`] hands the entry
//! to the one thread that owns both files, and a [`Receipt`] comes back when both are synced. No
//! other code can make a receipt, and no answer of 201 can be made without one.
//! `docs/design/journal.md` has the format, the commit rule and what is assumed of the disk.

mod access;
mod batch;
mod escape;
mod file_storage;
mod files;
mod medium;
mod meters;
mod pair;
mod queue;
mod reader;
mod record;
pub(crate) mod recovery;
mod retention;
mod seen;
mod settings;
mod shared;
mod stamp;
mod storage;
mod tee;
mod verify;
mod writer;

pub use access::{AccessField, AccessLine};
pub use escape::{escaped, json_text, unescape, unescape_bytes};
pub use file_storage::{FileOptions, FileStorage, OpenError};
pub use files::{DIAGNOSTICS, Names};
pub use medium::Medium;
pub use meters::Meters;
pub use queue::{Entry, Journal, JournalError, Limits, Once};
pub use reader::{Damage, Found, Records, accepted};
pub use record::{Level, Place, RECOVERED, Record, RecordRequest, SUCCEED};
pub use recovery::{DamagedLog, Recovered, TornTail};
pub use seen::SeenKey;
pub use settings::{Duplicates, Settings, SyncMode};
pub use shared::{REFUSAL_TOLD, STALL_TOLD, Waits};
pub use stamp::Stamp;
pub use storage::{Log, Reading, Storage};
pub use verify::{Verdict, goes_back, verify};
pub use writer::Receipt;

/// How the records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The manual's text.
    Text,
    /// One JSON object a line.
    Json,
}
