//! A mistake in the configuration.

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

pub(super) fn impossible(key: &'static str, value: &str, problem: &str) -> ConfigError {
    ConfigError::Impossible {
        key,
        value: value.to_owned(),
        problem: problem.to_owned(),
    }
}
