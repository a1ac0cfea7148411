//! What the monitoring port of a server says that no answer to a client does.

use std::time::Duration;

use reqwest::{Client, redirect};
use serde_json::Value;

use crate::report::Report;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What a monitoring port reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Monitored {
    /// Whether a message is on disk before it is acknowledged.
    pub(super) is_synced: bool,
}

/// Asks the monitoring port at an address such as `http://127.0.0.1:8222`.
///
/// # Errors
/// It does not answer, or says something else.
pub(super) async fn ask(address: &str) -> Result<Monitored, String> {
    let url = format!("{}/jsz", address.trim_end_matches('/'));
    let text = |error: reqwest::Error| Report(&error).to_string();
    let client = Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none());
    let client = client.no_proxy().build().map_err(text)?;
    let mut answer = client.get(url).send().await.map_err(text)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(text)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(format!("it sent more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    read(&body).ok_or_else(|| format!("{} and no state of JetStream", answer.status()))
}

/// Reads `/jsz`. A server without JetStream has neither field; one that does not sync each write
/// omits `sync_always`.
fn read(body: &[u8]) -> Option<Monitored> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let config = answer.get("config")?;
    // A server without JetStream has an empty `config`, which must not read as one that does not
    // sync.
    config.get("sync_interval")?;
    let is_synced = config.get("sync_always").and_then(Value::as_bool) == Some(true);
    Some(Monitored { is_synced })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_sync_each_write_does_not_mention_it() {
        let cases = [
            (
                r#"{"config": {"sync_interval": 1, "sync_always": true}}"#,
                Some(true),
            ),
            (
                r#"{"config": {"sync_interval": 120000000000}}"#,
                Some(false),
            ),
            (r#"{"disabled": true, "config": {}}"#, None),
            ("404 page not found", None),
        ];
        for (body, expected) in cases {
            let found = read(body.as_bytes()).map(|it| it.is_synced);
            assert_eq!(found, expected, "{body}");
        }
    }
}
