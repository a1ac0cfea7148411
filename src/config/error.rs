//! A mistake in the configuration, and the checks that several sections share.

use std::time::Duration;

/// A mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that is not of its kind, or a key that does not exist.
    #[error("{0}")]
    Unreadable(String),
    /// A value that is of its kind but cannot be.
    #[error("{key} = {value:?}: {problem}")]
    Impossible {
        /// The path of the key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

pub(super) fn positive(key: &'static str, span: Duration) -> Result<Duration, ConfigError> {
    if span.is_zero() {
        Err(impossible(key, "0s", "it must be more than nothing"))
    } else {
        Ok(span)
    }
}

pub(super) fn at_least_one(key: &'static str, number: usize) -> Result<usize, ConfigError> {
    if number == 0 {
        Err(impossible(key, "0", "it must be at least 1"))
    } else {
        Ok(number)
    }
}

/// Whether a text can be the name of a topic or a host.
pub(super) fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(is_allowed)
}

pub(super) fn impossible(key: &'static str, value: &str, problem: &str) -> ConfigError {
    ConfigError::Impossible {
        key,
        value: value.to_owned(),
        problem: problem.to_owned(),
    }
}
