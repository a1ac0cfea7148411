//! Finds the position after the newest row.

use std::io;

use crate::journal::read::chain::Chain;
use crate::journal::read::horizon::Horizon;
use crate::journal::read::position::Position;

/// The position after the newest row. A search that starts
/// [before](crate::journal::SearchStart::Before) this position leaves out all rows that were
/// written since. `None` if there is no file.
///
/// # Errors
/// A file cannot be opened or read.
pub fn newest(chain: &Chain, horizon: &Horizon) -> io::Result<Option<Position>> {
    let youngest = chain.links()?.into_iter().next_back();
    let Some(open) = youngest.map(|link| chain.open(link)).transpose()?.flatten() else {
        return Ok(None);
    };
    let file = open.file.as_ref();
    let readable = horizon.readable(file, open.link.id)?;
    // Do not take the end of the file: it may be between the last request and its outcome.
    let end = readable.last_row_end(file)?;
    Position::of(file, open.link.number, end).map(Some)
}
