//! Explains what is wrong with a request, and what most likely changed it in transit.

mod cause;
mod judgement;
mod spelling;
mod story;
mod undone;

pub(crate) use judgement::{Certificate, Checked, Judge, Judgement, Outcome};
pub(crate) use story::differs;
