//! What a crash left at the end of the logs.
//!
//! A record that is not whole was never acknowledged. It is cut off and set aside, so that the next
//! record does not run into it; then both files are synced before anything in them counts.

use std::io;

use strum::IntoEnumIterator as _;

use crate::journal::{Log, Storage};

/// How much of a file's end is looked at first; doubled until it holds the end of a whole record.
/// Far more than what may stand there unsynced: see `SYNC_AFTER_BYTES` and the largest entry.
const WINDOW_BYTES: u64 = 16 * 1024 * 1024;

/// What was found when the logs were opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// The tails that were cut off.
    pub torn: Vec<TornTail>,
}

/// A tail that was cut off and set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub log: Log,
    /// Where it was cut: its new length.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// Whether they were kept in the `.torn` file; a full disk has no room for them.
    pub is_kept: bool,
}

/// Cuts both logs back to their last whole record and makes what remains durable.
pub(super) fn recover(storage: &mut dyn Storage) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    for log in Log::iter() {
        recovered.torn.extend(close_off(storage, log)?);
    }
    for log in Log::iter() {
        storage.sync(log)?;
    }
    Ok(recovered)
}

/// Cuts one log back to its last whole record.
///
/// What is cut off was never acknowledged, so it goes even where there is no room to keep it: a start must not fail
/// because of what a crash left.
pub(super) fn close_off(storage: &mut dyn Storage, log: Log) -> io::Result<Option<TornTail>> {
    let len = storage.len(log)?;
    let (offset, torn) = find_torn(storage, log, len)?;
    if torn.is_empty() {
        return Ok(None);
    }
    let is_kept = storage.set_aside(log, &torn).is_ok();
    storage.truncate(log, offset)?;
    Ok(Some(TornTail { log, offset, bytes: len.saturating_sub(offset), is_kept }))
}

/// Where the last whole record ends, and what stands behind it.
fn find_torn(storage: &dyn Storage, log: Log, len: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut window = WINDOW_BYTES;
    loop {
        let start = len.saturating_sub(window);
        let size = usize::try_from(len.saturating_sub(start)).map_err(io::Error::other)?;
        let mut tail = vec![0; size];
        storage.read_at(log, &mut tail, start)?;
        let end = whole_end(log, &tail, start == 0);
        if let Some(end) = end {
            let torn = tail.split_off(end);
            return Ok((len.saturating_sub(u64::try_from(torn.len()).map_err(io::Error::other)?), torn));
        }
        window = window.saturating_mul(2);
    }
}

/// The end of the last whole record in a file's tail; `None` where the tail is too short to tell.
///
/// No record contains a NUL, so at the first one the disk stopped telling the truth.
pub(crate) fn whole_end(log: Log, tail: &[u8], is_whole_file: bool) -> Option<usize> {
    let sound = tail.iter().position(|byte| *byte == 0).unwrap_or(tail.len());
    let tail = tail.get(..sound).unwrap_or_default();
    let after_break = |at: usize| at.saturating_add(1);
    let line_end = || tail.iter().rposition(|byte| *byte == b'\n').map(after_break);
    let record_end = || {
        let double = tail.windows(2).rposition(|pair| pair == b"\n\n").map(|at| at.saturating_add(2));
        let start = double.or_else(|| is_whole_file.then_some(0))?;
        Some(start.saturating_add(json_lines(tail.get(start..).unwrap_or_default())))
    };
    let end = match log {
        Log::Access => line_end(),
        Log::Endpoint => record_end().filter(|end| *end > 0).or_else(|| whole_json_tail(tail)),
    };
    end.or_else(|| is_whole_file.then_some(0))
}

/// The length of the whole JSON lines at the start of `text`: a log may change its format at a restart.
fn json_lines(text: &[u8]) -> usize {
    text.split_inclusive(|byte| *byte == b'\n')
        .take_while(|line| line.starts_with(b"{") && line.ends_with(b"}\n"))
        .map(<[u8]>::len)
        .sum()
}

/// The end of the last whole JSON line in a tail that starts in the middle of a JSON log.
fn whole_json_tail(tail: &[u8]) -> Option<usize> {
    let first_break = tail.iter().position(|byte| *byte == b'\n')?.saturating_add(1);
    match json_lines(tail.get(first_break..).unwrap_or_default()) {
        0 => None,
        len => Some(first_break.saturating_add(len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(log: Log, file: &[u8]) -> usize {
        whole_end(log, file, true).unwrap()
    }

    #[test]
    fn the_endpoint_log_is_cut_after_its_last_empty_line() {
        let whole = b"[a] Headers:x\n    y\n\n[b] Notify\nMessage : z\n    \n    \n\n";
        for cut in 0..whole.len() {
            let expected = if cut < 21 { 0 } else { 21 };
            assert_eq!(end(Log::Endpoint, &whole[..cut]), expected, "cut at {cut}");
        }
        assert_eq!(end(Log::Endpoint, whole), whole.len());
    }

    #[test]
    fn runs_of_nul_and_what_follows_them_are_no_records() {
        assert_eq!(end(Log::Endpoint, b"[a]\n\n[b]\n\0\0\0\n\n[c]\n\n"), 5);
        assert_eq!(end(Log::Endpoint, b"\0\0\0\0"), 0);
        assert_eq!(end(Log::Access, b"[a] x\n[b]\0\0\n[c]\n"), 6);
    }

    #[test]
    fn the_access_log_is_cut_after_its_last_line() {
        assert_eq!(end(Log::Access, b""), 0);
        assert_eq!(end(Log::Access, b"[a] x"), 0);
        assert_eq!(end(Log::Access, b"[a] x\n[b]"), 6);
    }

    #[test]
    fn json_lines_are_whole_by_themselves_before_and_after_text() {
        assert_eq!(end(Log::Endpoint, b"{\"a\":1}\n{\"b\":2}\n{\"c\""), 16);
        assert_eq!(end(Log::Endpoint, b"[a]\n\n{\"b\":2}\n{\"c\":3}\n"), 21);
        assert_eq!(end(Log::Endpoint, b"{\"a\":1}\n[b]\nx\n\n"), 15);
        assert_eq!(end(Log::Endpoint, b"{\"a\":1}\n[b]\nx\n"), 8);
    }

    #[test]
    fn a_tail_that_starts_inside_a_record_is_too_short_to_tell_unless_it_holds_an_end() {
        assert_eq!(whole_end(Log::Endpoint, b"    body\n    body", false), None);
        assert_eq!(whole_end(Log::Endpoint, b"body\n\n[b", false), Some(6));
        assert_eq!(whole_end(Log::Endpoint, b"dy\"}\n{\"b\":2}\n{\"c", false), Some(13));
    }
}
