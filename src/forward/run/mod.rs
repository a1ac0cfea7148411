//! What a forwarder does, step by step.

mod backlog;
mod behind;
mod reading;
mod run;
mod saving;
mod sending;
mod step;
mod waiting;

pub(super) use run::{Run, Shared};
