//! `--format` and `--content-md5`: how a push is written.

use clap::ValueEnum;

use crate::mns::{ContentFormat, Notation};

/// As it is written on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum NotifyFormat {
    Xml,
    Json,
    Simplified,
}

impl From<NotifyFormat> for ContentFormat {
    fn from(format: NotifyFormat) -> Self {
        match format {
            NotifyFormat::Xml => Self::Xml,
            NotifyFormat::Json => Self::Json,
            NotifyFormat::Simplified => Self::Simplified,
        }
    }
}

/// `--content-md5`, as it is written on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Md5Notation {
    /// The 32 upper-case hex digits.
    Hex,
    /// Base64 of the 32 lower-case hex digits.
    HexBase64,
    /// Base64 of the 16 bytes, as RFC 1864 has it.
    Base64,
}

impl From<Md5Notation> for Notation {
    fn from(written: Md5Notation) -> Self {
        match written {
            Md5Notation::Hex => Self::Hex,
            Md5Notation::HexBase64 => Self::Base64Hex,
            Md5Notation::Base64 => Self::Base64,
        }
    }
}
