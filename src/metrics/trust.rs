//! Metrics of signing certificates.

use std::fmt;

use crate::metrics::families::{Families, number};
use crate::trust::CacheCounts;

pub(super) fn write(families: &mut Families<'_>, counts: &CacheCounts) -> fmt::Result {
    families.gauges(
        "certificate_addresses",
        "Addresses of signing certificates that are known, with and without a certificate",
        [
            ([("state", "held")], number(counts.held)),
            ([("state", "missing")], number(counts.missing)),
        ],
    )?;
    families.counter(
        "certificate_fetches",
        "Fetches of signing certificates",
        counts.fetches,
    )?;
    families.counter(
        "signing_key_changes",
        "Pushes that were verified under a key not seen before",
        counts.key_changes,
    )?;
    families.counter(
        "certificate_fetches_failed",
        "Fetches of signing certificates that failed",
        counts.failures,
    )
}
