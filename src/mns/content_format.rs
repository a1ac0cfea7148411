//! The format of a push: `NotifyContentFormat` of its subscription.

use std::fmt;
use std::str::FromStr;

/// `NotifyContentFormat` of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentFormat {
    /// The body is a `<Notification>`.
    Xml,
    /// The body is a JSON object with the same names.
    Json,
    /// The body is the message; everything else is in headers.
    Simplified,
}

impl fmt::Display for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xml => "XML",
            Self::Json => "JSON",
            Self::Simplified => "SIMPLIFIED",
        })
    }
}

impl FromStr for ContentFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "XML" => Ok(Self::Xml),
            "JSON" => Ok(Self::Json),
            "SIMPLIFIED" => Ok(Self::Simplified),
            _ => Err(()),
        }
    }
}
