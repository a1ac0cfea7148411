//! `--format`: the NotifyContentFormat that a command is told.

use clap::ValueEnum;

use crate::mns::ContentFormat;

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
