//! `forward`: a file for each command.

mod forward;
mod status;

pub(super) use forward::Forward;
