//! `push`, a file for each part of a run.

mod maker;
mod outcome;
mod push;

pub(super) use push::Push;
