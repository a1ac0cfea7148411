//! The tables of destinations: `[forward.NAME]`.

mod http;
mod login;
mod nats;
mod table;
mod tables;

pub(super) use tables::{check, check_name};
