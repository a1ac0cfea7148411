//! Where the configuration comes from: a file, variables of the environment and flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What begins the name of a variable that may hold a key.
const PREFIX: &str = "MNS_ENDPOINT_";
/// What separates the levels of a key. A variable without it is not ours: Kubernetes sets
/// `MNS_ENDPOINT_PORT` and others for a service named `mns-endpoint`.
const LEVEL: &str = "__";
/// Where a file is looked for, in this order.
const FILES: [&str; 2] = ["config/endpoint.toml", "/etc/mns-endpoint/endpoint.toml"];

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`; else the usual places.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags as keys and values: the last word.
    pub flags: Vec<(String, String)>,
    /// `--trust`: prefixes that are trusted for this run.
    pub trust: Vec<String>,
}

impl Sources {
    /// The file, as it is named or found in the usual places.
    pub(super) fn found_file(&self) -> Option<PathBuf> {
        let usual = || FILES.iter().map(PathBuf::from).find(|path| path.is_file());
        self.file.clone().or_else(usual)
    }

    /// The name of the file that is read, or of the defaults if there is none.
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

    /// Variables that are not read but for their underscores or letters name a key, each with the
    /// name that is read. Those that Kubernetes sets for a service name no key.
    pub(super) fn unread_variables(
        &self,
        keys: &BTreeMap<String, String>,
    ) -> Vec<(String, String)> {
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

/// The key that a variable sets; `None` for a variable that is not ours.
pub(super) fn key_of(variable: &str) -> Option<String> {
    let key = variable
        .strip_prefix(PREFIX)
        .filter(|rest| rest.contains(LEVEL))?;
    Some(key.to_lowercase().replace(LEVEL, "."))
}
