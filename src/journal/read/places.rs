//! Finds the position of a place in an endpoint log: a user names the place by a file and an
//! offset.

use std::io;

use crate::journal::read::chain::{Chain, Located, OpenLink};
use crate::journal::read::horizon::{Horizon, Readable};
use crate::journal::read::position::Position;
use crate::journal::read::spans::{boundaries, last_boundary};

/// To find the beginning of the record that contains an offset, this many bytes before the offset
/// are searched. Only an error message needs that beginning.
const LOOK_BACK_BYTES: u64 = 64 * 1024;

/// A place that is not in the log.
#[derive(Debug, thiserror::Error)]
pub enum NoPlace {
    /// The log has no such file.
    #[error("{name} is not a file of the log, whose files are {known}")]
    NoFile {
        /// The name.
        name: String,
        /// The files, the oldest first.
        known: String,
    },
    /// No record begins at the offset.
    #[error(
        "no record of {name} begins at byte {offset}: the record before begins at byte {before}"
    )]
    InARecord {
        /// The name of the file.
        name: String,
        /// The offset.
        offset: u64,
        /// The beginning of the record that contains the offset.
        before: u64,
    },
    /// The offset is beyond the end of the file.
    #[error("{name} ends at byte {end}, which is before byte {offset}")]
    BeyondTheEnd {
        /// The name of the file.
        name: String,
        /// The offset.
        offset: u64,
        /// The length of the file.
        end: u64,
    },
    /// A file cannot be listed, opened or read.
    #[error("cannot read the log: {0}")]
    Disk(#[from] io::Error),
}

impl Chain {
    /// The position at an offset of a file. The offset must be the beginning of a record or the end
    /// of the file.
    ///
    /// # Errors
    /// [`NoPlace`]
    pub fn place(&self, name: &str, offset: u64) -> Result<Position, NoPlace> {
        let links = self.links()?;
        let names = links.iter().filter_map(|link| link.path.file_name());
        let names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let found = links.into_iter().zip(&names);
        let found = found.into_iter().find(|(_, known)| *known == name);
        let open = found.map(|(link, _)| self.open(link)).transpose()?;
        let Some(open) = open.flatten() else {
            return Err(NoPlace::NoFile {
                name: name.to_owned(),
                known: names.join(", "),
            });
        };
        let readable = Horizon::FileEnd.readable(open.file.as_ref(), open.link.id)?;
        if offset > readable.len() {
            return Err(NoPlace::BeyondTheEnd {
                name: name.to_owned(),
                offset,
                end: readable.len(),
            });
        }
        match record_before(&open, readable, offset)? {
            Some(before) => Err(NoPlace::InARecord {
                name: name.to_owned(),
                offset,
                before,
            }),
            None => Ok(Position::of(open.file.as_ref(), open.link.number, offset)?),
        }
    }

    /// The number of bytes between two positions. If `from` is `None`, counts from the beginning of
    /// the log. Returns 0 if `from` comes after `to`, and `None` if a position is gone.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn bytes_between(&self, from: Option<&Position>, to: &Position) -> io::Result<Option<u64>> {
        let Located::In(end) = self.locate(to)? else {
            return Ok(None);
        };
        let begin = match from.map(|from| self.locate(from)).transpose()? {
            Some(Located::In(begin)) => Some(begin.link.id),
            Some(Located::Gone) => return Ok(None),
            None => None,
        };
        let links = self.links()?;
        let age = |id| links.iter().position(|link| link.id == id);
        let (Some(last), Some(first)) = (age(end.link.id), begin.map_or(Some(0), age)) else {
            return Ok(None);
        };
        if first > last {
            return Ok(Some(0));
        }
        let mut bytes = to.offset();
        for link in links.into_iter().take(last).skip(first) {
            if let Some(open) = self.open(link)? {
                bytes = bytes.saturating_add(open.file.len()?);
            }
        }
        Ok(Some(bytes.saturating_sub(from.map_or(0, Position::offset))))
    }

    /// The number of bytes of all files, up to the horizon: the end of the log or of the last
    /// commit.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn bytes(&self, horizon: &Horizon) -> io::Result<u64> {
        let mut bytes = 0_u64;
        for link in self.links()? {
            let id = link.id;
            if let Some(open) = self.open(link)? {
                let readable = horizon.readable(open.file.as_ref(), id)?;
                bytes = bytes.saturating_add(readable.len());
            }
        }
        Ok(bytes)
    }
}

/// The beginning of the record that contains an offset in its middle. `None` if a record begins or
/// the file ends at the offset.
fn record_before(open: &OpenLink, readable: Readable, offset: u64) -> io::Result<Option<u64>> {
    let file = open.file.as_ref();
    let start = offset.saturating_sub(LOOK_BACK_BYTES);
    let length = usize::try_from(offset.saturating_sub(start)).map_err(io::Error::other)?;
    // Read one byte more: the first byte of what may be a record.
    let bytes = readable.read(file, start, length.saturating_add(1))?;
    // The offset is before the first record, after the last one, or between two.
    let is_between = offset == 0
        || bytes.len() <= length && bytes.last() == Some(&b'\n')
        || boundaries(&bytes, false).contains(&length);
    if is_between {
        return Ok(None);
    }
    let before = bytes.get(..length).and_then(last_boundary);
    let before = before.and_then(|place| u64::try_from(place).ok());
    Ok(Some(before.map_or(0, |place| start.saturating_add(place))))
}
