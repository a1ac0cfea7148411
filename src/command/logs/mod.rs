//! `logs`, a file for each command and for what they look at.

mod acknowledged;
mod compare;
mod consumer;
mod curl;
mod decode;
mod find;
mod gives_up;
mod line;
mod logs;
mod meter;
mod object;
mod open_logs;
mod outcome;
mod owner;
mod pretty;
mod printing;
mod recover;
mod repair;
mod report;
mod request;
mod review;
mod selection;
mod show;
mod source;
mod state;
mod stop;
mod story;
mod tail;
mod verify;

pub(super) use logs::Logs;
