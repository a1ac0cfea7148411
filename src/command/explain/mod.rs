//! `explain`: what is wrong with a captured request.

mod cause;
mod explain;
mod spelling;
mod story;
mod undone;
mod verdicts;

pub(super) use explain::Explain;
