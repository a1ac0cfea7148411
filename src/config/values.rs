//! The kinds of values: spans, sizes, lists, permissions.
//!
//! Each reads the text of a file, of the environment and of a flag alike.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::journal::SyncMode;

/// A span of time with its unit: `5s`, `15m`, `100ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A span, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrOff<T>(pub(super) Option<T>);

/// A number of bytes with its unit: `512KiB`, `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

/// When the logs are synced: `always`, `interval:100ms`, `os`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyncModeText(pub(super) SyncMode);

/// So many a second: `50/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u64);

/// So many bytes a second: `256KiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRate(pub(super) u64);

/// A list, or one text whose entries are separated by commas, blanks or line feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(pub(super) Vec<String>);

/// Permissions in octal: `0640`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode(pub(super) u32);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text);
        span.map(Self).map_err(|error| {
            format!("{text:?} is no span of time such as 5s, 15m or 100ms: {error}")
        })
    }
}

impl FromStr for OrOff<Duration> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        or_off(text, |span| span.parse().map(|Span(span)| span))
    }
}

impl FromStr for OrOff<Size> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        or_off(text, str::parse)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_suffix("/s")
            .and_then(|number| number.parse().ok());
        number
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no rate such as 50/s"))
    }
}

impl FromStr for ByteRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text
            .strip_suffix("/s")
            .and_then(|size| size.parse::<bytesize::ByteSize>().ok());
        bytes
            .map(|size| Self(size.0))
            .ok_or_else(|| format!("{text:?} is no rate such as 256KiB/s"))
    }
}

impl FromStr for OrOff<ByteRate> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        or_off(text, str::parse)
    }
}

impl FromStr for OrOff<Rate> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        or_off(text, str::parse)
    }
}

fn or_off<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<OrOff<T>, String> {
    match text {
        "off" => Ok(OrOff(None)),
        value => match parse(value) {
            Ok(value) => Ok(OrOff(Some(value))),
            Err(error) => Err(format!("{error}; \"off\" is possible too")),
        },
    }
}

impl FromStr for SyncModeText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem =
            || format!("{text:?} is none of \"always\", \"interval:100ms\" (any span) and \"os\"");
        match (text, text.strip_prefix("interval:")) {
            ("always", _) => Ok(Self(SyncMode::Always)),
            ("os", _) => Ok(Self(SyncMode::Os)),
            (_, Some(span)) => match span.parse() {
                Ok(Span(span)) if !span.is_zero() => Ok(Self(SyncMode::Interval(span))),
                Ok(Span(_)) | Err(_) => Err(problem()),
            },
            (_, None) => Err(problem()),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text
            .parse::<bytesize::ByteSize>()
            .ok()
            .and_then(|size| usize::try_from(size.0).ok());
        bytes
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no size such as 512KiB or 64MiB"))
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777);
        mode.map(Self)
            .ok_or_else(|| format!("{text:?} is no file mode such as \"0640\""))
    }
}

/// Reads a text through `FromStr`.
struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text with its unit")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! deserialize_from_text {
    ($($kind:ty),*) => {
        $(impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextVisitor(PhantomData))
            }
        })*
    };
}

deserialize_from_text!(
    Span,
    OrOff<Duration>,
    OrOff<Size>,
    OrOff<Rate>,
    OrOff<ByteRate>,
    Size,
    SyncModeText
);

struct ModeVisitor;

impl Visitor<'_> for ModeVisitor {
    type Value = Mode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text such as \"0640\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Mode, E> {
        text.parse().map_err(E::custom)
    }

    /// Refused: a number no longer shows whether 640 or 0o640 was meant.
    fn visit_i64<E: Error>(self, _number: i64) -> Result<Mode, E> {
        Err(E::custom(
            "a file mode is no number: write a text such as \"0640\"",
        ))
    }

    fn visit_u64<E: Error>(self, _number: u64) -> Result<Mode, E> {
        self.visit_i64(0)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModeVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts, or one text with commas")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Names, E> {
        refuse_full_width(text)?;
        if text.contains(';') {
            return Err(E::custom(format!(
                "{text:?}: ';' separates nothing in a list; write ','"
            )));
        }
        let names = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        Ok(Names(
            names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        ))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Names, E> {
        Err(float(number))
    }

    fn visit_bool<E>(self, word: bool) -> Result<Names, E> {
        Ok(Names(vec![word.to_string()]))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Names, E> {
        Ok(Names(vec![number.to_string()]))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Names, E> {
        Ok(Names(vec![number.to_string()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element::<Name>()? {
            names.push(name.0);
        }
        Ok(Names(names))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// An input method for Chinese writes these where a comma or a semicolon is meant.
fn refuse_full_width<E: Error>(text: &str) -> Result<(), E> {
    let found = text.chars().find_map(|letter| match letter {
        '\u{ff0c}' | '\u{3001}' | '\u{fe50}' => Some((letter, "comma")),
        '\u{ff1b}' => Some((letter, "semicolon")),
        _ => None,
    });
    found.map_or(Ok(()), |(letter, name)| {
        Err(E::custom(format!(
            "{text:?}: '{letter}' is a full-width {name} and separates nothing; write ','"
        )))
    })
}

fn float<E: Error>(number: f64) -> E {
    E::custom(format!(
        "{number:e} is a number in float notation: write its digits in quotes, as a text"
    ))
}

/// One element of a list; an account id may be written without quotes.
struct Name(String);

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        refuse_full_width(text)?;
        Ok(Name(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Name, E> {
        Ok(Name(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Name, E> {
        Ok(Name(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Name, E> {
        Err(float(number))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}
