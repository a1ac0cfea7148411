//! The layers: built-in defaults, then a file, then the environment, then flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use crate::bounded;
use crate::config::ConfigError;
use crate::config::raw::RawConfig;

/// What begins the name of a variable that may hold a key.
const PREFIX: &str = "MNS_ENDPOINT_";
/// What stands between the levels of a key. A variable without it is not ours: Kubernetes sets
/// `MNS_ENDPOINT_PORT` and others for a service named `mns-endpoint`.
const LEVEL: &str = "__";
/// Every key with its default: the bottom layer, and the one place where a default is written.
const DEFAULTS: &str = include_str!("../../config/endpoint.toml");
/// The largest configuration file, in bytes. The shipped one, with every comment, has less than 16
/// KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
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

/// One key set outside of the file.
struct Setting {
    name: String,
    toml: String,
}

impl Provider for Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Toml::string(&self.toml).data()
    }
}

impl Sources {
    /// The file, as it is named or found in the usual places.
    fn found_file(&self) -> Option<PathBuf> {
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
    fn unread_variables(&self, keys: &BTreeMap<String, String>) -> Vec<(String, String)> {
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
fn key_of(variable: &str) -> Option<String> {
    let key = variable
        .strip_prefix(PREFIX)
        .filter(|rest| rest.contains(LEVEL))?;
    Some(key.to_lowercase().replace(LEVEL, "."))
}

/// What stands in all layers together.
pub(super) struct Read {
    pub(super) raw: RawConfig,
    /// The file, where there is one.
    pub(super) file: Option<PathBuf>,
    /// The name of the file, or of the defaults.
    pub(super) origin: String,
    /// Every key with its value as text.
    pub(super) keys: BTreeMap<String, String>,
    /// Variables that look like keys and are not read, each with the name that would be.
    pub(super) unread_variables: Vec<(String, String)>,
}

/// Reads all layers.
pub(super) fn read(sources: &Sources) -> Result<Read, ConfigError> {
    let (file, origin) = (sources.found_file(), sources.origin());
    let defaults = Figment::new().merge(Toml::string(DEFAULTS));
    let unread_variables = sources.unread_variables(&flat(&defaults)?);
    let mut figment = defaults;
    if let Some(file) = &file {
        let text = bounded::read_text(file, FILE_BYTES_MAX).map_err(|error| {
            ConfigError::Unreadable(format!(
                "cannot read the configuration {}: {error}",
                file.display()
            ))
        })?;
        figment = figment.merge(Setting {
            name: file.display().to_string(),
            toml: text,
        });
    }
    for (name, value) in &sources.environment {
        let Some(key) = key_of(name) else { continue };
        figment = figment.merge(setting(
            format!("the environment variable {name}"),
            &key,
            value,
        )?);
    }
    for (key, value) in &sources.flags {
        figment = figment.merge(setting(format!("the flag for {key}"), key, value)?);
    }
    let raw = figment.extract().map_err(|error| unreadable(&error))?;
    Ok(Read {
        raw,
        file,
        origin,
        keys: flat(&figment)?,
        unread_variables,
    })
}

/// Every key with its value as text.
fn flat(figment: &Figment) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut keys = BTreeMap::new();
    for (key, value) in figment
        .data()
        .map_err(|error| unreadable(&error))?
        .into_values()
        .flatten()
    {
        flatten(key, value, &mut keys);
    }
    Ok(keys)
}

/// Puts down the keys below one, each with its value as a bare word.
fn flatten(key: String, value: Value, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Dict(_, dict) if !dict.is_empty() => {
            for (name, value) in dict {
                flatten(format!("{key}.{name}"), value, keys);
            }
        }
        value => drop(keys.insert(key, bare(&value))),
    }
}

/// The same text for a list and for its elements with commas.
fn bare(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Array(_, list) => list.iter().map(bare).collect::<Vec<_>>().join(","),
        Value::Bool(_, word) => word.to_string(),
        Value::Num(_, number) => number
            .to_u128()
            .map_or_else(|| format!("{number:?}"), |number| number.to_string()),
        Value::Char(_, letter) => letter.to_string(),
        Value::Empty(..) | Value::Dict(..) => String::new(),
    }
}

/// A value is TOML where it can be, else the bare text.
fn setting(name: String, key: &str, value: &str) -> Result<Setting, ConfigError> {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if key.is_empty()
        || !key
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(bare))
    {
        return Err(ConfigError::Unreadable(format!(
            "{name}: {key:?} is no key such as server.listen"
        )));
    }
    // A variable that was read from a file ends with a line feed.
    let value = value.trim();
    let as_toml = format!(
        "{key} = {}",
        if value.starts_with('[') {
            value.replace(['\r', '\n'], " ")
        } else {
            value.to_owned()
        }
    );
    let parses = is_toml(value) && Toml::string(&as_toml).data().is_ok();
    let toml = if parses {
        as_toml
    } else {
        format!("{key} = {}", serde_json::Value::from(value))
    };
    Ok(Setting { name, toml })
}

/// Only what cannot be meant as a bare word: 0x10 and 1e3 are names of topics, not numbers.
fn is_toml(value: &str) -> bool {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_line = !value.contains('\n');
    value.starts_with('[')
        || (is_line
            && (value.starts_with(['{', '"', '\''])
                || is_number
                || matches!(value, "true" | "false")))
}

fn unreadable(error: &Error) -> ConfigError {
    let key = error.path.join(".");
    let place = error
        .metadata
        .as_ref()
        .map_or_else(String::new, |metadata| format!(" (in {})", metadata.name));
    let problem = match &error.kind {
        figment::error::Kind::UnknownField(_, known) => {
            format!("there is no such key; possible here: {}", known.join(", "))
        }
        kind => kind.to_string(),
    };
    let colon = if key.is_empty() { "" } else { ": " };
    ConfigError::Unreadable(format!("{key}{colon}{problem}{place}"))
}
