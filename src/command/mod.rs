//! The commands: each in a file or a folder, with its exit codes.

#![expect(
    clippy::doc_markdown,
    reason = "these docs are the help that a terminal shows"
)]

pub(crate) mod capture;
mod certificate;
mod chaos;
mod check;
mod cli;
mod client;
mod configuration;
mod counted;
mod demo;
mod emulator;
mod exit;
mod explain;
mod format;
mod forward;
mod health;
mod input;
mod inspect;
mod key;
mod logs;
mod program;
mod push;
mod receiver_tls;
mod serve;
mod stdout;

pub use cli::{Arguments, failed, run};
use configuration::Configuration;
