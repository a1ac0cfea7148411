//! A likely cause of a refusal: a sentence for a terminal, and keys with values for a page that has
//! sentences of its own.

use std::fmt;

use crate::explain::spelling::Respelling;

/// A likely cause. Displayed as a sentence without its full stop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    finding: Finding,
    /// What else was found, if only both together explain the refusal.
    and: Option<Finding>,
}

/// What was found. A path that is signed is what MNS sent, and one that came is what arrived.
#[derive(Debug, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Finding {
    ClockOff {
        date: String,
        now: String,
        apart: String,
    },
    BodyMissing,
    BodyChanged {
        bytes: usize,
    },
    SignatureLength {
        came: usize,
        needed: usize,
    },
    PathRewritten {
        signed: String,
        came: String,
    },
    TargetRespelled {
        change: Respelling,
        signed: String,
        came: String,
    },
    ContentTypeChanged {
        signed: &'static str,
    },
    ContentTypeAdded,
    ContentMd5Changed {
        signed: String,
    },
    ContentMd5Removed {
        signed: String,
    },
    ContentMd5Added,
    HeaderRemoved {
        name: String,
    },
    HeaderAdded {
        name: String,
    },
    /// No usual change explains the signature.
    Unexplained {
        bits: usize,
        origin: String,
    },
    /// The same, and a bound excluded some changes.
    NotAllTried {
        bits: usize,
        origin: String,
    },
}

impl Cause {
    /// Two findings that explain a refusal together.
    pub(super) fn both(finding: Finding, other: Finding) -> Self {
        Self {
            finding,
            and: Some(other),
        }
    }

    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        std::iter::once(&self.finding).chain(&self.and)
    }
}

impl From<Finding> for Cause {
    fn from(finding: Finding) -> Self {
        Self { finding, and: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.fmt(f)?;
        match &self.and {
            Some(other) => write!(f, ", and {other}"),
            None => Ok(()),
        }
    }
}

impl Finding {
    /// Its key: `path_rewritten`.
    pub(crate) fn key(&self) -> &'static str {
        self.into()
    }

    /// The values in its sentence, by name.
    pub(crate) fn values(&self) -> Vec<(&'static str, String)> {
        match self {
            // Without a wildcard, so that a new finding has to list its values.
            Self::BodyMissing | Self::ContentTypeAdded | Self::ContentMd5Added => Vec::new(),
            Self::ClockOff { date, now, apart } => vec![
                ("date", date.clone()),
                ("now", now.clone()),
                ("apart", apart.clone()),
            ],
            Self::BodyChanged { bytes } => vec![("bytes", bytes.to_string())],
            Self::SignatureLength { came, needed } => {
                vec![("came", came.to_string()), ("needed", needed.to_string())]
            }
            Self::PathRewritten { signed, came } => {
                vec![("signed", signed.clone()), ("came", came.clone())]
            }
            Self::TargetRespelled {
                change,
                signed,
                came,
            } => vec![
                ("change", change.key().to_owned()),
                ("signed", signed.clone()),
                ("came", came.clone()),
            ],
            Self::ContentTypeChanged { signed } => vec![("signed", (*signed).to_owned())],
            Self::ContentMd5Changed { signed } | Self::ContentMd5Removed { signed } => {
                vec![("signed", signed.clone())]
            }
            Self::HeaderRemoved { name } | Self::HeaderAdded { name } => {
                vec![("name", name.clone())]
            }
            Self::Unexplained { bits, origin } | Self::NotAllTried { bits, origin } => {
                vec![("bits", bits.to_string()), ("origin", origin.clone())]
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockOff { date, now, apart } => write!(
                f,
                "signed at {date}, judged at {now}, {apart} apart: a clock is wrong, or the \
                 capture is old; --at {date} leaves its age out"
            ),
            Self::BodyMissing => {
                f.write_str("the body is missing: it was lost on the way or in the capture")
            }
            Self::BodyChanged { bytes } => write!(
                f,
                "the body was changed on the way: {bytes} bytes came whose digest was not signed"
            ),
            Self::SignatureLength { came, needed } => write!(
                f,
                "the signature has {came} bytes, and one under this key has {needed}: \
                 Authorization was cut or replaced, or another certificate belongs to it"
            ),
            Self::PathRewritten { signed, came } => write!(
                f,
                "the path was rewritten: {signed} was signed, {came} was received; pass the \
                 original path on"
            ),
            Self::TargetRespelled {
                change,
                signed,
                came,
            } => write!(
                f,
                "a proxy {change}: {signed} was signed, {came} was received; pass the target on \
                 as it comes"
            ),
            Self::ContentTypeChanged { signed } => write!(
                f,
                "Content-Type was changed: {signed:?} was signed; pass it on as it is"
            ),
            Self::ContentTypeAdded => f.write_str("Content-Type was added: none was signed"),
            Self::ContentMd5Changed { signed } => write!(
                f,
                "Content-MD5 was changed: {signed} was signed; pass it on as it is"
            ),
            Self::ContentMd5Removed { signed } => write!(
                f,
                "Content-MD5 was removed: {signed} was signed; pass it on as it is"
            ),
            Self::ContentMd5Added => f.write_str("Content-MD5 was added: none was signed"),
            Self::HeaderRemoved { name } => write!(f, "the header {name} was removed on the way"),
            Self::HeaderAdded { name } => write!(f, "the header {name} was added on the way"),
            Self::Unexplained { bits, origin } => write!(
                f,
                "none of the usual changes explains the signature: forged, or not signed under a \
                 key of {bits} bits from {origin}"
            ),
            Self::NotAllTried { bits, origin } => write!(
                f,
                "no usual change that was tried explains the signature: forged, or not signed \
                 under a key of {bits} bits from {origin}; not every one was tried, because the \
                 request is far larger than one of MNS"
            ),
        }
    }
}
