//! The service of the client commands, and the key for it, read as the vendor's SDKs do.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::client::{Base, Client, ClientError};
use crate::clock::SystemClock;
use crate::command::client::credentials::CredentialSources;
use crate::command::client::key_source::KeySource;
use crate::command::stdout::printer;
use crate::journal::{escaped, json_text};
use crate::mns::region_of;
use crate::net;
use crate::report::Report;

/// The service and the key.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// The account's endpoint [default: Endpoint of --sdk-config, otherwise MNS_ACCOUNT_ENDPOINT].
    #[arg(long = "endpoint", value_name = "URL")]
    account_endpoint: Option<String>,
    /// The SDKs' sample.cfg [default: MNS_ENDPOINT_SDK_CONFIG].
    ///
    /// It has AccessKeyId, AccessKeySecret and Endpoint under Base, and SecurityToken under
    /// Optional, and is parsed like Python 3's configparser. Id, secret and token come from one
    /// source: from this file if it has a key, otherwise from ALIBABA_CLOUD_ACCESS_KEY_ID,
    /// ALIBABA_CLOUD_ACCESS_KEY_SECRET and ALIBABA_CLOUD_SECURITY_TOKEN (or
    /// ALIBABA_CLOUD_ACCESS_SECURITY_TOKEN) in the environment.
    #[arg(long, value_name = "FILE")]
    sdk_config: Option<PathBuf>,
    /// The version of request signatures: 2, or 4, which is valid for one region and one day.
    #[arg(long, value_name = "VERSION", value_enum, default_value = "2")]
    sign_version: SignVersion,
    /// The region that version 4 signs for [default: that of the endpoint's host, otherwise
    /// cn-hangzhou].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The format of the results; text prints the lines of the manual's scripts.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// The versions of request signatures that the service takes.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SignVersion {
    #[value(name = "2")]
    V2,
    #[value(name = "4")]
    V4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines of text.
    Text,
    /// JSON, one object per line.
    Json,
}

/// The service for a command.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Whether the service is on this machine, like the emulator.
    pub(crate) is_local: bool,
    key_source: KeySource,
}

/// The error of the service or of the connection, after the manual's line for it.
#[derive(Debug, thiserror::Error)]
#[error("{line} Exception:{}{}", Report(error), hint(error))]
struct Failure {
    line: String,
    error: ClientError,
}

impl Service {
    /// Reads the endpoint and the key. Reads each file once.
    pub(crate) fn open(&self) -> anyhow::Result<Session> {
        let sources = CredentialSources::read(self.sdk_config.as_deref())?;
        let (endpoint, origin) = match &self.account_endpoint {
            Some(endpoint) => (endpoint.clone(), "--endpoint".to_owned()),
            None => sources.endpoint()?,
        };
        let base = Base::parse(&endpoint).with_context(|| format!("cannot use {origin}"))?;
        let region = self.signing_region(base.host())?;
        let credentials = sources.credentials()?;
        let is_local = net::is_private_host(base.host());
        let client = Client::new(
            base,
            credentials.key,
            credentials.token,
            Arc::new(SystemClock),
        )?;
        let client = match region {
            Some(region) => client.signing_v4(region),
            None => client,
        };
        Ok(Session {
            client,
            is_local,
            key_source: credentials.source,
        })
    }

    /// The region to sign for. `None` for version 2. An emulator's address names no region, and it
    /// accepts any.
    fn signing_region(&self, host: &str) -> anyhow::Result<Option<String>> {
        match (self.sign_version, self.region.as_deref()) {
            (SignVersion::V2, None) => Ok(None),
            (SignVersion::V2, Some(_)) => {
                bail!("--region is a part of signatures of version 4: add --sign-version 4")
            }
            (SignVersion::V4, named) => Ok(Some(
                named
                    .or_else(|| region_of(host))
                    .unwrap_or("cn-hangzhou")
                    .to_owned(),
            )),
        }
    }
}

impl Session {
    /// Adds the source of the key if the service refused the command because of the key.
    pub(crate) fn named<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        outcome.map_err(|error| match error.downcast_ref::<Failure>() {
            Some(failure) if is_about_the_key(&failure.error) => {
                anyhow!("{error:#}; {}", self.key_source.hint(code(&failure.error)))
            }
            Some(_) | None => error,
        })
    }
}

/// The code of a refusal, for codes that have their own lines in the manual.
pub(crate) fn code(error: &ClientError) -> &str {
    match error {
        ClientError::Refused { error, .. } => &error.code,
        ClientError::Foreign(_)
        | ClientError::Unreachable { .. }
        | ClientError::TooLarge
        | ClientError::Endless(_)
        | ClientError::Malformed(_)
        | ClientError::Unexpected(_)
        | ClientError::Request(_)
        | ClientError::Tls(_) => "",
    }
}

/// Whether another key might have led to another answer.
fn is_about_the_key(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, error } => {
            matches!(status, 401 | 403)
                || matches!(
                    error.code.as_str(),
                    "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AccessDenied"
                )
        }
        ClientError::Foreign(status) => matches!(status, 401 | 403),
        ClientError::Unreachable { .. }
        | ClientError::TooLarge
        | ClientError::Endless(_)
        | ClientError::Malformed(_)
        | ClientError::Unexpected(_)
        | ClientError::Request(_)
        | ClientError::Tls(_) => false,
    }
}

/// What to do about a refusal, besides checking the key.
fn hint(error: &ClientError) -> &'static str {
    match code(error) {
        "AccessDenied" => {
            "; the key's owner lacks the permission, or the endpoint is another account's"
        }
        "TimeExpired" | "InvalidDateHeader" => "; check this machine's clock",
        "TopicNotExist" => "; create it first: mns-endpoint topic create",
        "SubscriptionNotExist" | "SubscriberNotExist" => "; see mns-endpoint subscription list",
        "EndpointInvalid" => {
            "; write http://HOST[:PORT][/PATH] with an address that the service can reach"
        }
        _ => "",
    }
}

/// A name that can be a part of a request's path: letters, digits and hyphens, beginning with a
/// letter or a digit.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && text.len() <= 255 && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(
            "a name has letters, digits and hyphens, first a letter or digit, at most 255"
                .to_owned(),
        )
    }
}

/// Fails with the manual's line, followed by a hint.
pub(crate) fn fail<T>(line: impl Into<String>, error: ClientError) -> anyhow::Result<T> {
    Err(Failure {
        line: line.into(),
        error,
    }
    .into())
}

/// Escapes a service's text for a terminal, on one line.
pub(crate) fn one_line(text: &str) -> String {
    text.split('\n')
        .map(|line| escaped(line.as_bytes()))
        .collect::<Vec<_>>()
        .join("\\x0a")
}

/// Prints what was done: the manual's line followed by an empty one, or JSON.
pub(crate) fn print_done(
    output: Output,
    line: &str,
    object: &serde_json::Value,
) -> anyhow::Result<()> {
    let mut out = printer();
    match output {
        Output::Text => writeln!(out, "{line}\n")?,
        Output::Json => writeln!(out, "{}", json_text(object))?,
    }
    Ok(())
}

/// Prints an object: as padded lines, or as JSON.
pub(crate) fn print(output: Output, object: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = printer();
    match (output, object.as_object()) {
        (Output::Text, Some(members)) => {
            for (name, value) in members {
                let text = match value {
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => escaped(text.as_bytes()),
                    serde_json::Value::Number(number) if name.ends_with("Time") => time(number),
                    serde_json::Value::Array(list) => {
                        let texts = list
                            .iter()
                            .map(|value| escaped(value.as_str().unwrap_or_default().as_bytes()));
                        texts.collect::<Vec<_>>().join(", ")
                    }
                    other => other.to_string(),
                };
                writeln!(out, "{}", format!("{name:<30}: {text}").trim_end())?;
            }
        }
        (Output::Text | Output::Json, _) => writeln!(out, "{}", json_text(object))?,
    }
    Ok(())
}

/// Formats a time of the service, in seconds since 1970.
fn time(number: &serde_json::Number) -> String {
    // At most the last second of 9999: RFC 3339 cannot express a later one.
    let seconds = number.as_u64().filter(|seconds| *seconds < 253_402_300_800);
    let time = seconds
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    time.map_or_else(
        || number.to_string(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

/// Prints names: one a line, or as JSON.
pub(crate) fn print_names(output: Output, what: &str, names: &[String]) -> anyhow::Result<()> {
    let mut out = printer();
    match output {
        Output::Text => names
            .iter()
            .try_for_each(|name| writeln!(out, "{}", one_line(name)))?,
        Output::Json => writeln!(out, "{}", json_text(&serde_json::json!({ what: names })))?,
    }
    Ok(())
}
