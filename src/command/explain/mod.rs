//! `explain`: what is wrong with a captured request.

mod explain;
mod verdicts;

pub(super) use explain::Explain;
