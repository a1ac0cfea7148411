//! The findings of `check`, and their output.

use std::borrow::Cow;
use std::io::{self, Write as _};

use serde_json::json;

use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::stdout::printer;
use crate::journal::{escaped, json_text};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Severity {
    /// The start fails, or clients reject the server.
    Error,
    /// It works, but may not be intended.
    Warning,
    /// Information.
    Note,
}

/// A finding.
pub(super) struct Finding {
    pub(super) level: Severity,
    key: Cow<'static, str>,
    pub(super) text: String,
}

/// All findings, in the order of the configuration.
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Finding {
    pub(super) fn error(key: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self {
            level: Severity::Error,
            key: key.into(),
            text: text.into(),
        }
    }

    pub(super) fn warning(key: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self {
            level: Severity::Warning,
            key: key.into(),
            text: text.into(),
        }
    }

    pub(super) fn note(key: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self {
            level: Severity::Note,
            key: key.into(),
            text: text.into(),
        }
    }
}

impl Findings {
    pub(super) fn print(&self, output: Output, origin: &str) -> io::Result<()> {
        let mut out = printer();
        match output {
            Output::Text => {
                for finding in &self.0 {
                    let level: &str = finding.level.into();
                    // The text may quote a file or the running serve.
                    writeln!(
                        out,
                        "{level:<8} {}: {}",
                        finding.key,
                        escaped(finding.text.as_bytes())
                    )?;
                }
                let of = |level| {
                    self.0
                        .iter()
                        .filter(|finding| finding.level == level)
                        .count()
                };
                let count = |level| u64::try_from(of(level)).unwrap_or(u64::MAX);
                let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
                let origin = escaped(origin.as_bytes());
                writeln!(
                    out,
                    "{origin}: {}, {}",
                    counted(errors, "error"),
                    counted(warnings, "warning")
                )
            }
            Output::Json => {
                let findings = self.0.iter().map(|finding| {
                    json!({
                        "level": <&str>::from(finding.level),
                        "key": finding.key,
                        "text": finding.text,
                    })
                });
                let object =
                    json!({ "configuration": origin, "findings": findings.collect::<Vec<_>>() });
                writeln!(out, "{}", json_text(&object))
            }
        }
    }
}
