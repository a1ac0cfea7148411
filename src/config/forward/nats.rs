//! The keys of a stream of a NATS server.

use crate::config::ConfigError;
use crate::config::forward::login::{check_login, check_tls};
use crate::config::forward::table::{HTTP_KEYS, Table, bytes, is_address};
use crate::config::raw;
use crate::forward::{Create, NatsOptions, NewStream};

/// Keys that say what a stream is made like.
const CREATE_KEYS: [&str; 4] = ["replicas", "max_age", "max_bytes", "duplicate_window"];

pub(super) fn check_nats(table: Table<'_>) -> Result<NatsOptions, ConfigError> {
    let raw = table.raw;
    table.refuse_others(&HTTP_KEYS)?;
    let is_server = |server: &&String| is_address(server, &["nats", "tls"]);
    let allowed = "write nats://HOST:PORT or tls://HOST:PORT, at least one; a user or token \
        has keys of its own";
    if raw.servers.0.is_empty() {
        return Err(table.impossible("servers", "", allowed));
    }
    if let Some(server) = raw.servers.0.iter().find(|server| !is_server(server)) {
        return Err(table.impossible("servers", server, allowed));
    }
    if let Some(monitor) = (raw.monitors.0.iter()).find(|it| !is_address(it, &["http", "https"])) {
        let allowed = "write the address of a monitoring port, as in http://127.0.0.1:8222";
        return Err(table.impossible("monitors", monitor, allowed));
    }
    let is_stream = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if raw.stream.is_empty() || !raw.stream.bytes().all(is_stream) {
        let allowed = "the name of a stream has letters, digits, - and _ only";
        return Err(table.impossible("stream", &raw.stream, allowed));
    }
    for (key, span) in [
        ("ack_timeout", raw.ack_timeout.0),
        ("duplicate_window", raw.duplicate_window.0),
    ] {
        table.demand_time(key, span)?;
    }
    if raw.shards == 0 {
        return Err(table.impossible("shards", "0", "must be at least 1"));
    }
    Ok(NatsOptions {
        servers: raw.servers.0.clone(),
        stream: raw.stream.clone(),
        create: check_create(table)?,
        subject: raw.subject.clone(),
        dedupe: raw.dedupe,
        shards: raw.shards,
        login: check_login(table)?,
        tls: check_tls(table)?,
        ack_timeout: raw.ack_timeout.0,
        monitors: raw.monitors.0.clone(),
    })
}

fn check_create(table: Table<'_>) -> Result<Create, ConfigError> {
    let raw = table.raw;
    match raw.create {
        raw::Create::Off => match CREATE_KEYS.iter().find(|key| table.is_set(key)) {
            Some(key) => Err(table.impossible(
                key,
                "",
                "a stream that is there is never changed: set create = \"missing\" too, or \
                 leave it out",
            )),
            None => Ok(Create::Off),
        },
        // The number of servers that hold a stream.
        raw::Create::Missing if !(1..=5).contains(&raw.replicas) => {
            Err(table.impossible("replicas", &raw.replicas.to_string(), "must be from 1 to 5"))
        }
        raw::Create::Missing => Ok(Create::Missing(NewStream {
            replicas: raw.replicas,
            max_age: raw.max_age.0,
            max_bytes: raw.max_bytes.0.map(|size| bytes(size.0)),
            duplicate_window: raw.duplicate_window.0,
        })),
    }
}
