//! Recovery, at a start and after somebody else changed a file, from what a crash or a bad disk
//! left in the logs.
//!
//! A torn end is an incomplete record with no complete record after it. It was never acknowledged.
//! It is truncated and set aside, so that the next record does not run into it. Then both files are
//! synced, before anything in them counts as durable. An incomplete record with a complete record
//! after it is damage, and may have been acknowledged: it stays in place, and readers continue
//! after it.

use std::io;

use strum::IntoEnumIterator as _;

use crate::disk::{Disk, Open};
use crate::journal::logs::file::LiveFile;
use crate::journal::logs::files::LogFiles;
use crate::journal::logs::names::Names;
use crate::journal::logs::per_log::Log;
use crate::journal::logs::recovered::{DamagedLog, Recovered, TornTail};
use crate::journal::read::{Found, Records};

/// How many bytes at the end of a file are read first. The number is doubled until the bytes
/// contain the end of a complete record. The first number is far more than the bytes that may be
/// unsynced: see `SYNC_AFTER_BYTES` and the largest entry.
const WINDOW_BYTES: u64 = 16 * 1024 * 1024;

/// What the tail of a file contains. Offsets are relative to the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Survey {
    /// The end of the last record to keep.
    end: usize,
    /// The start of the first damaged place before `end`.
    damage: Option<usize>,
    /// The number of damaged places.
    places: usize,
}

/// Truncates the torn ends of both logs and syncs what remains.
pub(in crate::journal) fn recover(files: &mut LogFiles) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    for log in Log::iter() {
        let (torn, damaged) = close_off(files, log, 0)?;
        recovered.torn.extend(torn);
        recovered.damaged.extend(damaged);
    }
    for log in Log::iter() {
        files.live[log].sync()?;
    }
    Ok(recovered)
}

/// The torn ends of both logs: what a start would truncate, unless a frame of the commit log (the
/// copy of a batch) completes it. Changes nothing.
///
/// # Errors
/// A log cannot be read.
pub fn torn_ends(disk: &dyn Disk, names: &Names) -> io::Result<Vec<TornTail>> {
    let mut torn = Vec::new();
    for log in Log::iter() {
        let live = match disk.open(&names.live(log), Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => LiveFile::new(file?)?,
        };
        let len = live.len()?;
        let (start, _tail, survey) = look(&live, log, len)?;
        let end = u64::try_from(survey.end).map_err(io::Error::other)?;
        let offset = start.saturating_add(end);
        if offset < len {
            torn.push(TornTail {
                log,
                offset,
                bytes: len.saturating_sub(offset),
                is_kept: false,
            });
        }
    }
    Ok(torn)
}

/// Truncates the torn end of one log, so that the next record follows a complete one.
///
/// Nothing before `known` is truncated: it is durable, and a record there may have been
/// acknowledged, whatever has happened to it since. A torn end was never acknowledged, so it is
/// truncated even if there is no room to save it: a start must not fail because of what a crash
/// left.
pub(super) fn close_off(
    files: &mut LogFiles,
    log: Log,
    known: u64,
) -> io::Result<(Option<TornTail>, Option<DamagedLog>)> {
    let len = files.live[log].len()?;
    let (start, tail, survey) = look(&files.live[log], log, len)?;
    let place = |place: usize| start.saturating_add(u64::try_from(place).unwrap_or(u64::MAX));
    let end = place(survey.end);
    // If somebody made the file shorter than `known`, none of its bytes count as known.
    let offset = if known > len { end } else { end.max(known) };
    let mut damage = survey.damage.map(|at| DamagedLog {
        log,
        offset: place(at),
        places: survey.places,
    });
    if offset > end {
        // The known part must not be truncated, so an incomplete record at its end is damage.
        let found = damage.get_or_insert(DamagedLog {
            log,
            offset: end,
            places: 0,
        });
        found.places = found.places.saturating_add(1);
    }
    let kept = usize::try_from(offset.saturating_sub(start)).map_err(io::Error::other)?;
    let (kept, rest) = tail.split_at_checked(kept).unwrap_or((&tail, &[]));
    let torn = if rest.is_empty() {
        None
    } else {
        // Save the torn end before the truncation: a crash between the two leaves it twice rather
        // than nowhere.
        let is_kept = files.set_aside(log, rest).is_ok();
        files.live[log].cut(offset)?;
        Some(TornTail {
            log,
            offset,
            bytes: len.saturating_sub(offset),
            is_kept,
        })
    };
    if offset > end {
        files.live[log].append(missing_end(log, kept))?;
    }
    Ok((torn, damage))
}

/// The bytes that terminate the record in which a file ends.
fn missing_end(log: Log, file: &[u8]) -> &'static [u8] {
    let is_line = |line: &[u8]| log == Log::Access || line.starts_with(b"{");
    match file.strip_suffix(b"\n") {
        Some(lines) if is_line(last_line(lines)) || lines.ends_with(b"\n") => b"",
        Some(_) => b"\n",
        None if is_line(last_line(file)) => b"\n",
        None => b"\n\n",
    }
}

fn last_line(lines: &[u8]) -> &[u8] {
    lines
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
}

/// Reads enough of a file's tail to find the last complete record. Returns the offset of the tail,
/// its bytes and what they contain.
fn look(live: &LiveFile, log: Log, len: u64) -> io::Result<(u64, Vec<u8>, Survey)> {
    let mut window = WINDOW_BYTES;
    loop {
        let start = len.saturating_sub(window);
        let size = usize::try_from(len.saturating_sub(start)).map_err(io::Error::other)?;
        let mut tail = vec![0; size];
        live.read_exact_at(&mut tail, start)?;
        if let Some(survey) = survey(log, &tail, start == 0)? {
            return Ok((start, tail, survey));
        }
        // This loop ends: once the tail is the whole file, the first record begins at 0.
        window = window.saturating_mul(2);
    }
}

/// The end of the last complete record in a file's tail. `None` if the tail is too short.
#[cfg(any(test, fuzzing))]
pub(crate) fn whole_end(log: Log, tail: &[u8], is_whole_file: bool) -> Option<usize> {
    survey(log, tail, is_whole_file)
        .ok()
        .flatten()
        .map(|survey| survey.end)
}

/// Examines the tail of a file. `None` if the tail is too short.
///
/// A file system fills lost blocks with NULs, so a run of NULs at the end is torn, and so is a
/// partial record after them. A damaged record that has no NUL and does have its terminator was
/// written completely.
fn survey(log: Log, tail: &[u8], is_whole_file: bool) -> io::Result<Option<Survey>> {
    let first = if is_whole_file {
        Some((0, true))
    } else {
        first_begin(log, tail)
    };
    let Some((begin, is_end)) = first else {
        return Ok(None);
    };
    let mut end = is_end.then_some(begin);
    let (mut damage, mut places) = (None, 0_usize);
    // Damage counts only if a record follows it.
    let mut pending = (None, 0_usize);
    let mut place = begin;
    let mut records = Records::new(log, tail.get(begin..).unwrap_or_default());
    loop {
        let (bytes, is_kept) = match records.read()? {
            Found::Whole(record) => (record, true),
            Found::Damaged(bytes, _) => {
                pending = (pending.0.or(Some(place)), pending.1.saturating_add(1));
                (bytes, has_end(log, bytes) && !bytes.contains(&0))
            }
            Found::Torn(_) | Found::End => break,
        };
        place = place.saturating_add(bytes.len());
        if is_kept {
            end = Some(place);
            damage = damage.or(pending.0);
            places = places.saturating_add(pending.1);
            pending = (None, 0);
        }
    }
    Ok(end.map(|end| Survey {
        end,
        damage,
        places,
    }))
}

/// Whether a record may begin after these bytes, which are the last of a file or all of it.
pub(in crate::journal) fn ends_a_record(log: Log, before: &[u8]) -> bool {
    let is_end = match log {
        Log::Access => before.ends_with(b"\n"),
        Log::Endpoint => before.ends_with(b"\n\n") || before.ends_with(b"}\n"),
    };
    is_end || before.is_empty()
}

/// How many bytes [`ends_a_record`] needs to see whether a record ends.
pub(in crate::journal) const END_BYTES: u64 = 2;

fn has_end(log: Log, record: &[u8]) -> bool {
    match log {
        Log::Access => record.ends_with(b"\n"),
        Log::Endpoint if record.starts_with(b"{") => record.ends_with(b"}\n"),
        Log::Endpoint => record.ends_with(b"\n\n"),
    }
}

/// Finds the first record in a tail that starts in the middle of a record. Also returns whether the
/// bytes before it certainly end a record.
fn first_begin(log: Log, tail: &[u8]) -> Option<(usize, bool)> {
    let line_end = match log {
        Log::Access => tail.iter().position(|byte| *byte == b'\n'),
        Log::Endpoint => tail
            .windows(2)
            .position(|pair| matches!(pair, b"\n\n" | b"\n[" | b"\n{")),
    }?;
    let is_empty_line = tail.get(line_end.saturating_add(1)) == Some(&b'\n');
    let begin = line_end.saturating_add(if log == Log::Endpoint && is_empty_line {
        2
    } else {
        1
    });
    let is_sound = !tail.iter().take(begin).any(|byte| *byte == 0);
    Some((begin, is_sound && (log == Log::Access || is_empty_line)))
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
            // The first record has 21 bytes.
            let expected = if cut < 21 { 0 } else { 21 };
            assert_eq!(end(Log::Endpoint, &whole[..cut]), expected, "cut at {cut}");
        }
        assert_eq!(end(Log::Endpoint, whole), whole.len());
    }

    #[test]
    fn a_run_of_nul_is_a_torn_end_unless_a_whole_record_follows_it() {
        for torn in [
            &b"[b]\n\0\0\0"[..],
            b"[b]\n\0\0\0\n\n",
            b"\0\0\0[c]\nx",
            b"\0\0\0\n\n\0\n\n",
            b"[b]\n\0\n[c]\n",
        ] {
            assert_eq!(
                end(Log::Endpoint, &[b"[a]\n\n", torn].concat()),
                5,
                "{torn:?}"
            );
        }
        assert_eq!(end(Log::Endpoint, b"\0\0\0\0"), 0);
        assert_eq!(end(Log::Access, b"[a] x\n[b]\0\0\n[c]"), 6);
        for whole in [
            &b"[a]\n\n[b]\n\0\0\0\n\n[c]\n\n"[..],
            b"[a]\n\n[b]\n\0\0\0\n[c]\n\n",
            b"\0\n\n{\"c\":1}\n",
        ] {
            assert_eq!(end(Log::Endpoint, whole), whole.len(), "{whole:?}");
            let damage = survey(Log::Endpoint, whole, true).unwrap().unwrap();
            assert_eq!(
                (damage.damage.is_some(), damage.places),
                (true, 1),
                "{whole:?}"
            );
        }
        assert_eq!(end(Log::Access, b"[a] x\n[b]\0\0\n[c]\n"), 16);
    }

    #[test]
    fn a_whole_record_is_found_right_behind_a_nul_in_place_of_the_last_end() {
        let head = "[2026-11-24 10:00:00] [root] [INFO] [serve.rs:1] [1] Start\n";
        let line = "[24/Nov/2026 10:00:00]\"POST\"\n";
        for (log, first, last) in [
            (Log::Endpoint, format!("{head}\n"), format!("{head}\n")),
            (
                Log::Endpoint,
                "{\"time\":\"1\"}\n".to_owned(),
                "{\"time\":\"2\"}\n".to_owned(),
            ),
            (Log::Access, line.to_owned(), line.to_owned()),
        ] {
            // A byte that a power cut lost, and a line feed of which one bit has flipped.
            for other in [0, b'J', 0x8a] {
                let mut file = first.clone().into_bytes();
                *file.last_mut().unwrap() = other;
                file.extend_from_slice(last.as_bytes());
                assert_eq!(end(log, &file), file.len(), "{other}: {first}");
            }
        }
    }

    #[test]
    fn the_missing_end_of_a_record_makes_the_next_one_readable() {
        for (log, file, end) in [
            (Log::Endpoint, &b"[a]\nx"[..], &b"\n\n"[..]),
            (Log::Endpoint, b"[a]\nx\n", b"\n"),
            (Log::Endpoint, b"[a]\nx\n\n", b""),
            (Log::Endpoint, b"{\"a\"", b"\n"),
            (Log::Endpoint, b"{\"a\"\n", b""),
            (Log::Endpoint, b"", b"\n\n"),
            (Log::Access, b"[a]", b"\n"),
            (Log::Access, b"[a]\n", b""),
        ] {
            assert_eq!(missing_end(log, file), end, "{file:?}");
        }
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
    fn a_tail_that_starts_inside_a_record_is_too_short_unless_it_contains_an_end() {
        assert_eq!(whole_end(Log::Endpoint, b"    body\n    body", false), None);
        assert_eq!(whole_end(Log::Endpoint, b"body\n\n[b", false), Some(6));
        assert_eq!(
            whole_end(Log::Endpoint, b"dy\"}\n{\"b\":2}\n{\"c", false),
            Some(13)
        );
    }
}
