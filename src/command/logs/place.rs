//! Finds the first of the selected rows, and counts them.

use std::io;
use std::path::Path;

use anyhow::Context as _;

use crate::command::counted::counted;
use crate::command::logs::source::Source;
use crate::journal::{
    Budget, Chain, Filter, Follower, Horizon, Position, RecordTime, Search, SearchStart, Start,
};

/// How many rows one step of the search returns.
const PAGE_ROWS: usize = 1000;

/// The selected rows.
#[derive(Default)]
pub(in crate::command) struct Counted {
    pub(in crate::command) count: u64,
    /// The oldest one, or the end of the log if no row is left. `None` if there is no log.
    pub(in crate::command) begin: Option<Position>,
    /// When the oldest one was logged.
    pub(in crate::command) time: Option<RecordTime>,
}

/// Counts the selected rows, back to the position that a receiver has reached.
pub(in crate::command) fn count(
    source: &Source,
    filter: &Filter,
    after: Option<Position>,
) -> anyhow::Result<Counted> {
    // Read before the search: a row that arrives meanwhile is then found by the search or comes
    // after this position.
    let mut counted = Counted {
        begin: end(&source.chain).with_context(|| source.cannot_read())?,
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
pub(in crate::command) fn end(chain: &Chain) -> io::Result<Option<Position>> {
    let mut newest = Follower::new(chain.clone(), Horizon::FileEnd, Start::Newest);
    newest.poll()?;
    // It may have read a row already, so use the position where it began, which is the last of its
    // trail.
    Ok(newest.trail().pop())
}

/// Says that rows may be missing.
pub(in crate::command) fn missed(
    after: Option<&RecordTime>,
    before: Option<&RecordTime>,
) -> String {
    let time = |time: Option<&RecordTime>, otherwise: &str| {
        time.map_or_else(|| otherwise.to_owned(), ToString::to_string)
    };
    let (after, before) = (time(after, "the start"), time(before, "now"));
    format!("records between {after} and {before} may have been missed")
}

/// Says that bytes are not a record.
pub(in crate::command) fn damage(path: &Path, bytes: usize) -> String {
    let (path, bytes) = (path.display(), counted(bytes, "byte"));
    format!("{path}: damage of {bytes}: see mns-endpoint logs verify")
}
