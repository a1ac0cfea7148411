//! What is on disk: the access log and the endpoint log of one port, written together.
//!
//! A [`Record`] and an [`AccessLine`] turn into an [`Entry`], [`Journal::append`] hands the entry
//! to the one thread that owns both files, and a [`Receipt`] comes back when both are synced. No
//! other code can make a receipt, and no answer of 201 can be made without one.
//! `docs/design/journal.md` has the format, the commit rule and what is assumed of the disk.

mod batch;
mod entry;
mod file_storage;
mod files;
#[expect(
    clippy::module_inception,
    reason = "the handle is named as users of the folder know it"
)]
mod journal;
mod medium;
mod meters;
mod pair;
mod read;
mod record;
pub(crate) mod recovery;
mod retention;
mod room;
mod seen;
mod settings;
mod shared;
mod storage;
mod tee;
mod writer;

pub use batch::Receipt;
pub use entry::{Entry, Identity, JournalError};
pub use file_storage::{FileOptions, FileStorage, OpenError};
pub use files::{DIAGNOSTICS, Names};
pub use journal::Journal;
pub use medium::Medium;
pub use meters::Meters;
pub use read::{Damage, Found, NotificationKey, Records, Verdict, accepted, goes_back, verify};
pub use record::{
    AccessField, AccessLine, Format, Level, Place, RECOVERED, Record, RecordRequest, SUCCEED,
    Stamp, escaped, json_text, unescape, unescape_bytes,
};
pub use recovery::{DamagedLog, Recovered, TornTail};
pub use room::{Limits, Waits};
pub use settings::{Duplicates, Settings, SyncMode};
pub use shared::{REFUSAL_COOLDOWN, STALL_LIMIT};
pub use storage::{Log, Reading, Storage};
