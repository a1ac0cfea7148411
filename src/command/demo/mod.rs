//! `demo`, a file for each thing on its stage.

mod demo;
mod proof;
mod stage;

pub(super) use demo::Demo;
