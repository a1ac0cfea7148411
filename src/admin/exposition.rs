//! The metrics in the format that a scraper accepts: `OpenMetrics`, or the older text format.

use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

/// The media type of `OpenMetrics` text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type of the older text format, which every Prometheus reads.
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn metrics(open_metrics: &str, headers: &HeaderMap) -> Response {
    let accepted = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    if accepted.contains("application/openmetrics-text") {
        return ([(CONTENT_TYPE, OPEN_METRICS)], open_metrics.to_owned()).into_response();
    }
    ([(CONTENT_TYPE, PLAIN_METRICS)], in_plain_form(open_metrics)).into_response()
}

/// Converts to the older format: there the HELP and TYPE lines of a counter also end in `_total`,
/// and there is no end mark.
fn in_plain_form(open_metrics: &str) -> String {
    let mut plain = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let types = lines.peek().and_then(|next| next.strip_prefix("# TYPE "));
        let is_counters = |types: &str| types.ends_with(" counter");
        let renamed = match line
            .strip_prefix("# ")
            .and_then(|rest| rest.split_once(' '))
        {
            Some(("EOF", _)) | None if line == "# EOF" => continue,
            // The older format has no such line.
            Some(("UNIT", _)) => continue,
            Some(("HELP", rest)) if types.is_some_and(is_counters) => with_total("HELP", rest),
            Some(("TYPE", rest)) if is_counters(rest) => with_total("TYPE", rest),
            Some(_) | None => line.to_owned(),
        };
        plain.push_str(&renamed);
        plain.push('\n');
    }
    plain
}

fn with_total(kind: &str, rest: &str) -> String {
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    format!("# {kind} {name}_total {rest}")
}
