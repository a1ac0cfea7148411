//! `--decode`: decodes a message.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;

/// The encoding of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Decode {
    /// Base64, as most SDKs publish. A message that is not base64 is left unchanged.
    Base64,
}

impl Decode {
    pub(super) fn apply(decode: Option<Self>, message: &[u8]) -> Cow<'_, [u8]> {
        match decode {
            Some(Self::Base64) => STANDARD
                .decode(message)
                .map_or(Cow::Borrowed(message), Cow::Owned),
            None => Cow::Borrowed(message),
        }
    }
}
