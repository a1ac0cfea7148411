//! Metrics of connections.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::metrics::families::Families;
use crate::net::{Counters, Tls};

pub(super) fn write(
    families: &mut Families<'_>,
    counters: &Counters,
    tls: Option<&Tls>,
) -> fmt::Result {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let opened = load(&counters.opened);
    families.counter("connections", "Connections that got a slot", opened)?;
    families.gauge(
        "open_connections",
        "Connections that have a slot now",
        // The two are loaded one after the other, so a connection that opens and closes in between
        // is only counted as closed.
        opened.saturating_sub(load(&counters.closed)),
    )?;
    families.counter(
        "connections_turned_away",
        "Connections answered 503 because every slot was busy",
        load(&counters.turned_away),
    )?;
    families.counters(
        "connections_evicted",
        "Connections that were closed so that another one gets their slot, or because heads took \
         too much memory",
        [
            ([("kind", "proved")], load(&counters.evicted_proved)),
            ([("kind", "unproved")], load(&counters.evicted_unproved)),
        ],
    )?;
    families.gauge(
        "head_bytes",
        "Memory for request heads whose connections wait for their peers",
        load(&counters.head_bytes),
    )?;
    families.counter(
        "broken_heads",
        "Request heads that were broken, too slow or too large, and broken PROXY headers",
        load(&counters.broken_heads),
    )?;
    families.counter(
        "failed_handshakes",
        "TLS handshakes that failed or took too long",
        load(&counters.failed_handshakes),
    )?;
    let end = tls
        .and_then(Tls::not_after)
        .and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
    // Without TLS there is no certificate; 0 would be one that has expired.
    let Some(end) = end else { return Ok(()) };
    families.gauge(
        "tls_certificate_expiry_timestamp_seconds",
        "When the certificate of server.tls expires, in Unix time",
        end.as_secs(),
    )
}
