//! Looks up the row at a position.

use std::io;

use crate::journal::read::chain::{Chain, Located};
use crate::journal::read::horizon::Horizon;
use crate::journal::read::position::Position;
use crate::journal::read::row::Row;
use crate::journal::read::spans::{Next, split};

/// How many bytes are read first. The number is doubled until the row is complete.
const WINDOW_BYTES: usize = 64 * 1024;
/// The largest row, in bytes.
const ROW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The result of a look-up.
#[derive(Debug)]
pub enum Lookup {
    /// The row that begins at the position.
    Found(Box<Row>),
    /// No row begins at the position: its file was deleted, compressed, truncated or damaged.
    Gone,
}

/// Looks up the row at a position.
///
/// # Errors
/// A file cannot be opened or read.
pub fn look_up(chain: &Chain, horizon: &Horizon, position: &Position) -> io::Result<Lookup> {
    let Located::In(open) = chain.locate(position)? else {
        return Ok(Lookup::Gone);
    };
    let file = open.file.as_ref();
    let readable = horizon.readable(file, open.link.id)?;
    let mut wanted = WINDOW_BYTES;
    loop {
        let bytes = readable.read(file, position.offset(), wanted)?;
        let is_all = readable.ends_within(position.offset(), bytes.len());
        // At the end of the live file the outcome of a request may still follow.
        let next = if is_all && !open.link.is_live {
            Next::Other
        } else {
            Next::Unknown
        };
        // If the bytes at the position do not begin like a record, they are damaged.
        let begins = bytes.starts_with(b"[") || bytes.starts_with(b"{");
        let first = split(&bytes, next).spans.first().copied();
        if let Some(span) = first.filter(|span| begins && span.start == 0) {
            let raw = bytes.get(..span.end).unwrap_or_default().to_vec();
            let row = Row::of(*position, raw, span.last);
            return Ok(row.map_or(Lookup::Gone, |row| Lookup::Found(Box::new(row))));
        }
        if is_all || wanted >= ROW_BYTES_MAX {
            return Ok(Lookup::Gone);
        }
        wanted = wanted.saturating_mul(2);
    }
}
