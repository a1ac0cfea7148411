//! The current state of the destinations of accepted notifications, read from the counters of their
//! forwarders when a page asks for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::row::Rows;
use crate::forward::{Ack, Destination, Gap, Reason, Settings, Vitals, WhenFull};
use crate::journal::RecordTime;

/// `GET /api/forwarding`.
pub(super) fn forwarding(inspector: &Inspector) -> Value {
    let held_files = &inspector.endpoint.journal.meters().held_files;
    let all = inspector.destinations.iter();
    let destinations: Vec<Value> = all
        .map(|vitals| destination(vitals, &inspector.rows))
        .collect();
    json!({
        "now": inspector.rows.time(inspector.endpoint.clock.now()),
        "destinations": destinations,
        "held_files": load(held_files),
    })
}

fn destination(vitals: &Vitals, rows: &Rows) -> Value {
    let mut object = Map::new();
    for part in [
        configured(&vitals.settings),
        state(vitals, Instant::now()),
        counted(vitals, rows),
    ] {
        if let Value::Object(part) = part {
            object.extend(part);
        }
    }
    Value::Object(object)
}

fn configured(settings: &Settings) -> Value {
    let (target, servers) = match &settings.destination {
        Destination::Nats(options) => (options.stream.clone(), options.servers.clone()),
        Destination::Http(options) => (without_secrets(&options.url), Vec::new()),
    };
    let (ack, timeout) = match settings.ack {
        Ack::Journal => ("journal", None),
        Ack::Forward { timeout } => ("forward", Some(timeout)),
    };
    json!({
        "name": settings.name,
        "kind": settings.destination.kind(),
        "target": target,
        "servers": servers.iter().map(|url| without_secrets(url)).collect::<Vec<_>>(),
        "topics": settings.topics,
        "ack": ack,
        "answer_timeout_ms": timeout.map(ms),
        "when_full": match settings.when_full {
            WhenFull::Refuse => "refuse",
            WhenFull::Skip => "skip",
        },
    })
}

/// An address without its query, which may have a key in it. The configuration does not accept an
/// address with a user.
fn without_secrets(url: &str) -> String {
    match url.split_once('?') {
        Some((address, _)) => format!("{address}?***"),
        None => url.to_owned(),
    }
}

/// Whether the destination gets its notifications, and why not. The sink has already escaped and
/// cut the text of the destination.
fn state(vitals: &Vitals, now: Instant) -> Value {
    let condition = vitals.condition();
    let since = |since: Instant| now.saturating_duration_since(since).as_secs();
    json!({
        "state": condition.phase.key(),
        "reason": condition.reason,
        "since_s": condition.since.map(since),
        "detail": condition.detail,
    })
}

/// The backlog now, and the counts since the start of this process.
fn counted(vitals: &Vitals, rows: &Rows) -> Value {
    let meters = &vitals.meters;
    let last = Duration::from_secs(load(&meters.last_delivery_seconds));
    let last = UNIX_EPOCH.checked_add(last).filter(|_| !last.is_zero());
    let gap = meters.gap().map(|Gap { after, before }| {
        let time = |time: Option<RecordTime>| time.map(|time| time.rfc3339(&rows.zone));
        json!({ "after": time(after), "before": time(before) })
    });
    json!({
        "full": vitals.gate.is_full(),
        "backlog_bytes": load(&meters.backlog_bytes),
        "backlog_s": load(&meters.backlog_seconds),
        "in_flight": load(&meters.in_flight),
        "stored": load(&meters.stored),
        "duplicates": load(&meters.duplicates),
        "failures": by_reason(meters.failures()),
        "dead_letters": by_reason(meters.dead_letters()),
        "skipped_bytes": load(&meters.skipped_bytes),
        "last_delivery": last.map(|last| rows.time(last)),
        "saved_after_ms": load(&meters.saved_after_ms).max(load(&meters.unsaved_ms)),
        "gap": gap,
    })
}

/// The counts above zero, by the key of their reason.
fn by_reason(counts: impl Iterator<Item = (Reason, u64)>) -> Map<String, Value> {
    let counts = counts.filter(|(_, count)| *count > 0);
    counts
        .map(|(reason, count)| (reason.key().to_owned(), json!(count)))
        .collect()
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
