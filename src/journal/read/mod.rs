//! Reads the logs back: by record, to identify notifications and to verify a file; and by row, to
//! follow new rows or to search from the newest back.
//!
//! A row is the record of a request together with the record of its outcome, or a single record.

mod accepted;
mod bisect;
mod chain;
mod event;
mod filter;
mod follow;
mod from_memory;
mod held;
mod horizon;
mod look_up;
mod needle;
mod newest;
mod next_file;
mod page;
mod parsed;
mod parts;
mod places;
mod position;
mod records;
mod row;
mod search;
mod spans;
mod start;
mod successor;
#[cfg(test)]
mod tests;
mod time;
mod trail;
mod verdict;
mod verify;

pub use accepted::{NotificationKey, accepted};
pub use chain::Chain;
pub use event::{Event, Polled, Saved, Start};
pub use filter::Filter;
pub use follow::{Follower, POLL_INTERVAL};
pub use from_memory::{Remembered, RememberedRow};
pub use horizon::Horizon;
pub use look_up::{Lookup, look_up};
pub use newest::newest;
pub use page::{Budget, Page, Progress, SearchStart};
pub use parts::Parts;
pub use places::NoPlace;
pub use position::{NoPosition, Position};
pub use records::{Damage, Found, Records};
pub use row::{Labels, Outcome, Row};
pub use search::Search;
pub use time::RecordTime;
pub use verdict::{Verdict, goes_back};
pub use verify::verify;
