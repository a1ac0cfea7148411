//! The sources of the configuration: a file, variables of the environment and flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The prefix of the variables that may set a key.
const PREFIX: &str = "MNS_ENDPOINT_";
/// Separates the levels of a key. A variable without it is ignored: Kubernetes sets
/// `MNS_ENDPOINT_PORT` and others for a service named `mns-endpoint`.
const LEVEL: &str = "__";
/// The files that are tried, in this order.
const FILES: [&str; 2] = ["config/endpoint.toml", "/etc/mns-endpoint/endpoint.toml"];

/// The sources of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The argument of `--config`, or `None` for the usual places.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags as keys and values. They override everything else.
    pub flags: Vec<(String, String)>,
    /// The arguments of `--trust`: prefixes that are trusted for this run.
    pub trust: Vec<String>,
}

impl Sources {
    /// The file that is named, or the first of the usual places that exists.
    pub(super) fn found_file(&self) -> Option<PathBuf> {
        // `is_file` skips a directory, which Docker mounts if the file on the host is missing.
        let usual = || FILES.iter().map(PathBuf::from).find(|path| path.is_file());
        // A file that is named is used even if it does not exist, so that a typing error is
        // reported.
        self.file.clone().or_else(usual)
    }

    /// The name of the file that is read, or of the built-in defaults.
    #[must_use]
    pub fn origin(&self) -> String {
        self.found_file().map_or_else(
            || "built-in defaults".to_owned(),
            |file| file.display().to_string(),
        )
    }

    /// The names of the variables that are read as configuration.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.environment
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| key_of(name).is_some())
    }

    /// Variables that are not read but would name a key with other underscores or letter case, each
    /// with the name that would be read. Variables that Kubernetes sets for a service match no key.
    pub(super) fn unread_variables(
        &self,
        keys: &BTreeMap<String, String>,
    ) -> Vec<(String, String)> {
        // Compare without regard to letter case and doubled underscores.
        let plain = |name: &str| name.to_ascii_uppercase().replace(LEVEL, "_");
        let meant = |name: &String| {
            let variables = keys
                .keys()
                .map(|key| format!("{PREFIX}{}", key.to_uppercase().replace('.', LEVEL)));
            variables
                .into_iter()
                .find(|variable| plain(variable) == plain(name))
        };
        let unread = self
            .environment
            .iter()
            .map(|(name, _)| name)
            .filter(|name| key_of(name).is_none());
        unread
            .filter_map(|name| Some((name.clone(), meant(name)?)))
            .collect()
    }
}

/// The key that a variable sets. `None` if the variable sets no key.
pub(super) fn key_of(variable: &str) -> Option<String> {
    let key = variable
        .strip_prefix(PREFIX)
        .filter(|rest| rest.contains(LEVEL))?;
    Some(key.to_lowercase().replace(LEVEL, "."))
}
