//! Which service the client commands speak to, and with which key: read as the vendor's SDKs do.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::client::{Base, Client, ClientError};
use crate::clock::SystemClock;
use crate::command::input;
use crate::command::stdout::printer;
use crate::journal::{escaped, json_text};
use crate::mns::{AccessKey, region_of};

/// What the sample configuration holds where nobody has put a token.
const UNSET_TOKEN: &str = "$SecurityToken";

/// The service and the key.
#[derive(Debug, Args)]
pub(super) struct Service {
    /// The account's endpoint [default: that of --sdk-config, else MNS_ACCOUNT_ENDPOINT].
    #[arg(long = "endpoint", value_name = "URL")]
    account_endpoint: Option<String>,
    /// The SDKs' sample.cfg: AccessKeyId, AccessKeySecret and Endpoint under Base, SecurityToken under Optional.
    #[arg(long, value_name = "FILE")]
    sdk_config: Option<PathBuf>,
    /// The version of request signatures: 2, or 4, which is good for one region and one day.
    #[arg(long, value_name = "VERSION", value_parser = ["2", "4"], default_value = "2")]
    sign_version: String,
    /// The region that version 4 signs for [default: that of the endpoint's host, else cn-hangzhou].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// The lines of the manual.
    Text,
    /// One JSON object.
    Json,
}

/// What a file or the environment says.
#[derive(Default)]
struct Found {
    id: Option<String>,
    secret: Option<String>,
    endpoint: Option<String>,
    token: Option<String>,
}

impl Service {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let (id, secret) = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET");
        let (file, environment) = (self.file()?, environment());
        let base = self.base(&file, &environment)?;
        let key = AccessKey {
            id: file.id.or(environment.id).with_context(|| missing("access key id", id, "AccessKeyId"))?,
            secret: file.secret.or(environment.secret).with_context(|| missing("secret", secret, "AccessKeySecret"))?,
        };
        let region = self.region_of(base.host())?;
        let client = Client::new(base, key, file.token.or(environment.token), Arc::new(SystemClock))?;
        Ok(if self.sign_version == "4" { client.signing_v4(region) } else { client })
    }

    /// The region to sign for. An emulator's address names none, and it takes any.
    fn region_of(&self, host: &str) -> anyhow::Result<String> {
        if self.sign_version != "4" && self.region.is_some() {
            bail!("--region is a part of signatures of version 4: add --sign-version 4");
        }
        let named = self.region.as_deref().or_else(|| region_of(host));
        Ok(named.unwrap_or("cn-hangzhou").to_owned())
    }

    /// Whether the service is on this machine, as the emulator is.
    pub(super) fn is_local(&self) -> anyhow::Result<bool> {
        let base = self.base(&self.file()?, &environment())?;
        Ok(is_local(base.host()))
    }

    fn base(&self, file: &Found, environment: &Found) -> anyhow::Result<Base> {
        let text = self.account_endpoint.as_ref().or(file.endpoint.as_ref()).or(environment.endpoint.as_ref());
        let text = text.with_context(|| missing("endpoint", "MNS_ACCOUNT_ENDPOINT", "Endpoint"))?;
        Ok(Base::parse(text)?)
    }

    fn file(&self) -> anyhow::Result<Found> {
        let Some(path) = &self.sdk_config else { return Ok(Found::default()) };
        // Sections and keys are folded, as Python does with its options.
        let mut ini = configparser::ini::Ini::new();
        let text = String::from_utf8(input::read_small(path)?);
        let text = text.with_context(|| format!("{} is not UTF-8", path.display()))?;
        ini.read(text).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        let value = |section, key| {
            let value = ini.get(section, key).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty() && *value != UNSET_TOKEN)
        };
        Ok(Found {
            id: value("Base", "AccessKeyId"),
            secret: value("Base", "AccessKeySecret"),
            endpoint: value("Base", "Endpoint"),
            token: value("Optional", "SecurityToken"),
        })
    }
}

fn environment() -> Found {
    let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    Found {
        id: value("ALIBABA_CLOUD_ACCESS_KEY_ID"),
        secret: value("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        endpoint: value("MNS_ACCOUNT_ENDPOINT"),
        token: value("ALIBABA_CLOUD_SECURITY_TOKEN").or_else(|| value("ALIBABA_CLOUD_ACCESS_SECURITY_TOKEN")),
    }
}

fn missing(what: &str, variable: &str, key: &str) -> String {
    format!("no {what}: set {variable}, or {key} in a file given with --sdk-config")
}

/// Whether a host is this machine or one that MNS cannot reach.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(crate::net::is_private)
}

/// The code of a refusal, for those that have lines of their own in the manual.
pub(super) fn code(error: &ClientError) -> &str {
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

/// What to do about a refusal.
pub(super) fn hint(error: &ClientError) -> &'static str {
    match code(error) {
        "InvalidAccessKeyId" => "; check ALIBABA_CLOUD_ACCESS_KEY_ID",
        "SignatureDoesNotMatch" => "; check ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "AccessDenied" => "; the key's owner lacks the permission, or the endpoint is another account's",
        "TimeExpired" | "InvalidDateHeader" => "; check this machine's clock",
        "TopicNotExist" => "; create it first: mns-endpoint topic create",
        "SubscriptionNotExist" | "SubscriberNotExist" => "; see mns-endpoint subscription list",
        "EndpointInvalid" => "; write http://HOST[:PORT][/PATH] with an address that the service can reach",
        _ => "",
    }
}

/// A name that can stand in a request's path: letters, digits and hyphens, first a letter or digit.
pub(super) fn name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && text.len() <= 255 && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("a name has letters, digits and hyphens, first a letter or digit, at most 255".to_owned())
    }
}

/// Fails with the manual's line for it, to which a hint is added.
pub(super) fn fail<T>(line: &str, error: &ClientError) -> anyhow::Result<T> {
    bail!("{line} Exception:{}{}", crate::report::Report(error), hint(error))
}

/// Prints what was done: as the manual's line, which an empty one follows, or as JSON.
pub(super) fn print_done(output: Output, line: &str, told: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = printer();
    match output {
        Output::Text => writeln!(out, "{line}\n")?,
        Output::Json => writeln!(out, "{}", json_text(told))?,
    }
    Ok(())
}

/// Prints an object: as padded lines, or as JSON.
pub(super) fn print(output: Output, object: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = printer();
    match (output, object.as_object()) {
        (Output::Text, Some(members)) => {
            for (name, value) in members {
                let text = match value {
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => escaped(text.as_bytes()),
                    serde_json::Value::Number(number) if name.ends_with("Time") => time(number),
                    serde_json::Value::Array(list) => {
                        let texts = list.iter().map(|value| escaped(value.as_str().unwrap_or_default().as_bytes()));
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

/// A time of the service, in seconds since 1970, for a reader.
fn time(number: &serde_json::Number) -> String {
    // The last second of 9999: a later one is none that can be written.
    let seconds = number.as_u64().filter(|seconds| *seconds < 253_402_300_800);
    let time = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    time.map_or_else(|| number.to_string(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// Prints names: one a line, or as JSON.
pub(super) fn print_names(output: Output, what: &str, names: &[String]) -> anyhow::Result<()> {
    let mut out = printer();
    match output {
        Output::Text => names.iter().try_for_each(|name| writeln!(out, "{}", escaped(name.as_bytes())))?,
        Output::Json => writeln!(out, "{}", json_text(&serde_json::json!({ what: names })))?,
    }
    Ok(())
}
