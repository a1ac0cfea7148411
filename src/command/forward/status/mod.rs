//! `forward status`: what the files say of each destination.

mod known;
mod status;

pub(super) use status::Status;
