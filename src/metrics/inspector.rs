//! Metrics of the inspector.

use std::fmt;

use crate::admin::Inspector;
use crate::metrics::families::{Families, number};

pub(super) fn write(families: &mut Families<'_>, inspector: &Inspector) -> fmt::Result {
    families.gauge(
        "inspector_streams",
        "Open streams of inspector pages, of 16",
        number(inspector.streams()),
    )?;
    families.counter(
        "inspector_skipped",
        "Rows that pages did not list at once, because more arrived than a page can show",
        inspector.skipped(),
    )?;
    families.durations(
        "inspector_search_seconds",
        "How long searches of the log files took; a search of more than 2 s counts as several",
        inspector.search_time(),
    )
}
