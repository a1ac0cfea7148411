//! The commit log: one sync before a 201, for both logs.

mod checkpoint;
mod checkpointer;
mod commit_log;
mod frame;
mod replay;
mod segment;

pub use commit_log::COMMIT_LOG_BYTES_MIN;
pub(super) use commit_log::CommitLog;
#[cfg(fuzzing)]
pub(crate) use frame::Frame;
pub(super) use replay::recover;
