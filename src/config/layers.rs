//! The layers of the configuration: built-in defaults, a file, the environment, flags.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use crate::bounded;
use crate::config::forward;
use crate::config::mistake;
use crate::config::place::{Place, check_syntax, place_in};
use crate::config::raw::RawConfig;
use crate::config::sources::key_of;
use crate::config::{ConfigError, Sources};

/// Every key with its default: the lowest layer, and the only place that defines defaults.
const DEFAULTS: &str = include_str!("../../config/endpoint.toml");
/// Every key of a destination with its default: the lowest layer of each `[forward.NAME]`.
const FORWARD_DEFAULTS: &str = include_str!("forward/defaults.toml");
/// The section in [`FORWARD_DEFAULTS`].
const FORWARD_SECTION: &str = "[forward.NAME]";
/// The largest configuration file, in bytes. The one that is shipped, with all its comments, is
/// below 16 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The origin of the keys in a layer.
enum Source {
    Defaults,
    File(PathBuf),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("built-in defaults"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(key) => write!(f, "the flag for {key}"),
        }
    }
}

/// The keys that one source sets.
struct Layer {
    source: Source,
    toml: String,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Toml::string(&self.toml).data()
    }
}

/// All layers. A later one overrides an earlier one.
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    fn merged(&self) -> Figment {
        self.0.iter().fold(Figment::new(), Figment::merge)
    }

    fn without_defaults(&self) -> Figment {
        let is_written = |layer: &&Layer| !matches!(layer.source, Source::Defaults);
        let written = self.0.iter().filter(is_written);
        written.fold(Figment::new(), Figment::merge)
    }

    /// Adds a layer with the defaults of each configured destination, below the others.
    fn add_defaults_of_destinations(&mut self, written: &Figment) -> Result<(), ConfigError> {
        let tables = written
            .find_value("forward")
            .ok()
            .and_then(Value::into_dict);
        for name in tables.unwrap_or_default().into_keys() {
            forward::check_name(&name)?;
            let section = format!("[forward.{name}]");
            let toml = FORWARD_DEFAULTS.replace(FORWARD_SECTION, &section);
            let source = Source::Defaults;
            // Below all other layers, so that whatever is written overrides it.
            self.0.insert(0, Layer { source, toml });
        }
        Ok(())
    }

    /// The source that sets the value of a key, with the line if it is a file. `None` for a
    /// default, because the user wrote nothing that could be corrected.
    pub(super) fn place(&self, key: &[&str]) -> Option<String> {
        let mut from_top = self.0.iter().rev();
        let (layer, place) =
            from_top.find_map(|layer| Some((layer, place_in(&layer.toml, key)?)))?;
        match &layer.source {
            Source::Defaults => None,
            Source::File(file) => Some(format!("{}:{}", file.display(), place.line)),
            source @ (Source::Variable(_) | Source::Flag(_)) => Some(source.to_string()),
        }
    }
}

/// The merged content of all layers.
pub(super) struct Read {
    pub(super) raw: RawConfig,
    /// The file, if one was read.
    pub(super) file: Option<PathBuf>,
    /// The name of the file, or of the built-in defaults.
    pub(super) origin: String,
    /// Every key with its value as text.
    pub(super) keys: BTreeMap<String, String>,
    /// The keys that a layer above the defaults sets, to any value.
    pub(super) set: BTreeSet<String>,
    /// Variables that look like keys but are not read, each with the name that would be read.
    pub(super) unread_variables: Vec<(String, String)>,
}

/// Reads and merges all layers.
pub(super) fn read(sources: &Sources) -> Result<(Read, Layers), ConfigError> {
    let (file, origin) = (sources.found_file(), sources.origin());
    let mut layers = Layers(vec![Layer {
        source: Source::Defaults,
        toml: DEFAULTS.to_owned(),
    }]);
    // All keys that exist, to suggest one for a misspelled key or variable.
    let defaults = flat(&layers.merged())?;
    if let Some(file) = &file {
        layers.0.push(file_layer(file.clone())?);
    }
    // Each later layer overrides the earlier ones: flags override variables, which override the
    // file.
    for (name, value) in &sources.environment {
        let Some(key) = key_of(name) else { continue };
        layers
            .0
            .push(layer_of(Source::Variable(name.clone()), &key, value)?);
    }
    for (key, value) in &sources.flags {
        layers
            .0
            .push(layer_of(Source::Flag(key.clone()), key, value)?);
    }
    let written = layers.without_defaults();
    let set: BTreeSet<String> = flat(&written)?.into_keys().collect();
    layers.add_defaults_of_destinations(&written)?;
    let figment = layers.merged();
    let raw = figment
        .extract()
        .map_err(|error| mistake::explain(&error, |key| layers.place(key), &defaults))?;
    let read = Read {
        raw,
        file,
        origin,
        keys: flat(&figment)?,
        set,
        unread_variables: sources.unread_variables(&defaults),
    };
    Ok((read, layers))
}

fn file_layer(file: PathBuf) -> Result<Layer, ConfigError> {
    let toml = bounded::read_text(&file, FILE_BYTES_MAX).map_err(|error| {
        let name = file.display();
        ConfigError::Unreadable(format!("cannot read the configuration {name}: {error}"))
    })?;
    // Checked before figment reads it, because figment drops the place of an error.
    check_syntax(&toml).map_err(|(problem, Place { line, column })| {
        ConfigError::Unreadable(format!(
            "the configuration is not valid TOML: {problem}; a text needs quotes, and each key a \
             line of its own (in {}:{line}:{column})",
            file.display()
        ))
    })?;
    Ok(Layer {
        source: Source::File(file),
        toml,
    })
}

/// Every key with its value as text.
fn flat(figment: &Figment) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut keys = BTreeMap::new();
    for (key, value) in figment
        .data()
        .map_err(|error| ConfigError::Unreadable(error.to_string()))?
        .into_values()
        .flatten()
    {
        flatten(key, value, &mut keys);
    }
    Ok(keys)
}

/// Adds every key below `key`, each with its value as a bare word.
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

/// A list gives the same text as its elements separated by commas.
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

/// Builds a layer of one key. The value is parsed as TOML if that is possible, and is the bare text
/// otherwise.
fn layer_of(source: Source, key: &str, value: &str) -> Result<Layer, ConfigError> {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if key.is_empty()
        || !key
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(bare))
    {
        return Err(ConfigError::Unreadable(format!(
            "{source}: {key:?} is not a key such as server.listen"
        )));
    }
    // A variable whose value was read from a file ends with a line feed.
    let value = value.trim();
    let as_toml = format!(
        "{key} = {}",
        // A list in a variable may have several lines.
        if value.starts_with('[') {
            value.replace(['\r', '\n'], " ")
        } else {
            value.to_owned()
        }
    );
    // Digits with a leading zero, or too many of them, are not a TOML integer and stay a text.
    let parses = is_toml(value) && Toml::string(&as_toml).data().is_ok();
    let toml = if parses {
        as_toml
    } else {
        // A JSON string is also a valid TOML string.
        format!("{key} = {}", serde_json::Value::from(value))
    };
    Ok(Layer { source, toml })
}

/// Whether a text can only be TOML. `0x10` and `1e3` are parsed as bare words, because they may be
/// names of topics.
fn is_toml(value: &str) -> bool {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_line = !value.contains('\n');
    value.starts_with('[')
        || (is_line
            && (value.starts_with(['{', '"', '\''])
                || is_number
                || matches!(value, "true" | "false")))
}
