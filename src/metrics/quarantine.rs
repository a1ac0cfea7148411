//! Metrics of the quarantine for refused requests.

use std::fmt;

use strum::IntoEnumIterator as _;

use crate::metrics::families::{Families, number};
use crate::quarantine::{Provenance, Quarantine};

pub(super) fn write(families: &mut Families<'_>, quarantine: &Quarantine) -> fmt::Result {
    families.counters(
        "quarantine_kept",
        "Refused requests that were put in quarantine",
        by_provenance(|of| quarantine.kept(of)),
    )?;
    families.counters(
        "quarantine_dropped",
        "Refused requests that there was no room for in quarantine",
        by_provenance(|of| quarantine.dropped(of)),
    )?;
    families.counters(
        "quarantine_pushed_out",
        "Requests in quarantine that made room for younger ones",
        by_provenance(|of| quarantine.pushed_out(of)),
    )?;
    families.counter(
        "quarantine_given_back",
        "Requests in quarantine that were deleted because space was scarce",
        quarantine.given_back(),
    )?;
    families.gauge(
        "quarantine_requests",
        "Requests in quarantine",
        number(quarantine.files()),
    )?;
    families.gauge(
        "quarantine_bytes",
        "The room that they take",
        quarantine.bytes(),
    )
}

/// A count for requests that MNS signed and one for others, labelled like their files.
fn by_provenance(
    count: impl Fn(Provenance) -> u64,
) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
    Provenance::iter()
        .map(move |provenance| ([("provenance", provenance.into())], count(provenance)))
}
