//! `--format` and `--content-md5`: how a push is written.

use clap::ValueEnum;

use crate::mns::{ContentFormat, Notation};

/// As it is written on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Xml,
    Json,
    Simplified,
}

impl From<Format> for ContentFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Xml => Self::Xml,
            Format::Json => Self::Json,
            Format::Simplified => Self::Simplified,
        }
    }
}

/// `--content-md5`, as it is written on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ContentMd5 {
    /// The 32 upper-case hex digits.
    Hex,
    /// Base64 of the 32 lower-case hex digits.
    HexBase64,
    /// Base64 of the 16 bytes, as RFC 1864 has it.
    Base64,
}

impl From<ContentMd5> for Notation {
    fn from(written: ContentMd5) -> Self {
        match written {
            ContentMd5::Hex => Self::Hex,
            ContentMd5::HexBase64 => Self::Base64Hex,
            ContentMd5::Base64 => Self::Base64,
        }
    }
}
