//! `check`: a file for each part of what it examines.

mod awaited;
mod check;
mod destinations;
mod directories;
mod findings;
mod server;
mod unserved;

pub(super) use check::Check;
pub(super) use findings::{Finding, Findings};
