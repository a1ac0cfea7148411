//! Metrics of the process itself.

use std::fmt;

use crate::metrics::families::Families;
use crate::server::Endpoint;

pub(super) fn write(families: &mut Families<'_>, endpoint: &Endpoint) -> fmt::Result {
    families.gauge(
        "draining",
        "Whether a stop is under way",
        u64::from(endpoint.draining.is_cancelled()),
    )
}
