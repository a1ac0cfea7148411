//! Where the first of the rows that are asked for is, and how many there are.

use anyhow::Context as _;

use crate::command::logs::source::Source;
use crate::journal::{
    Budget, Filter, Follower, Horizon, Position, RecordTime, Search, SearchStart, Start,
};

/// Rows that are looked for at once.
const PAGE_ROWS: usize = 1000;

/// What was found.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) count: u64,
    /// The oldest, or the end of the log if no row is left; `None` if there is no log either.
    pub(super) begin: Option<Position>,
    /// When the oldest was logged.
    pub(super) time: Option<RecordTime>,
}

/// Counts the rows that are asked for, back to the place that a receiver has come to.
pub(super) fn count(
    source: &Source,
    filter: &Filter,
    after: Option<Position>,
) -> anyhow::Result<Counted> {
    // Before the search: a row that comes meanwhile is found by it, or is behind this place.
    let mut counted = Counted {
        begin: end(source)?,
        ..Counted::default()
    };
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
            counted.begin = Some(row.position);
            counted.time = row.time().copied();
        }
        if page.next.is_none() {
            return Ok(counted);
        }
    }
}

/// Where the log ends.
fn end(source: &Source) -> anyhow::Result<Option<Position>> {
    let mut newest = Follower::new(source.chain.clone(), Horizon::FileEnd, Start::Newest);
    newest.poll().with_context(|| source.cannot_read())?;
    // It may have read a row by now: the place where it began is the last of its trail.
    Ok(newest.trail().pop())
}

/// That rows may be missing.
pub(super) fn missed(after: Option<&RecordTime>, before: Option<&RecordTime>) -> String {
    let time = |time: Option<&RecordTime>, otherwise: &str| {
        time.map_or_else(|| otherwise.to_owned(), ToString::to_string)
    };
    let (after, before) = (time(after, "the start"), time(before, "now"));
    format!("records between {after} and {before} may have been missed")
}
