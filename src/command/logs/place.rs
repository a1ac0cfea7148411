//! Finds the first of the selected rows, and counts them.

use anyhow::Context as _;

use crate::command::logs::source::Source;
use crate::journal::{
    Budget, Filter, Follower, Horizon, Position, RecordTime, Search, SearchStart, Start,
};

/// How many rows one step of the search returns.
const PAGE_ROWS: usize = 1000;

/// The selected rows.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) count: u64,
    /// The oldest one, or the end of the log if no row is left. `None` if there is no log.
    pub(super) begin: Option<Position>,
    /// When the oldest one was logged.
    pub(super) time: Option<RecordTime>,
}

/// Counts the selected rows, back to the position that a receiver has reached.
pub(super) fn count(
    source: &Source,
    filter: &Filter,
    after: Option<Position>,
) -> anyhow::Result<Counted> {
    // Read before the search: a row that arrives meanwhile is then found by the search or comes
    // after this position.
    let mut counted = Counted {
        begin: end(source)?,
        ..Counted::default()
    };
    let chain = source.chain.clone();
    let search = Search::new(chain, Horizon::FileEnd, filter.clone(), SearchStart::Newest);
    let Some(mut search) = search.with_context(|| source.cannot_read())? else {
        return Ok(counted);
    };
    // Comparing file numbers and offsets is enough within one log. If files were renamed, the count
    // is too high at most.
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
            counted.begin = Some(row.position);
            counted.time = row.time().copied();
        }
        if page.next.is_none() {
            return Ok(counted);
        }
    }
}

/// The position of the end of the log.
fn end(source: &Source) -> anyhow::Result<Option<Position>> {
    let mut newest = Follower::new(source.chain.clone(), Horizon::FileEnd, Start::Newest);
    newest.poll().with_context(|| source.cannot_read())?;
    // It may have read a row already, so use the position where it began, which is the last of its
    // trail.
    Ok(newest.trail().pop())
}

/// Says that rows may be missing.
pub(super) fn missed(after: Option<&RecordTime>, before: Option<&RecordTime>) -> String {
    let time = |time: Option<&RecordTime>, otherwise: &str| {
        time.map_or_else(|| otherwise.to_owned(), ToString::to_string)
    };
    let (after, before) = (time(after, "the start"), time(before, "now"));
    format!("records between {after} and {before} may have been missed")
}
