//! The disk: what every part that keeps files needs of it, and what to do when it refuses.

pub(crate) mod fix_command;
mod medium;
pub(crate) mod regular;

pub(crate) use fix_command::{fix_command, move_away, word};
pub use medium::Medium;
