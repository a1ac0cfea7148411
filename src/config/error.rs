//! The error for a mistake in the configuration.

use std::borrow::Cow;

/// A mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value of the wrong type, or an unknown key.
    #[error("{0}")]
    Unreadable(String),
    /// A value of the right type that is not allowed.
    #[error("{key} = {value:?}: {problem}{}", shown(place.as_ref()))]
    Impossible {
        /// The full name of the key.
        key: Cow<'static, str>,
        /// The value.
        value: String,
        /// What is wrong and what is allowed.
        problem: String,
        /// The line of the file, the variable or the flag that sets it. `None` for a default, and
        /// for a problem that is not about one key.
        place: Option<String>,
    },
}

impl ConfigError {
    /// Adds the place, which `place_of` finds for the path of a key. The checks cannot, because a
    /// value no longer knows where it was read.
    pub(super) fn placed(mut self, place_of: impl FnOnce(&[&str]) -> Option<String>) -> Self {
        if let Self::Impossible { key, place, .. } = &mut self {
            // No part of a key contains a dot: `check_name` refuses one in the name of a
            // destination.
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
