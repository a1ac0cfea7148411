//! Reads the configuration from a file, the environment and flags, and checks it for each part of
//! the program.
//!
//! [`Sources`] says what to read. [`Config::load`] reads and checks everything before a socket is
//! bound or a file is created. A message about a mistake has the key, the value, what is allowed
//! and the place: the line of the file, the variable or the flag.

mod accept;
mod admin;
mod certificates;
mod checks;
mod config;
mod error;
mod forward;
mod layers;
mod logs;
mod mistake;
mod names;
mod place;
mod raw;
mod serving;
mod sources;
mod telemetry;
#[cfg(test)]
mod tests;
mod values;
mod zone;

pub use admin::AdminOptions;
pub use config::Config;
pub use error::ConfigError;
pub use sources::Sources;
pub use zone::local_zone;
