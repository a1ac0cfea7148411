//! The findings of `check`, and their output.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::json;

use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::exit::EXIT_CONFIG;
use crate::command::stdout::printer;
use crate::forward::{Observation, Weight};
use crate::journal::{escaped, json_text};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(in crate::command) enum Severity {
    /// The start fails, or clients reject the server.
    Error,
    /// It works, but may not be intended.
    Warning,
    /// Information.
    Note,
}

/// A finding.
pub(in crate::command) struct Finding {
    pub(in crate::command) level: Severity,
    key: Cow<'static, str>,
    pub(in crate::command) text: String,
}

/// All findings, in the order of the configuration.
pub(in crate::command) struct Findings(pub(in crate::command) Vec<Finding>);

impl Finding {
    pub(in crate::command) fn error(
        key: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            level: Severity::Error,
            key: key.into(),
            text: text.into(),
        }
    }

    pub(in crate::command) fn warning(
        key: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            level: Severity::Warning,
            key: key.into(),
            text: text.into(),
        }
    }

    pub(in crate::command) fn note(
        key: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            level: Severity::Note,
            key: key.into(),
            text: text.into(),
        }
    }

    /// An observation of the destination of this name.
    pub(in crate::command) fn observed(destination: &str, seen: Observation) -> Self {
        let key = format!("forward.{destination}.{}", seen.key);
        match seen.weight {
            Weight::Error => Self::error(key, seen.text),
            Weight::Warning => Self::warning(key, seen.text),
            Weight::Note => Self::note(key, seen.text),
        }
    }
}

impl Findings {
    /// The exit code: whether any of them is an error.
    pub(in crate::command) fn code(&self) -> ExitCode {
        let is_error = |finding: &Finding| finding.level == Severity::Error;
        if self.0.iter().any(is_error) {
            ExitCode::from(EXIT_CONFIG)
        } else {
            ExitCode::SUCCESS
        }
    }

    pub(in crate::command) fn print(&self, output: Output, origin: &str) -> io::Result<()> {
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
