//! Metrics of requests: what was accepted, what was refused and why, and how long it took.

use std::fmt;
use std::sync::atomic::Ordering;

use crate::metrics::families::{Families, number};
use crate::server::{Counts, Endpoint};

pub(super) fn write(families: &mut Families<'_>, endpoint: &Endpoint) -> fmt::Result {
    let counts = &endpoint.counts;
    let accepted = counts.accepted.load(Ordering::Relaxed);
    families.counter("accepted", "Requests answered 201", accepted)?;
    let in_flight = &endpoint.in_flight;
    families.gauge(
        "in_flight_requests",
        "Requests that wait for the disk",
        number(in_flight.requests()),
    )?;
    families.gauge(
        "in_flight_bytes",
        "The bytes of all bodies that have arrived and are not answered",
        number(in_flight.bytes()),
    )?;
    families.counters(
        "reasons",
        "Refusals, and remarks on accepted requests, by the keys of docs/errors.md",
        counts
            .reasons()
            .map(|(reason, count)| ([("reason", reason.key())], count)),
    )?;
    families.counter(
        "refusals_left_out",
        "Refusals that left no record",
        endpoint.refused.left_out(),
    )?;
    families.counter(
        "access_lines_left_out",
        "Refusals that left no access line",
        endpoint.refused.lines_left_out(),
    )?;
    // Unknown before the first verified push; 0 would mean that the clocks agree.
    let Some(seconds) = counts.skew_seconds() else {
        return Ok(());
    };
    families.signed_gauge(
        "clock_skew_seconds",
        "Our clock minus the Date of the last verified push",
        seconds,
    )
}

pub(super) fn write_subscriptions(families: &mut Families<'_>, counts: &Counts) -> fmt::Result {
    let subscriptions = counts.subscriptions();
    // Without members a family would only have its name and its help.
    if subscriptions.is_empty() {
        return Ok(());
    }
    families.counters(
        "notifications",
        "Notifications answered 201, by subscription; past 200 of them, together as other",
        subscriptions.iter().map(|count| {
            let labels = [
                ("topic", count.topic.as_str()),
                ("subscription", count.subscription.as_str()),
            ];
            (labels, count.accepted)
        }),
    )?;
    families.gauges(
        "last_notification_timestamp_seconds",
        "When the last notification of a subscription arrived, in Unix time",
        subscriptions.iter().map(|count| {
            let labels = [
                ("topic", count.topic.as_str()),
                ("subscription", count.subscription.as_str()),
            ];
            (labels, count.last_second)
        }),
    )?;
    families.gauges(
        "backing_off",
        "Whether the last push of a subscription was refused, so that MNS waits before the next",
        subscriptions.iter().map(|count| {
            let labels = [
                ("topic", count.topic.as_str()),
                ("subscription", count.subscription.as_str()),
            ];
            (labels, u64::from(count.is_backing_off))
        }),
    )
}

pub(super) fn write_durations(families: &mut Families<'_>, counts: &Counts) -> fmt::Result {
    families.durations(
        "verify_seconds",
        "From a whole request to a verdict on its signature",
        &counts.verify,
    )?;
    families.durations(
        "commit_seconds",
        "From the hand-over to the journal to its answer",
        &counts.commit,
    )?;
    families.durations(
        "answer_seconds",
        "From the first byte of an accepted request to its 201",
        &counts.answer,
    )
}
