//! Metrics of forwarding, each with the name of its destination.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::forward::{Meters, Reason, Vitals};
use crate::metrics::families::Families;

/// The label with the name of the destination.
const TO: &str = "to";

pub(super) fn write(families: &mut Families<'_>, all: &[Vitals]) -> fmt::Result {
    // Otherwise the output would have names without a value.
    if all.is_empty() {
        return Ok(());
    }
    write_counters(families, all)?;
    write_backlog(families, all)?;
    families.gauges(
        "forward_connected",
        "Whether there is a connection to the destination",
        each(all, |meters| {
            u64::from(meters.is_connected.load(Ordering::Relaxed))
        }),
    )?;
    families.durations_each(
        "forward_ack_seconds",
        "How long the destination took to acknowledge a notification",
        all.iter()
            .map(|vitals| ([(TO, vitals.name())], &vitals.meters.ack)),
    )?;
    let waits = all.iter().filter_map(|vitals| {
        let answers = vitals.answers.as_ref()?;
        Some(([(TO, vitals.name())], answers.waits()))
    });
    let waits: Vec<_> = waits.collect();
    if !waits.is_empty() {
        families.durations_each(
            "forward_wait_seconds",
            "How long an accepted push waited, after its commit, for the acknowledgement",
            waits,
        )?;
    }
    families.gauges(
        "forward_last_delivery_timestamp_seconds",
        "When the destination acknowledged last, in Unix time; 0 for never",
        each(all, |meters| load(&meters.last_delivery_seconds)),
    )
}

fn write_counters(families: &mut Families<'_>, all: &[Vitals]) -> fmt::Result {
    let delivered = all.iter().flat_map(|vitals| {
        let labels = |result| [(TO, vitals.name()), ("result", result)];
        [
            (labels("stored"), load(&vitals.meters.stored)),
            (labels("duplicate"), load(&vitals.meters.duplicates)),
        ]
    });
    families.counters(
        "forward_delivered",
        "Notifications that the destination acknowledged",
        delivered,
    )?;
    families.counters(
        "forward_failures",
        "Attempts to send that failed, by reason",
        by_reason(all, |meters| meters.failures().collect()),
    )?;
    families.counters(
        "forward_dead_letters",
        "Notifications that became dead letters, by reason",
        by_reason(all, |meters| meters.dead_letters().collect()),
    )?;
    families.counters(
        "forward_skipped_bytes",
        "Bytes of the endpoint log that were skipped because the backlog was full",
        each(all, |meters| load(&meters.skipped_bytes)),
    )?;
    families.counters(
        "forward_gaps",
        "Places where records had been deleted before they were forwarded",
        each(all, |meters| load(&meters.gaps)),
    )
}

fn write_backlog(families: &mut Families<'_>, all: &[Vitals]) -> fmt::Result {
    families.gauges(
        "forward_backlog_bytes",
        "Bytes of the endpoint log that are committed and not yet settled",
        each(all, |meters| load(&meters.backlog_bytes)),
    )?;
    families.gauges(
        "forward_backlog_seconds",
        "The age of the oldest notification that is not settled",
        each(all, |meters| load(&meters.backlog_seconds)),
    )?;
    families.gauges(
        "forward_duplicate_window_seconds",
        "How long the stream drops repeats; 0 if that is not known, or without a time",
        each(all, |meters| {
            meters
                .duplicate_window()
                .map_or(0, |window| window.as_secs())
        }),
    )?;
    families.gauges(
        "forward_in_flight",
        "Notifications that were sent, or wait to be sent again",
        each(all, |meters| load(&meters.in_flight)),
    )?;
    families.gauges(
        "forward_in_flight_bytes",
        "The bytes of these notifications",
        each(all, |meters| load(&meters.in_flight_bytes)),
    )?;
    families.gauges(
        "forward_ended",
        "Whether nothing is forwarded to the destination until the next start",
        all.iter().map(|vitals| {
            let has_ended = u64::from(vitals.gate.has_ended());
            ([(TO, vitals.name())], has_ended)
        }),
    )
}

/// A value for each destination.
fn each<'a>(
    all: &'a [Vitals],
    value: impl Fn(&Meters) -> u64 + 'a,
) -> impl Iterator<Item = ([(&'a str, &'a str); 1], u64)> {
    all.iter()
        .map(move |vitals| ([(TO, vitals.name())], value(&vitals.meters)))
}

/// A value for each destination and reason. Those of HTTP destinations stay at 0 for others.
fn by_reason<'a>(
    all: &'a [Vitals],
    counts: impl Fn(&Meters) -> Vec<(Reason, u64)> + 'a,
) -> impl Iterator<Item = ([(&'a str, &'a str); 2], u64)> {
    all.iter().flat_map(move |vitals| {
        let labels = |reason: Reason| [(TO, vitals.name()), ("reason", reason.key())];
        counts(&vitals.meters)
            .into_iter()
            .map(move |(reason, count)| (labels(reason), count))
    })
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
