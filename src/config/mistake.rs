//! Messages for unknown keys and values of the wrong type, in the notation of the source that has
//! them.

use std::collections::BTreeMap;

use figment::Error;
use figment::error::{Actual, Kind};

use crate::config::ConfigError;

/// Describes the mistake and its place. `place_of` returns the place of a key by its path, and
/// `known` has every key.
pub(super) fn explain(
    error: &Error,
    place_of: impl FnOnce(&[&str]) -> Option<String>,
    known: &BTreeMap<String, String>,
) -> ConfigError {
    let path: Vec<&str> = error.path.iter().map(String::as_str).collect();
    let key = path.join(".");
    let problem = match &error.kind {
        Kind::UnknownField(name, here) => format!(": {}", unknown_key(name, here, known)),
        Kind::UnknownVariant(value, possible) => format!(
            " = {value:?}: there is no such value;{} possible here: {}",
            did_you_mean(nearest(value, possible)),
            possible.join(", ")
        ),
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            format!(" = {}: expected {}", written(found), kind_of(wanted))
        }
        other if key.is_empty() => other.to_string(),
        other => format!(": {other}"),
    };
    let place = place_of(&path);
    let place = place.map_or_else(String::new, |place| format!(" (in {place})"));
    ConfigError::Unreadable(format!("{key}{problem}{place}"))
}

fn unknown_key(name: &str, here: &[&str], known: &BTreeMap<String, String>) -> String {
    // A correct key in the wrong section is more likely than a misspelled key of another section.
    let is_elsewhere = |key: &&str| key.rsplit('.').next() == Some(name);
    let mut elsewhere = known.keys().map(String::as_str).filter(is_elsewhere);
    let guess = nearest(name, here).or_else(|| elsewhere.next());
    format!(
        "there is no such key;{} possible here: {}",
        did_you_mean(guess),
        here.join(", ")
    )
}

fn did_you_mean(guess: Option<&str>) -> String {
    guess.map_or_else(String::new, |guess| format!(" did you mean {guess}?"))
}

/// The candidate of which `name` is probably a misspelling. At most one letter in three may differ,
/// so that a key is not suggested only because its length is the same.
fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let allowed = name.chars().count().div_ceil(3);
    candidates
        .iter()
        // This distance counts two swapped letters as one mistake, as `levenshtein` does not.
        .map(|candidate| (strsim::osa_distance(&name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A value in the notation of TOML.
fn written(value: &Actual) -> String {
    match value {
        Actual::Str(text) => format!("{text:?}"),
        Actual::Bool(word) => word.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Seq => "[...]".to_owned(),
        Actual::Map => "{...}".to_owned(),
        other => other.to_string(),
    }
}

/// Translates the name of a Rust type in an error of serde into a kind of value.
fn kind_of(wanted: &str) -> &str {
    match wanted {
        "usize" => "a whole number, 0 or greater",
        "a boolean" => "true or false",
        "a string" | "path string" | "string or map" => "a text in quotes",
        "a map" => "a table such as { \"a.example\" = \"b.example\" }",
        other if other.starts_with("struct ") => "a section with keys of its own",
        other => other,
    }
}
