//! The keys for traces: where they are sent, and which pushes are traced.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::config::error::impossible;
use crate::config::{ConfigError, raw};
use crate::traces;

const OTLP: &str = "telemetry.otlp";
/// The address of the collector, without a path. Every program with an OTLP exporter reads this
/// variable.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The headers for the collector: `name=value`, separated by commas, with percent-encoded values.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// Is appended to [`ENDPOINT`].
const PATH: &str = "/v1/traces";

/// Returns `None` if traces are off.
pub(super) fn check_traces(
    raw: &raw::Telemetry,
    environment: &[(String, String)],
) -> Result<Option<traces::Options>, ConfigError> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(found, _)| found == name);
        found
            .map(|(_, value)| value.trim())
            // By the specification of OpenTelemetry, an empty variable is unset.
            .filter(|value| !value.is_empty())
    };
    let (key, url) = match (raw.otlp.as_str(), variable(ENDPOINT)) {
        // "off" also overrides the environment, which other programs may need.
        ("off", _) | ("", None) => return Ok(None),
        // By the specification of OpenTelemetry the variable has a base URL, without the path for
        // traces.
        ("", Some(base)) => (ENDPOINT, format!("{}{PATH}", base.trim_end_matches('/'))),
        (url, _) => (OTLP, url.to_owned()),
    };
    let is_http = url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    });
    if !is_http {
        let allowed = "write the collector's address, as in http://127.0.0.1:4318/v1/traces; \
            \"off\" is possible too";
        return Err(impossible(key, &url, allowed));
    }
    Ok(Some(traces::Options {
        url,
        headers: variable(HEADERS).map_or(Ok(HeaderMap::new()), headers)?,
        sample: raw.sample.0,
    }))
}

fn headers(text: &str) -> Result<HeaderMap, ConfigError> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        // A header may be a token, so keep it out of debug output.
        value.set_sensitive(true);
        Some((name, value))
    };
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let read: Option<HeaderMap> = pairs.map(pair).collect();
    // For the same reason the message does not repeat the value.
    read.ok_or_else(|| impossible(HEADERS, "...", "write name=value, separated by commas"))
}
