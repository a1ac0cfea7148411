//! What of a destination is in flight, and what becomes of what fails.

mod entry;
#[cfg(test)]
mod tests;
mod window;

pub(super) use entry::{Limits, Next};
pub(super) use window::{ToBury, Window};
