//! The emulator's page: its topics, messages and attempts, and the actions on them
//! (`docs/emulator.md`).

mod answer;
mod files;
mod order;
mod state;

pub(super) use answer::{answer, is_asked};
