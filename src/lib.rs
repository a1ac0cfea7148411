//! A push endpoint for Alibaba Cloud MNS topics whose 201 is true.

pub mod mns;

pub mod clock;
pub mod journal;
pub mod net;
mod report;
mod roots;
pub mod trust;

pub mod emulator;
pub mod server;
