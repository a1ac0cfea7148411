//! `logs`: one file for each command, and for each thing that they share.

mod acknowledged;
mod compare;
mod consumer;
mod curl;
mod decode;
mod delivery;
mod find;
mod gives_up;
mod line;
mod logs;
mod meter;
mod object;
mod open_logs;
mod outcome;
mod owner;
mod place;
mod pretty;
mod printing;
mod recover;
mod repair;
mod replay;
mod replay_run;
mod report;
mod request;
mod review;
mod selection;
mod send_progress;
mod show;
mod source;
mod state;
mod stop;
mod story;
mod tail;
mod verify;

pub(super) use logs::Logs;
