//! `forward`: a file for each command, and files for what several commands need.

mod check;
mod dead;
mod drain;
mod forward;
mod log;
mod replay;
mod reset;
mod sending;
mod sink;
mod status;

pub(super) use forward::Forward;
pub(super) use sink::replica;
