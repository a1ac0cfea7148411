//! `forward dead`: a file for each command.

mod dead;
mod drop;
mod letters;
mod list;
mod retry;

pub(super) use dead::Dead;
