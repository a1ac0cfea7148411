//! The emulator's page: what is kept, pushed and answered, and what can be done about it
//! (`docs/emulator.md`).

mod answer;
mod files;
mod order;
mod state;

pub(super) use answer::{answer, is_asked};
