//! The commit log: one sync before a 201, for both logs.

mod checkpoint;
mod checkpointer;
mod commit_log;
pub(crate) mod frame;
mod length;
mod repair;
mod replay;
mod segment;

pub(super) use commit_log::CommitLog;
pub use length::{COMMIT_LOG_BYTES_MIN, commit_log_bytes};
pub use repair::{Uncovered, repair, uncovered};
pub(super) use replay::recover;
