//! `demo`: a file for each kind of run, and the servers of its stage.

mod chaos;
mod demo;
mod manual;
mod proof;
mod stage;

pub(super) use demo::Demo;
