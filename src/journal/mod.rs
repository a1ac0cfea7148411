//! The journal: the access log and the endpoint log of one port, written together.
//!
//! The caller writes a [`Record`] and an [`AccessLine`] into an [`Entry`]. [`Journal::append`]
//! hands the entry to the one thread that owns both files, and returns a [`Receipt`] once the entry
//! is durable. Only a [`Committed`] batch yields receipts, and a 201 cannot be built without one.
//! `docs/design/journal.md` describes the format, the commit rule and the assumptions about the
//! disk.

mod batch;
mod chores;
mod commit;
mod duplicates;
mod entry;
mod following;
mod gather;
mod health;
mod journal;
mod logs;
mod meters;
mod notification;
mod read;
mod record;
mod room;
mod settings;
mod shared;
mod storage;
mod tee;
mod writer;

pub use batch::Receipt;
#[cfg(fuzzing)]
pub(crate) use commit::frame;
pub use commit::{COMMIT_LOG_BYTES_MIN, Uncovered, commit_log_bytes, repair, uncovered};
pub use entry::{Entry, Identity, JournalError};
pub use health::{Health, REFUSAL_COOLDOWN, STALL_LIMIT, Space};
pub use journal::Journal;
#[cfg(fuzzing)]
pub(crate) use logs::torn;
pub use logs::{
    DIAGNOSTICS, DamagedLog, FileOptions, HighWaterMark, Hold, Log, LogFiles, LogTail, LogsSynced,
    Names, Numbering, OpenError, Recovered, Replayed, TornTail, is_old, old_before, torn_ends,
};
pub use meters::{CommitLogMeters, Meters};
pub use notification::{AcceptedRows, LoggedNotification};
pub use read::{
    Budget, Chain, Damage, Event, Filter, Follower, Found, Horizon, Labels, Lookup, NoPlace,
    NoPosition, NotificationKey, Outcome, POLL_INTERVAL, Page, Parts, Polled, Position, Progress,
    RecordTime, Records, Remembered, RememberedRow, Row, Saved, Search, SearchStart, Start,
    Verdict, accepted, goes_back, look_up, newest, verify,
};
pub use record::{
    AccessField, AccessLine, Format, Head, Level, MessageLine, Place, RECOVERED, Record,
    RecordOrigin, RecordRequest, SUCCEED, Stamp, Stamps, escaped, json_text, unescape,
    unescape_bytes,
};
pub use room::{Limits, Waits};
pub use settings::{Duplicates, Settings, SyncMode};
pub use storage::Committed;
pub use tee::{Copied, Tee};
