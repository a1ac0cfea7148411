//! Everything that is counted, under the names of `docs/metrics.md`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tracing::error;

use crate::journal::Log;
use crate::meter::{Counted as Buckets, DurationHistogram, SizeHistogram};
use crate::net::Counters;
use crate::server::Endpoint;

/// What stands before every name.
const PREFIX: &str = "mns_endpoint";

/// Reads the counts of an endpoint when somebody asks.
struct Counted {
    endpoint: Arc<Endpoint>,
    connections: Arc<Counters>,
}

/// A function that gives all metrics as `OpenMetrics` text.
pub(crate) fn text_of(
    endpoint: Arc<Endpoint>,
    connections: Arc<Counters>,
) -> impl Fn() -> String + Send + Sync + 'static {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Counted {
        endpoint,
        connections,
    }));
    move || {
        let mut told = String::new();
        if let Err(error) = text::encode(&mut told, &registry) {
            error!(%error, "Metrics cannot be written");
        }
        told
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests(&mut encoder)?;
        self.subscriptions(&mut encoder)?;
        self.spans(&mut encoder)?;
        self.connections(&mut encoder)?;
        self.certificates(&mut encoder)?;
        self.queue(&mut encoder)?;
        self.batches(&mut encoder)?;
        self.journal(&mut encoder)?;
        self.quarantine(&mut encoder)
    }
}

impl Counted {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = &self.endpoint.counts;
        counter(
            encoder,
            "accepted",
            "Requests answered 201",
            counts.accepted.load(Ordering::Relaxed),
        )?;
        let in_flight = &self.endpoint.in_flight;
        gauge(
            encoder,
            "in_flight_requests",
            "Requests that wait for the disk",
            number(in_flight.requests()),
        )?;
        gauge(
            encoder,
            "in_flight_bytes",
            "The bytes of all bodies that have come and are not answered",
            number(in_flight.bytes()),
        )?;
        let help = "Refusals, and remarks on accepted requests, by the keys of docs/errors.md";
        let mut family = encoder.encode_descriptor("reasons", help, None, MetricType::Counter)?;
        for (reason, count) in counts.reasons() {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason.key())])?)?;
        }
        let help = "Refusals that left no record";
        counter(
            encoder,
            "refusals_left_out",
            help,
            self.endpoint.refused.left_out(),
        )?;
        let help = "Refusals that left no access line";
        counter(
            encoder,
            "access_lines_left_out",
            help,
            self.endpoint.refused.lines_left_out(),
        )?;
        let Some(seconds) = counts.skew_seconds() else {
            return Ok(());
        };
        let help = "Our clock less the Date of the last push that was verified";
        let metric =
            encoder.encode_descriptor("clock_skew_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(seconds).encode(metric)
    }

    fn subscriptions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.endpoint.counts.subscriptions();
        // A family without members has no lines to stand under its name.
        if counts.is_empty() {
            return Ok(());
        }
        let help =
            "Notifications answered 201, by subscription; past 200 of them, together as other";
        let mut family =
            encoder.encode_descriptor("notifications", help, None, MetricType::Counter)?;
        for count in &counts {
            let labels = [
                ("topic", count.topic.as_str()),
                ("subscription", count.subscription.as_str()),
            ];
            ConstCounter::new(count.accepted).encode(family.encode_family(&labels)?)?;
        }
        let help = "When the last notification of a subscription came, in Unix time";
        let mut family = encoder.encode_descriptor(
            "last_notification_timestamp_seconds",
            help,
            None,
            MetricType::Gauge,
        )?;
        for count in &counts {
            let labels = [
                ("topic", count.topic.as_str()),
                ("subscription", count.subscription.as_str()),
            ];
            gauge_of(count.last_second).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn spans(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = &self.endpoint.counts;
        spans(
            encoder,
            "verify_seconds",
            "From a whole request to a verdict on its signature",
            &counts.verify,
        )?;
        spans(
            encoder,
            "commit_seconds",
            "From the hand-over to the journal to its answer",
            &counts.commit,
        )?;
        spans(
            encoder,
            "answer_seconds",
            "From the first byte of an accepted request to its 201",
            &counts.answer,
        )
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let count = &self.connections;
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let opened = load(&count.opened);
        counter(
            encoder,
            "connections",
            "Connections that got a slot",
            opened,
        )?;
        let open = opened.saturating_sub(load(&count.closed));
        gauge(
            encoder,
            "open_connections",
            "Connections that have a slot now",
            open,
        )?;
        let help = "Connections told 503 because every slot was busy";
        counter(
            encoder,
            "connections_turned_away",
            help,
            load(&count.turned_away),
        )?;
        let help = "Connections that were closed so that another one gets their slot, or because \
            heads took too much memory";
        let of_each = [
            ("proved", load(&count.evicted_proved)),
            ("unproved", load(&count.evicted_unproved)),
        ];
        let mut family =
            encoder.encode_descriptor("connections_evicted", help, None, MetricType::Counter)?;
        for (kind, count) in of_each {
            ConstCounter::new(count).encode(family.encode_family(&[("kind", kind)])?)?;
        }
        let help = "Memory for request heads whose connections wait for their peers";
        gauge(encoder, "head_bytes", help, load(&count.head_bytes))?;
        let help =
            "Request heads that were broken, too slow or too large, and broken PROXY headers";
        counter(encoder, "broken_heads", help, load(&count.broken_heads))?;
        let help = "TLS handshakes that failed or took too long";
        counter(
            encoder,
            "failed_handshakes",
            help,
            load(&count.failed_handshakes),
        )
    }

    fn certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.endpoint.gate.load().verifier.certificates();
        let help =
            "Addresses of signing certificates that are known, with and without a certificate";
        let members = [
            ("held", number(counts.held)),
            ("missing", number(counts.missing)),
        ];
        gauges(encoder, "certificate_addresses", help, "state", &members)?;
        counter(
            encoder,
            "certificate_fetches",
            "Fetches of signing certificates",
            counts.fetches,
        )?;
        let help = "Pushes that were verified under a key not seen before";
        counter(encoder, "signing_key_changes", help, counts.key_changes)?;
        let help = "Fetches that brought no certificate";
        counter(encoder, "certificate_fetches_failed", help, counts.failures)
    }

    fn queue(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let journal = &self.endpoint.journal;
        let (pushes, refusals) = (journal.waiting_pushes(), journal.waiting_refusals());
        let help = "Entries that wait for the disk, those at hand included";
        let members = [
            ("push", number(pushes.entries)),
            ("refusal", number(refusals.entries)),
        ];
        gauges(encoder, "journal_queue_entries", help, "kind", &members)?;
        let help = "The bytes of these entries";
        let members = [
            ("push", number(pushes.bytes)),
            ("refusal", number(refusals.bytes)),
        ];
        gauges(encoder, "journal_queue_bytes", help, "kind", &members)
    }

    fn batches(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let meters = self.endpoint.journal.meters();
        sizes(
            encoder,
            "journal_batch_entries",
            "Entries written together",
            &meters.batch_entries,
        )?;
        sizes(
            encoder,
            "journal_batch_bytes",
            "Their bytes in both logs",
            &meters.batch_bytes,
        )?;
        let help = "How long the disk took for what was written together, syncs included";
        spans(encoder, "journal_batch_seconds", help, &meters.batch_time)?;
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let (access, endpoint) = (
            load(&meters.access_log_bytes),
            load(&meters.endpoint_log_bytes),
        );
        let members = [
            (Log::Access.name(), access),
            (Log::Endpoint.name(), endpoint),
        ];
        gauges(
            encoder,
            "log_bytes",
            "The length of the log that is written",
            "log",
            &members,
        )?;
        counter(
            encoder,
            "log_rotations",
            "Logs that were put aside because they were full",
            load(&meters.rotations),
        )?;
        let help = "Logs that were opened anew because somebody had moved them";
        counter(encoder, "log_reopenings", help, load(&meters.reopenings))?;
        let help = "Notifications that were on disk already when they came again";
        counter(
            encoder,
            "duplicates",
            help,
            self.endpoint.journal.duplicates(),
        )?;
        let help = "Notifications that are remembered to tell duplicates by";
        gauge(
            encoder,
            "remembered_notifications",
            help,
            load(&meters.remembered),
        )
    }

    fn journal(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let journal = &self.endpoint.journal;
        let help = "Whether what is handed to the journal can be expected to reach the disk";
        gauge(
            encoder,
            "journal_writable",
            help,
            u64::from(journal.is_writable()),
        )?;
        let help = "Refusals that were not logged for want of room";
        counter(
            encoder,
            "journal_dropped_refusals",
            help,
            journal.refusals_dropped(),
        )?;
        gauge(
            encoder,
            "draining",
            "Whether a stop is under way",
            u64::from(self.endpoint.draining.is_cancelled()),
        )
    }

    fn quarantine(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let quarantine = &self.endpoint.quarantine;
        counter(
            encoder,
            "quarantine_kept",
            "Refused requests that were put in quarantine",
            quarantine.kept(),
        )?;
        let help = "Refused requests that there was no room for in quarantine";
        counter(encoder, "quarantine_dropped", help, quarantine.dropped())?;
        let help = "Requests in quarantine that made room for younger ones";
        counter(
            encoder,
            "quarantine_pushed_out",
            help,
            quarantine.pushed_out(),
        )?;
        let help = "Requests in quarantine that were deleted because space was scarce";
        counter(
            encoder,
            "quarantine_given_back",
            help,
            quarantine.given_back(),
        )?;
        gauge(
            encoder,
            "quarantine_requests",
            "Requests in quarantine",
            number(quarantine.files()),
        )?;
        gauge(
            encoder,
            "quarantine_bytes",
            "The room that they take",
            quarantine.bytes(),
        )
    }
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(
        name,
        help,
        None,
        MetricType::Counter,
    )?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    gauge_of(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// A gauge for each value of one label.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    members: &[(&str, u64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, count) in members {
        gauge_of(*count).encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn gauge_of(value: u64) -> ConstGauge {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

fn spans(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    spans: &DurationHistogram,
) -> fmt::Result {
    let seconds = |us: u64| std::time::Duration::from_micros(us).as_secs_f64();
    histogram(encoder, name, help, &spans.counted(), seconds)
}

fn sizes<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    sizes: &SizeHistogram<N>,
) -> fmt::Result {
    // Sizes are far below 2^53, up to which this is exact.
    #[expect(
        clippy::cast_precision_loss,
        clippy::as_conversions,
        reason = "the text format has floats only"
    )]
    let as_it_is = |size: u64| size as f64;
    histogram(encoder, name, help, &sizes.counted(), as_it_is)
}

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counted: &Buckets,
    unit: impl Fn(u64) -> f64,
) -> fmt::Result {
    let bound = |bound: Option<u64>| bound.map_or(f64::INFINITY, &unit);
    let buckets: Vec<(f64, u64)> = counted
        .buckets
        .iter()
        .map(|(end, count)| (bound(*end), *count))
        .collect();
    let count = counted.buckets.iter().map(|(_, count)| count).sum();
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    metric.encode_histogram::<[(&str, &str); 0]>(unit(counted.sum), count, &buckets, None)
}
