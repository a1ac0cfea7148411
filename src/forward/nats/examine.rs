//! Whether a stream keeps what forwarding to it promises: asked of the servers once, for a person.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use tokio::time::timeout;

use crate::forward::nats::connect::{VERSION_MIN, connect, is_old};
use crate::forward::nats::connection::Connection;
use crate::forward::nats::monitor::{Monitored, ask};
use crate::forward::nats::stream::{Streams, covers};
use crate::forward::{Create, Dedupe, NatsOptions};
use crate::report::Report;

/// The least number of copies with which one server may fail without a loss.
const REPLICAS: usize = 3;
/// The largest notification, with its headers.
const MESSAGE_BYTES: usize = 512 * 1024;
/// By how much the duplicate window should exceed the lag.
const WINDOW_RESERVE: Duration = Duration::from_secs(120);
/// How long a server may take to answer one question.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The severity of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Nothing is forwarded, or a promise is not kept.
    Error,
    /// It works, but may not be intended.
    Warning,
    /// For information.
    Note,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// How much it matters.
    pub weight: Weight,
    /// The key of the configuration that it is about.
    pub key: &'static str,
    /// What it is, and what to do.
    pub text: String,
}

fn error(key: &'static str, text: String) -> Observation {
    let weight = Weight::Error;
    Observation { weight, key, text }
}

fn warning(key: &'static str, text: String) -> Observation {
    let weight = Weight::Warning;
    Observation { weight, key, text }
}

fn note(key: &'static str, text: String) -> Observation {
    let weight = Weight::Note;
    Observation { weight, key, text }
}

/// Asks every server and monitoring port. `lag` is how long the oldest undelivered notification has
/// waited. Changes nothing, and creates no stream.
pub async fn examine(options: &NatsOptions, lag: Duration) -> Vec<Observation> {
    let mut seen = Vec::new();
    let mut first = None;
    for server in &options.servers {
        match connect(server, options, "check", 1).await {
            Ok(connection) => {
                of_server(server, &connection, &mut seen);
                // Each server answers for the whole cluster, so one is asked about the streams.
                first = first.or(Some(connection));
            }
            Err(why) => seen.push(error("servers", why.detail)),
        }
    }
    if let Some(connection) = first {
        let streams = Streams::new(options);
        for (name, pattern) in streams.all() {
            seen.extend(of_stream(&connection, options, &name, &pattern, lag).await);
        }
    }
    if options.monitors.is_empty() {
        let text = "whether the servers sync each message before they acknowledge it is not \
            known: name their monitoring ports, as in http://127.0.0.1:8222";
        seen.push(note("monitors", text.to_owned()));
    }
    for monitor in &options.monitors {
        seen.push(of_monitor(monitor, ask(monitor).await));
    }
    seen
}

fn of_server(server: &str, connection: &Connection, seen: &mut Vec<Observation>) {
    let info = connection.client.server_info();
    if is_old(&connection.client) {
        let text = format!(
            "{server} has version {}, which may lose acknowledged messages: use {VERSION_MIN} or \
             later",
            info.version
        );
        seen.push(error("servers", text));
    }
    if !info.jetstream {
        seen.push(error("servers", format!("{server} has no JetStream")));
    }
    if info.max_payload < MESSAGE_BYTES {
        let text = format!(
            "{server} takes no more than {} bytes (max_payload): larger messages become dead \
             letters",
            info.max_payload
        );
        seen.push(warning("servers", text));
    }
    seen.push(note(
        "servers",
        format!("{server} has version {}", info.version),
    ));
}

async fn of_stream(
    connection: &Connection,
    options: &NatsOptions,
    name: &str,
    pattern: &str,
    lag: Duration,
) -> Vec<Observation> {
    let asked = format!("$JS.API.STREAM.INFO.{name}");
    let found = connection.unless_refused(&asked, connection.context.get_stream(name));
    let answer = match timeout(TIMEOUT, found).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => return vec![error("stream", failure.detail().to_owned())],
        Err(_late) => {
            let text = format!("nobody says within {TIMEOUT:?} whether there is a stream {name}");
            return vec![error("stream", text)];
        }
    };
    let why = match answer {
        Ok(stream) => {
            let config = &stream.cached_info().config;
            return of_config(config, options, pattern, lag);
        }
        Err(why) => why,
    };
    let is_missing = matches!(why.kind(), GetStreamErrorKind::JetStream(said)
        if said.error_code() == ErrorCode::STREAM_NOT_FOUND);
    vec![match &options.create {
        Create::Missing(_) if is_missing => note(
            "stream",
            format!("there is no stream {name}: the first message makes it"),
        ),
        Create::Off | Create::Missing(_) => {
            error("stream", format!("no stream {name}: {}", Report(&why)))
        }
    }]
}

fn of_config(
    config: &Config,
    options: &NatsOptions,
    pattern: &str,
    lag: Duration,
) -> Vec<Observation> {
    let name = &config.name;
    let mut seen = Vec::new();
    if !config
        .subjects
        .iter()
        .any(|subjects| covers(subjects, pattern))
    {
        let subjects = config.subjects.join(", ");
        seen.push(error(
            "subject",
            format!("{name} takes {subjects}, and not all of {pattern}"),
        ));
    }
    if config.no_ack {
        seen.push(error(
            "stream",
            format!("{name} acknowledges nothing (no_ack)"),
        ));
    }
    if config.storage == StorageType::Memory {
        seen.push(error(
            "stream",
            format!("{name} is in memory, gone with its servers"),
        ));
    }
    if config.num_replicas < REPLICAS {
        let text = format!(
            "{name} has {} of {REPLICAS} copies: it stops, or is lost, with a server",
            config.num_replicas
        );
        seen.push(warning("stream", text));
    }
    let is_bounded = config.max_bytes > 0 || config.max_messages > 0;
    if config.discard == DiscardPolicy::Old && is_bounded {
        let text = format!(
            "{name} deletes its oldest messages when it is full, read or not: discard = new \
             makes it push back"
        );
        seen.push(warning("stream", text));
    }
    if !is_bounded && config.max_age.is_zero() && config.retention == RetentionPolicy::Limits {
        seen.push(warning(
            "stream",
            format!("{name} grows until its disk is full"),
        ));
    }
    // A stream without a limit has -1, which does not convert.
    let largest = usize::try_from(config.max_message_size).unwrap_or(usize::MAX);
    if (1..MESSAGE_BYTES).contains(&largest) {
        let text = format!(
            "{name} takes no more than {largest} bytes: larger messages become \
            dead letters"
        );
        seen.push(warning("stream", text));
    }
    seen.extend(of_dedupe(config, options.dedupe, lag));
    seen
}

/// Checks whether repeats are dropped for as long as they may arrive.
fn of_dedupe(config: &Config, dedupe: Dedupe, lag: Duration) -> Option<Observation> {
    let name = &config.name;
    match dedupe {
        Dedupe::Window => {
            let (window, needed) = (config.duplicate_window, lag.saturating_add(WINDOW_RESERVE));
            (window < needed).then(|| {
                let text = format!(
                    "{name} remembers an id for {window:?}, and {needed:?} are needed: a replica \
                     that is behind makes doubles"
                );
                warning("dedupe", text)
            })
        }
        Dedupe::Subject => {
            let is_kept = config.retention == RetentionPolicy::Limits;
            let is_once = config.max_messages_per_subject == 1
                && config.discard == DiscardPolicy::New
                && config.discard_new_per_subject;
            (!is_kept || !is_once).then(|| {
                let text = format!(
                    "{name} does not drop repeats by their subject: it needs retention limits, \
                     max_msgs_per_subject 1, discard new and discard_new_per_subject"
                );
                error("dedupe", text)
            })
        }
    }
}

fn of_monitor(monitor: &str, answer: Result<Monitored, String>) -> Observation {
    match answer {
        Err(why) => error("monitors", format!("{monitor}: {why}")),
        Ok(Monitored { is_synced: true }) => note(
            "monitors",
            format!("{monitor} syncs each message before it acknowledges it"),
        ),
        Ok(Monitored { is_synced: false }) => {
            let text = format!(
                "{monitor} acknowledges messages that are not on its disk yet: without \
                 sync_interval: always a power cut may lose them on all servers"
            );
            warning("monitors", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::{Login, SubjectTemplate, TlsOptions};

    const PATTERN: &str = "mns.*.*.*";

    fn options(dedupe: Dedupe) -> NatsOptions {
        NatsOptions {
            servers: Vec::new(),
            stream: "MNS".to_owned(),
            create: Create::Off,
            subject: SubjectTemplate::parse("mns.{owner}.{topic}.{tag}").unwrap(),
            dedupe,
            shards: 1,
            login: Login::None,
            tls: TlsOptions::default(),
            ack_timeout: TIMEOUT,
            monitors: Vec::new(),
        }
    }

    fn good() -> Config {
        Config {
            name: "MNS".to_owned(),
            subjects: vec!["orders.>".to_owned(), "mns.>".to_owned()],
            num_replicas: 3,
            discard: DiscardPolicy::New,
            max_age: Duration::from_secs(86_400),
            duplicate_window: Duration::from_secs(600),
            ..Config::default()
        }
    }

    /// What is seen of a stream that is good but for one thing.
    fn seen(dedupe: Dedupe, change: impl FnOnce(&mut Config)) -> Vec<(Weight, String)> {
        let mut config = good();
        change(&mut config);
        let lag = Duration::from_secs(300);
        let seen = of_config(&config, &options(dedupe), PATTERN, lag);
        seen.into_iter().map(|it| (it.weight, it.text)).collect()
    }

    #[test]
    fn a_stream_is_good_or_what_is_wrong_with_it_is_said() {
        #[track_caller]
        fn check(weight: Weight, text: &str, change: impl FnOnce(&mut Config)) {
            let seen = seen(Dedupe::Window, change);
            let [(found, said)] = seen.as_slice() else {
                panic!("{text}: {seen:?}");
            };
            assert_eq!(*found, weight, "{said}");
            assert!(said.contains(text), "{said}");
        }
        use Weight::{Error, Warning};
        assert_eq!(seen(Dedupe::Window, |_good| {}), []);
        check(Error, "MNS takes orders.>", |it| drop(it.subjects.pop()));
        check(Error, "acknowledges nothing", |it| it.no_ack = true);
        check(Error, "in memory", |it| it.storage = StorageType::Memory);
        check(Warning, "1 of 3 copies", |it| it.num_replicas = 1);
        check(Warning, "deletes its oldest messages", |it| {
            it.discard = DiscardPolicy::Old;
            it.max_bytes = 1 << 30;
        });
        check(Warning, "grows until", |it| it.max_age = Duration::ZERO);
        check(Warning, "no more than 1024 bytes", |it| {
            it.max_message_size = 1024
        });
        check(
            Warning,
            "remembers an id for 300s, and 420s are needed",
            |it| {
                it.duplicate_window = Duration::from_secs(300);
            },
        );
    }

    #[test]
    fn a_stream_that_drops_repeats_by_subject_has_one_message_for_each() {
        let once = |config: &mut Config| {
            config.max_messages_per_subject = 1;
            config.discard_new_per_subject = true;
            config.duplicate_window = Duration::from_secs(1);
        };
        assert_eq!(seen(Dedupe::Subject, once), []);
        let wrong: [fn(&mut Config); 4] = [
            |it| it.discard_new_per_subject = false,
            |it| it.max_messages_per_subject = 2,
            |it| it.discard = DiscardPolicy::Old,
            |it| it.retention = RetentionPolicy::WorkQueue,
        ];
        for change in wrong {
            let seen = seen(Dedupe::Subject, |config| {
                once(config);
                change(config);
            });
            assert_eq!(seen.len(), 1, "{seen:?}");
            assert_eq!(seen[0].0, Weight::Error);
        }
    }
}
