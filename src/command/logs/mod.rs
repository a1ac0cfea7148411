//! `logs`, a file for each command and for what they look at.

mod acknowledged;
mod compare;
mod consumer;
mod decode;
mod find;
mod gives_up;
mod line;
mod logs;
mod object;
mod open_logs;
mod outcome;
mod owner;
mod printing;
mod recover;
mod repair;
mod report;
mod review;
mod selection;
mod source;
mod state;
mod stop;
mod tail;
mod verify;

pub(super) use logs::Logs;
