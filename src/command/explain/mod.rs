//! `explain`: what is wrong with a captured request.

mod explain;
mod print;

pub(super) use explain::Explain;
