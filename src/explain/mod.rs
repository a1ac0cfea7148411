//! Explains what is wrong with a request, and what most likely changed it in transit.

mod cause;
mod judgement;
mod search;
mod spelling;
mod story;
mod undone;

pub(crate) use cause::Finding;
pub(crate) use judgement::{Certificate, Checked, Judge, Judgement, Outcome};
#[cfg(test)]
pub(crate) use spelling::Respelling;
pub(crate) use story::differs;
