//! The keys of a NATS destination: a stream of JetStream.

use crate::config::ConfigError;
use crate::config::forward::login::{check_login, check_tls};
use crate::config::forward::table::{HTTP_KEYS, Table, bytes, is_address};
use crate::config::raw;
use crate::forward::{Create, Dedupe, NatsOptions, NewStream, SubjectTemplate};

/// The keys that describe a stream that may be created.
const CREATE_KEYS: [&str; 4] = ["replicas", "max_age", "max_bytes", "duplicate_window"];

/// The placeholder for the number of a shard.
const SHARD: &str = "{shard}";

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
    for (key, span) in [
        ("ack_timeout", raw.ack_timeout.0),
        ("duplicate_window", raw.duplicate_window.0),
    ] {
        table.demand_time(key, span)?;
    }
    if raw.shards == 0 {
        return Err(table.impossible("shards", "0", "must be at least 1"));
    }
    let subject = check_subject(table)?;
    check_stream(table, &subject)?;
    Ok(NatsOptions {
        servers: raw.servers.0.clone(),
        stream: raw.stream.clone(),
        create: check_create(table)?,
        subject,
        dedupe: raw.dedupe,
        shards: raw.shards,
        login: check_login(table)?,
        tls: check_tls(table)?,
        ack_timeout: raw.ack_timeout.0,
        monitors: raw.monitors.0.clone(),
    })
}

fn check_subject(table: Table<'_>) -> Result<SubjectTemplate, ConfigError> {
    let raw = table.raw;
    let impossible = |problem: &str| table.impossible("subject", &raw.subject, problem);
    let subject = SubjectTemplate::parse(&raw.subject);
    let subject = subject.map_err(|error| impossible(&error.to_string()))?;
    if raw.dedupe == Dedupe::Subject && !subject.has_id() {
        let problem = "with dedupe = \"subject\" the second notification with a subject is \
            dropped: it needs {id}, as in mns.{owner}.{topic}.{id}";
        return Err(impossible(problem));
    }
    Ok(subject)
}

fn check_stream(table: Table<'_>, subject: &SubjectTemplate) -> Result<(), ConfigError> {
    let stream = &table.raw.stream;
    let is_stream = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    // A shard's number is digits only, so one shard shows whether all names are allowed.
    let name = stream.replace(SHARD, "0");
    if name.is_empty() || !name.bytes().all(is_stream) {
        let allowed = "the name of a stream has letters, digits, - and _ only, and {shard} for a \
            stream for each";
        return Err(table.impossible("stream", stream, allowed));
    }
    // Two shards are enough to compare: a pattern has the shard's number, or does not.
    if *stream != name && subject.pattern(Some(0)) == subject.pattern(Some(1)) {
        let problem = "a stream for each shard needs subjects for each: give {shard} a token of \
            its own in subject";
        return Err(table.impossible("stream", stream, problem));
    }
    Ok(())
}

fn check_create(table: Table<'_>) -> Result<Create, ConfigError> {
    let raw = table.raw;
    match raw.create {
        // They would have no effect, so whoever wrote one expects a stream to be created or
        // changed.
        raw::Create::Off => match CREATE_KEYS.iter().find(|key| table.is_set(key)) {
            Some(key) => Err(table.impossible(
                key,
                "",
                "a stream that is there is never changed: set create = \"missing\" too, or \
                 leave it out",
            )),
            None => Ok(Create::Off),
        },
        // JetStream replicates a stream to at most 5 servers.
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
