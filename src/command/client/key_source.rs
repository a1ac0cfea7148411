//! The source of a client command's access key, so that a refusal can name it.

use std::fmt;
use std::path::PathBuf;

/// The variable of the environment that has the key's id.
pub(super) const ID_VARIABLE: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";

/// The source of a key.
#[derive(Debug, Clone)]
pub(super) enum KeySource {
    File { path: PathBuf, has_token: bool },
    Environment { token: Option<&'static str> },
}

impl KeySource {
    /// What to check about a key that the service refused, depending on the error code.
    pub(super) fn hint(&self, code: &str) -> String {
        let check = match (self, code) {
            (Self::File { .. }, "InvalidAccessKeyId") => "check AccessKeyId there; ",
            (Self::File { .. }, "SignatureDoesNotMatch") => "check AccessKeySecret there; ",
            (Self::Environment { .. }, "InvalidAccessKeyId") => {
                "check ALIBABA_CLOUD_ACCESS_KEY_ID; "
            }
            (Self::Environment { .. }, "SignatureDoesNotMatch") => {
                "check ALIBABA_CLOUD_ACCESS_KEY_SECRET; "
            }
            // Other codes, such as AccessDenied, do not say which part of the key is wrong.
            (Self::File { .. } | Self::Environment { .. }, _) => "",
        };
        format!("{check}{self}")
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                has_token: true,
            } => {
                write!(
                    f,
                    "the key came from {}, with its SecurityToken",
                    path.display()
                )
            }
            Self::File {
                path,
                has_token: false,
            } => {
                write!(
                    f,
                    "the key came from {}, without a security token",
                    path.display()
                )
            }
            Self::Environment { token: Some(token) } => {
                write!(
                    f,
                    "the key came from {ID_VARIABLE} in the environment, with the token of {token}"
                )
            }
            Self::Environment { token: None } => {
                write!(
                    f,
                    "the key came from {ID_VARIABLE} in the environment, without a security token"
                )
            }
        }
    }
}
