//! `serve`, and the parts that commands share which examine an endpoint from outside.

pub(super) mod address;
pub(super) mod admin_listener;
mod announcement;
mod assembly;
mod forwarding;
pub(super) mod inspector_token;
mod listeners;
pub(super) mod running;
pub(super) mod self_signed;
mod serve;
mod traces;
mod warnings;

pub(super) use assembly::assemble;
pub(super) use serve::Serve;
