//! What is wrong with a request, and what most likely broke on its way.

pub(crate) mod cause;
mod spelling;
pub(crate) mod story;
mod undone;
