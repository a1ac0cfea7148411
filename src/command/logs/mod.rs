//! `logs`, a file for each command and for what they look at.

mod compare;
mod gives_up;
mod logs;
mod open_logs;
mod outcome;
mod owner;
mod recover;
mod repair;
mod report;
mod review;
mod verify;

pub(super) use logs::Logs;
