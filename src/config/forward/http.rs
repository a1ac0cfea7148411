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
        let allowed = "write the address of the service, as in https://svc.example/hook, without a \
            user and a password: it knows by the signature who sent a notification";
        return Err(table.impossible("url", &raw.url, allowed));
    }
    let files = &raw.secret_files.0;
    if files.iter().any(String::is_empty) {
        let problem = "name files, or leave it empty: then requests are not signed";
        return Err(table.impossible("secret_files", &files.join(","), problem));
    }
    table.demand_time("timeout", raw.timeout.0)?;
    Ok(HttpOptions {
        url: raw.url.clone(),
        secret_files: files.iter().map(PathBuf::from).collect(),
        timeout: raw.timeout.0,
        tls: check_tls(table)?,
    })
}
