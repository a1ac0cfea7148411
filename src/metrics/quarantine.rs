//! Metrics of the quarantine for refused requests.

use std::fmt;

use crate::metrics::families::{Families, number};
use crate::quarantine::Quarantine;

pub(super) fn write(families: &mut Families<'_>, quarantine: &Quarantine) -> fmt::Result {
    families.counter(
        "quarantine_kept",
        "Refused requests that were put in quarantine",
        quarantine.kept(),
    )?;
    families.counter(
        "quarantine_dropped",
        "Refused requests that there was no room for in quarantine",
        quarantine.dropped(),
    )?;
    families.counter(
        "quarantine_pushed_out",
        "Requests in quarantine that made room for younger ones",
        quarantine.pushed_out(),
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
