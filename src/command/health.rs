//! `health`: queries a running endpoint, as a container's health check.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytesize::ByteSize;
use clap::Args;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::command::Configuration;
use crate::command::stdout::printer;
use crate::config::Config;
use crate::roots;

/// The maximum size of an answer, in bytes: `/readyz` names several dozen owners and topics.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The maximum number of characters shown of an answer's first line.
const LINE_CHARS_MAX: usize = 200;
/// The time limit for the endpoint's answer, including its body.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Ask a running endpoint whether it is healthy.
///
/// Reads the same configuration as serve. Requests /readyz of the listener at admin.listen on this
/// machine, or server.health_path if that listener is off. Exits with 0 if the endpoint is healthy,
/// otherwise with 1, and prints what is not ready.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint health
  mns-endpoint health --set admin.listen=off --listen 127.0.0.1:8080")]
pub(super) struct Health {
    #[command(flatten)]
    configuration: Configuration,
}

/// The header with the token, if one is required.
fn shown(config: &Config) -> HeaderMap {
    let token = config
        .admin
        .as_ref()
        .and_then(|admin| admin.access.token.as_ref());
    let value = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    value
        .map(|value| (AUTHORIZATION, value))
        .into_iter()
        .collect()
}

impl Health {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load(&[])?;
        let mut url = asked_url(&config)?;
        let answer = match (ask(&config, &url).await, over_tls(&config, &url)) {
            (Err(error), Some(secure)) => {
                url = secure;
                // The first error is reported, because plain HTTP is what the configuration says.
                ask(&config, &url).await.map_err(|_also_over_tls| error)?
            }
            (answer, _) => answer?,
        };
        let status = answer.status();
        if status != http::StatusCode::OK {
            let body = body(answer).await.unwrap_or_default();
            bail!("{url} answered {status}: {}", why(&body));
        }
        writeln!(printer(), "healthy: {url}")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Queries the endpoint that runs with this configuration on this machine. Its TLS certificate is
/// not verified, because it is for the public name and not for loopback.
async fn ask(config: &Config, url: &str) -> anyhow::Result<reqwest::Response> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(roots::tls_client_trusting(roots::Trust::Anyone)?)
        .timeout(TIMEOUT)
        // serve never redirects, so another program would be asked.
        .redirect(reqwest::redirect::Policy::none())
        // The endpoint is on this machine, whatever proxy the environment names.
        .no_proxy()
        .build()?;
    client
        .get(url)
        .headers(shown(config))
        .send()
        .await
        .map_err(|error| {
            let error = anyhow::Error::from(error);
            anyhow!(
                "no answer from {url}: {}; is serve running there?",
                error.root_cause()
            )
        })
}

/// The content of an answer other than 200: the parts of `/readyz` that are not ready, as
/// sentences, or the first line.
fn why(body: &[u8]) -> String {
    // The health path answers in plain text, which has no parts.
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let parts = answer
        .get("parts")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let failed = parts.filter(|(_, part)| part.get("ready") == Some(&Value::Bool(false)));
    let sentences: Vec<String> = failed.map(|(name, part)| sentence(name, part)).collect();
    if !sentences.is_empty() {
        return sentences.join("; ");
    }
    let text = String::from_utf8_lossy(body);
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(LINE_CHARS_MAX)
        .collect();
    format!(
        "{line}; its reasons are in /readyz, which needs admin.listen and a token if there is one, \
         and in the diagnostic log of serve"
    )
}

fn sentence(name: &str, part: &Value) -> String {
    let number = |name| part.get(name).and_then(Value::as_u64);
    match name {
        "journal" if part.get("stuck") == Some(&Value::Bool(true)) => {
            "journal: a write or a sync hangs: see the disk of logs.dir".to_owned()
        }
        "journal" => {
            "journal: a write or a sync has failed: see the diagnostic log of serve".to_owned()
        }
        "disk" => match (number("free_bytes"), number("low_water_bytes")) {
            (Some(free), Some(low)) if free < low => {
                let (free, low) = (ByteSize::b(free), ByteSize::b(low));
                format!(
                    "disk: {free} are free, less than logs.low_water ({low}): make room in logs.dir"
                )
            }
            _ => "disk: a write failed because the disk is full: make room in logs.dir".to_owned(),
        },
        "stop" => "stop: serve is stopping, or waits for server.drain_delay".to_owned(),
        "sync" => "sync: it has taken too long: see the disk of logs.dir".to_owned(),
        name if name.starts_with("forward.") => format!(
            "{name}: the backlog is full: the destination is away, or slower than the pushes; see \
             the diagnostic log of serve"
        ),
        other => format!("{other}: not ready"),
    }
}

/// One part of `/readyz` of that endpoint, if it can be queried, in the notation of the
/// configuration.
pub(super) async fn ready_part(config: &Config, name: &str) -> Option<String> {
    config.admin.as_ref()?;
    let answer = ask(config, &asked_url(config).ok()?).await.ok()?;
    let answer: Value = serde_json::from_slice(&body(answer).await?).ok()?;
    let members = answer.get("parts")?.get(name)?.as_object()?;
    // JSON writes lists of names like TOML, except for the blank after a comma.
    let list = |value: &Value| {
        Some(
            value
                .as_array()?
                .iter()
                .map(Value::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        )
    };
    let keys = members
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} = [{}]", list(value)?)));
    Some(keys.collect::<Vec<_>>().join(", "))
}

/// Reads the body of an answer. `None` if it breaks off, is late, or is larger than any of ours.
async fn body(mut answer: reqwest::Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return None;
        }
    }
    Some(bytes)
}

/// The URL of readiness on the admin listener or, if that is off, of the health path.
fn asked_url(config: &Config) -> anyhow::Result<String> {
    if let Some(admin) = &config.admin {
        return Ok(format!("http://{}/readyz", asked(admin.listen)));
    }
    let Some(path) = &config.server.health_path else {
        bail!("admin.listen and server.health_path are off: there is nothing to ask");
    };
    let listen = config
        .listen
        .first()
        .context("server.listen names no address")?;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    Ok(format!("{scheme}://{}{path}", asked(*listen)))
}

/// The same address on serve's port with TLS. serve may use TLS although the configuration does not
/// say so: --self-signed is only on its command line.
fn over_tls(config: &Config, url: &str) -> Option<String> {
    let rest = url
        .strip_prefix("http://")
        .filter(|_| config.admin.is_none())?;
    Some(format!("https://{rest}"))
}

/// The address at which a listener is reached from its own machine.
pub(super) fn asked(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        // `[::]` is dual stack, and is replaced by 0.0.0.0 on a machine without IPv6.
        ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
