//! `forward status`: what the files say of each destination.

mod held;
mod known;
mod status;
mod window;

pub(super) use status::Status;
