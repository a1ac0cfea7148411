//! Metrics of the inspector.

use std::fmt;

use crate::admin::Inspector;
use crate::metrics::families::{Families, number};

pub(super) fn write(families: &mut Families<'_>, inspector: &Inspector) -> fmt::Result {
    families.gauge(
        "inspector_streams",
        "Pages that show what arrives, of 16",
        number(inspector.streams()),
    )?;
    families.counter(
        "inspector_skipped",
        "Rows that pages did not list at once, because more came than a page can show",
        inspector.skipped(),
    )?;
    families.durations(
        "inspector_search_seconds",
        "How long searches of the log files took, each for 2 s at most before it is asked on",
        inspector.search_time(),
    )
}
