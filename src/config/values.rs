//! The types of values: durations, sizes, rates, permissions.
//!
//! Each parses the same text in a file, a variable and a flag.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::journal::SyncMode;

/// A duration with its unit: `5s`, `15m`, `100ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A value, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrOff<T>(pub(super) Option<T>);

/// A number of bytes with its unit: `512KiB`, `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

/// When the logs are synced: `always`, `interval:100ms` or `os`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyncModeText(pub(super) SyncMode);

/// A number per second: `50/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u64);

/// A number of bytes per second: `256KiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRate(pub(super) u64);

/// A fraction from 0 to 1: `0.1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(pub(super) f64);

/// Permissions in octal: `0640`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode(pub(super) u32);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text);
        span.map(Self).map_err(|error| {
            format!("{text:?} is not a duration such as 5s, 15m or 100ms: {error}")
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
            .ok_or_else(|| format!("{text:?} is not a rate such as 50/s"))
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
            .ok_or_else(|| format!("{text:?} is not a rate such as 256KiB/s"))
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
        let problem = || {
            format!("{text:?} is not one of \"always\", \"interval:100ms\" (any span) and \"os\"")
        };
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

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = text
            .parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share));
        share
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a share from 0 to 1, such as 0.1"))
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
            .ok_or_else(|| format!("{text:?} is not a size such as 512KiB or 64MiB"))
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8)
            .ok()
            // No setuid, setgid or sticky bit: these mean nothing for a log.
            .filter(|mode| *mode <= 0o777);
        mode.map(Self)
            .ok_or_else(|| format!("{text:?} is not a file mode such as \"0640\""))
    }
}

/// Deserializes a text through `FromStr`.
struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text with its unit")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    // A number without a unit gets the same message as such a text. A share may be a number.
    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
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
    Share,
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

    /// A number is refused, because it no longer shows whether 640 or 0o640 was written.
    fn visit_i64<E: Error>(self, _number: i64) -> Result<Mode, E> {
        Err(E::custom(
            "a file mode is not a number: write a text such as \"0640\"",
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
