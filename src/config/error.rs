//! A mistake in the configuration.

use std::borrow::Cow;

/// A mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that is not of its kind, or a key that does not exist.
    #[error("{0}")]
    Unreadable(String),
    /// A value that is of its kind but cannot be.
    #[error("{key} = {value:?}: {problem}{}", shown(place.as_ref()))]
    Impossible {
        /// The path of the key.
        key: Cow<'static, str>,
        /// The value.
        value: String,
        /// What is wrong and what is allowed.
        problem: String,
        /// The line of a file, the variable or the flag that sets it. `None` for a default, and for
        /// what is not a key.
        place: Option<String>,
    },
}

impl ConfigError {
    /// The same with its place, which `place_of` knows for the path of a key. The checks see
    /// values, which have lost it.
    pub(super) fn placed(mut self, place_of: impl FnOnce(&[&str]) -> Option<String>) -> Self {
        if let Self::Impossible { key, place, .. } = &mut self {
            *place = place_of(&key.split('.').collect::<Vec<_>>());
        }
        self
    }
}

fn shown(place: Option<&String>) -> String {
    place.map_or_else(String::new, |place| format!(" (in {place})"))
}

pub(super) fn impossible(
    key: impl Into<Cow<'static, str>>,
    value: &str,
    problem: &str,
) -> ConfigError {
    ConfigError::Impossible {
        key: key.into(),
        value: value.to_owned(),
        problem: problem.to_owned(),
        place: None,
    }
}
