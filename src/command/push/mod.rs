//! `push`, a file for each part of a run.

mod exchange;
mod maker;
mod push;

pub(super) use push::PushCommand;
