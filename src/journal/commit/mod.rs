//! The commit log: one sync before a 201, for both logs.

mod checkpoint;
mod checkpointer;
mod commit_log;
mod frame;
mod length;
mod repair;
mod replay;
mod segment;

pub(super) use commit_log::CommitLog;
#[cfg(fuzzing)]
pub(crate) use frame::Frame;
pub use length::{COMMIT_LOG_BYTES_MIN, commit_log_bytes};
pub use repair::{Uncovered, repair, uncovered};
pub(super) use replay::recover;
