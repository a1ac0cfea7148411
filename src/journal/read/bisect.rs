//! Bisects a file by the times of its records, to find where a search within a range of times must
//! begin.

use std::io;
use std::time::Duration;

use jiff::Timestamp;

use crate::disk::DiskFile;
use crate::journal::read::horizon::Readable;
use crate::journal::read::parts::Parts;
use crate::journal::read::spans::{first_record, row_begin};
use crate::journal::read::time::RecordTime;

/// How many bytes are read from the middle of the range that is bisected. If no row (a request with
/// its outcome) begins in them, because a row is larger, the best answer so far stays, and the
/// bisection goes on in the earlier half.
const WINDOW_BYTES: usize = 256 * 1024;
/// A file or a block is left out of a search only if the times of its records are out of range by
/// more than this margin. These times may be wrong, because clocks are set and local time has no
/// offset.
const TIME_MARGIN: Duration = Duration::from_hours(2);

/// The offset of a row before `end` that is too late, or `end` if none was found. It is the first
/// such row, or a later one near it. All rows after it are assumed to be too late as well, so
/// `is_too_late` needs a margin for clocks that were set back.
pub(super) fn end_of_earlier(
    file: &dyn DiskFile,
    readable: Readable,
    end: u64,
    is_too_late: impl Fn(&RecordTime) -> bool,
) -> io::Result<u64> {
    let window = length(WINDOW_BYTES);
    // `found` is the best answer so far. A better one can only be between `low` and `high`.
    let (mut found, mut low, mut high) = (end, 0, end);
    // If even the first record is too late, so is every row of the file.
    let first = readable.read(file, 0, WINDOW_BYTES.min(size(end)))?;
    if Parts::of(first_record(&first))
        .and_then(|parts| parts.time)
        .is_some_and(|time| is_too_late(&time))
    {
        return Ok(0);
    }
    while high.saturating_sub(low) > window {
        let middle = low.saturating_add(high.saturating_sub(low) / 2);
        let wanted = size(found.saturating_sub(middle)).min(WINDOW_BYTES);
        let bytes = readable.read(file, middle, wanted)?;
        match first_row(&bytes) {
            Some((place, time)) if is_too_late(&time) => {
                found = middle.saturating_add(length(place));
                high = middle;
            }
            Some(_) => low = middle,
            // No row begins in the bytes that were read. Continue before them and leave `found` as
            // it is: the search may then read too much, but skips nothing.
            None => high = middle,
        }
    }
    Ok(found)
}

/// The first offset at which a row certainly begins, and its time.
fn first_row(bytes: &[u8]) -> Option<(usize, RecordTime)> {
    let place = row_begin(bytes)?;
    let record = first_record(bytes.get(place..)?);
    Some((place, Parts::of(record)?.time?))
}

/// Whether a time is after another one by more than [`TIME_MARGIN`].
pub(super) fn is_after(later: Timestamp, earlier: Timestamp) -> bool {
    earlier
        .checked_add(TIME_MARGIN)
        .is_ok_and(|earlier| earlier < later)
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
