//! The REST API of the emulator (`docs/emulator.md`).

pub(super) mod answer;
mod authentication;
mod execution;
mod operation;
pub(super) mod request;
mod router;
