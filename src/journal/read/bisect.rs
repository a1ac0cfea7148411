//! Bisects a file by the times of its records, for where those end that a search can be about.

use std::io;
use std::time::Duration;

use jiff::Timestamp;

use crate::disk::DiskFile;
use crate::journal::read::horizon::Readable;
use crate::journal::read::parts::Parts;
use crate::journal::read::spans::{first_record, row_begin};
use crate::journal::read::time::RecordTime;

/// How much is looked at around each middle. If no row begins within it, as none may if rows are
/// larger than that, the later half is not left out.
const WINDOW_BYTES: usize = 256 * 1024;
/// Times of records are trusted no further than this when a file or a block is left out for them:
/// clocks are set, and local time has no offset.
const TIME_MARGIN: Duration = Duration::from_hours(2);

/// Where a row begins that is too late, as all behind it are, up to `end`; `end` if none is.
///
/// That times ascend is taken for granted, so `is_too_late` needs a margin for clocks that were
/// set.
pub(super) fn end_of_earlier(
    file: &dyn DiskFile,
    readable: Readable,
    end: u64,
    is_too_late: impl Fn(&RecordTime) -> bool,
) -> io::Result<u64> {
    let window = length(WINDOW_BYTES);
    // `found` is the answer so far, and what is looked for lies between the other two.
    let (mut found, mut low, mut high) = (end, 0, end);
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
            None => high = middle,
        }
    }
    Ok(found)
}

/// The first place where a row begins for certain, and its time.
fn first_row(bytes: &[u8]) -> Option<(usize, RecordTime)> {
    let place = row_begin(bytes)?;
    let record = first_record(bytes.get(place..)?);
    Some((place, Parts::of(record)?.time?))
}

/// Whether a moment is after another one, beyond all doubt.
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
