//! Where the first of the rows that are asked for is, and how many there are.

use anyhow::Context as _;

use crate::command::logs::source::Source;
use crate::journal::{Budget, Filter, Horizon, Position, RecordTime, Search, SearchStart};

/// Rows that are looked for at once.
const PAGE_ROWS: usize = 1000;

/// What was found.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) count: u64,
    /// The oldest, and when it was logged.
    pub(super) first: Option<Position>,
    pub(super) time: Option<RecordTime>,
}

/// Counts the rows that are asked for, back to the place that a receiver has come to.
pub(super) fn count(
    source: &Source,
    filter: &Filter,
    after: Option<Position>,
) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let chain = source.chain.clone();
    let search = Search::new(chain, Horizon::FileEnd, filter.clone(), SearchStart::Newest);
    let Some(mut search) = search.with_context(|| source.cannot_read())? else {
        return Ok(counted);
    };
    // Numbers of files and offsets are those of the same log; renamed files count too much at most.
    let is_done = |row: &Position| {
        after.is_some_and(|after| (row.number(), row.offset()) < (after.number(), after.offset()))
    };
    let budget = Budget {
        rows: PAGE_ROWS,
        ..Budget::UNBOUNDED
    };
    loop {
        let page = search.page(&budget, |_| false);
        let page = page.with_context(|| source.cannot_read())?;
        for row in page.rows {
            if is_done(&row.position) {
                return Ok(counted);
            }
            counted.count = counted.count.saturating_add(1);
            counted.first = Some(row.position);
            counted.time = row.time().copied();
        }
        if page.next.is_none() {
            return Ok(counted);
        }
    }
}

/// That rows may be missing.
pub(super) fn missed(after: Option<&RecordTime>, before: Option<&RecordTime>) -> String {
    let time = |time: Option<&RecordTime>, otherwise: &str| {
        time.map_or_else(|| otherwise.to_owned(), ToString::to_string)
    };
    let (after, before) = (time(after, "the start"), time(before, "now"));
    format!("records between {after} and {before} may have been missed")
}
