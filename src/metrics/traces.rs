//! Metrics of the traces that are sent to a collector.

use std::fmt;

use crate::metrics::families::Families;
use crate::traces::Traces;

pub(super) fn write(families: &mut Families<'_>, traces: &Traces) -> fmt::Result {
    families.counter(
        "traces_sent",
        "Traces of pushes that the collector took",
        traces.sent(),
    )?;
    families.counters(
        "traces_dropped",
        "Traces of pushes that were dropped: too many waited, or the collector did not take them",
        [
            ([("cause", "queue_full")], traces.overflowed()),
            ([("cause", "not_taken")], traces.not_taken()),
        ],
    )
}
