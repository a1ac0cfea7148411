//! Metrics of the traces that are sent to a collector.

use std::fmt;

use crate::metrics::families::Families;
use crate::traces::Traces;

pub(super) fn write(families: &mut Families<'_>, traces: &Traces) -> fmt::Result {
    families.counter(
        "traces_sent",
        "Traces of pushes that the collector accepted",
        traces.sent(),
    )?;
    families.counters(
        "traces_dropped",
        "Traces of pushes that were dropped, because the queue was full or the collector did not \
            accept them",
        [
            ([("cause", "queue_full")], traces.overflowed()),
            ([("cause", "not_taken")], traces.not_taken()),
        ],
    )
}
