//! The keys of an HTTP destination: a service that accepts POST requests.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::config::forward::login::check_tls;
use crate::config::forward::table::{NATS_KEYS, Table, is_address};
use crate::forward::HttpOptions;

pub(super) fn check_http(table: Table<'_>) -> Result<HttpOptions, ConfigError> {
    let raw = table.raw;
    table.refuse_others(&NATS_KEYS)?;
    if !is_address(&raw.url, &["http", "https"]) {
        let allowed = "write the address of the service, as in https://svc.example/hook";
        return Err(table.impossible("url", &raw.url, allowed));
    }
    if raw.secret_files.0.is_empty() {
        let problem = "at least one file with a secret is needed: the service knows by the \
            signature who sent a notification";
        return Err(table.impossible("secret_files", "", problem));
    }
    table.demand_time("timeout", raw.timeout.0)?;
    Ok(HttpOptions {
        url: raw.url.clone(),
        secret_files: raw.secret_files.0.iter().map(PathBuf::from).collect(),
        timeout: raw.timeout.0,
        tls: check_tls(table)?,
    })
}
