//! `demo`, a file for each run and for what is on its stage.

mod chaos;
mod demo;
mod manual;
mod proof;
mod stage;

pub(super) use demo::Demo;
