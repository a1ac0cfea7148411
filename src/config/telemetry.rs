//! The keys of what the program reports about itself: where traces go, and which.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::config::error::impossible;
use crate::config::{ConfigError, raw};
use crate::traces;

const OTLP: &str = "telemetry.otlp";
/// Where a collector is, for every program that speaks OTLP: without a path.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Headers that it asks for: `name=value`, separated by commas, values percent-encoded.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// What [`ENDPOINT`] is followed by.
const PATH: &str = "/v1/traces";

/// `None` if nothing is traced.
pub(super) fn check_traces(
    raw: &raw::Telemetry,
    environment: &[(String, String)],
) -> Result<Option<traces::Options>, ConfigError> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(found, _)| found == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    };
    let (key, url) = match (raw.otlp.as_str(), variable(ENDPOINT)) {
        ("off", _) | ("", None) => return Ok(None),
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
        // It may be a token.
        value.set_sensitive(true);
        Some((name, value))
    };
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let read: Option<HeaderMap> = pairs.map(pair).collect();
    // The values stay out of messages.
    read.ok_or_else(|| impossible(HEADERS, "...", "write name=value, separated by commas"))
}
