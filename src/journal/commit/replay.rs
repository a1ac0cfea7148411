//! Replay: a start completes the logs from the frames that they may lack.
//!
//! A frame is the copy of a batch in the commit log, with the offsets of the batch in both logs.
//! The commit log has two halves, which are used in turn; a life is one use of a half.
//!
//! The bytes of a frame are written at its offsets even if the logs already have them: after a
//! failed sync the page cache may have bytes that the disk does not. Two conditions must hold. A
//! record must end just before the offset. And each byte at the offset must equal the new one, be a
//! zero left by a power cut, or be past the end of the file. The logs contain no zeros, so no other
//! record is ever overwritten, whatever happened to the files in the meantime. Bytes that do not
//! fit at their offset are appended: then a record may be in the log twice, but no record is
//! missing.

use std::io;

use strum::IntoEnumIterator as _;

use crate::disk::{DiskFile, read_exact_at};
use crate::journal::commit::frame::{BLOCK, BLOCK_BYTES, Frame, Head, Place, whole_blocks};
use crate::journal::logs::{Log, LogFiles, PerLog, Recovered, Replayed, torn};

/// The commit log is read in chunks of this size.
const PIECE_BYTES: u64 = 256 * BLOCK;

/// The frames in a commit log that its logs may lack, and where writing continues.
#[derive(Debug, Default)]
pub(in crate::journal) struct Found {
    /// The offset and the head of each frame, in the order of the frame numbers.
    frames: Vec<(u64, Head)>,
    /// The latest life, which counts how many times a half of the commit log was begun; 0 if no
    /// frame was found.
    pub life: u64,
    /// The number of the last frame; 0 if no frame was found.
    pub number: u64,
    /// The end of the last frame, or of a later block that is not all zeros.
    pub used: u64,
    /// Frames that had been synced and cannot be read.
    pub missing: u64,
}

/// The commit log that an earlier process left.
pub(in crate::journal) struct Left {
    pub file: Box<dyn DiskFile>,
    pub found: Found,
}

/// Completes the logs from the commit log, if there is one, and truncates their torn ends.
/// Afterwards everything in the logs is durable.
pub(in crate::journal) fn recover(files: &mut LogFiles) -> io::Result<(Recovered, Option<Left>)> {
    let file = match files.open_commit_log() {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((torn::recover(files)?, None));
        }
        Err(error) => return Err(error),
    };
    let (recovered, found) = complete(files, file.as_ref())?;
    Ok((recovered, Some(Left { file, found })))
}

fn complete(files: &mut LogFiles, file: &dyn DiskFile) -> io::Result<(Recovered, Found)> {
    let found = scan(file)?;
    let mut replayed = Replayed {
        frames: found.count(),
        appended: 0,
        missing: found.missing,
    };
    // Replay before torn ends are truncated, because a frame may complete what looks torn.
    let mut live = PerLog::try_from_fn(|log| files.open_in_place(log))?;
    let mut misplaced = Vec::new();
    for (at, head) in &found.frames {
        let bytes = read_frame(file, *at, head)?;
        let frame = Frame::decode(&bytes).ok_or_else(changed)?;
        for log in Log::iter() {
            let (place, bytes) = (head.places[log], frame.bytes[log]);
            if !put_in_place(log, live[log].as_mut(), place, bytes)? {
                misplaced.push((*at, *head, log));
            }
        }
    }
    let mut recovered = torn::recover(files)?;
    // Append the misplaced bytes only now that torn ends are cut off, so that each follows a
    // complete record.
    for (at, head, log) in &misplaced {
        let bytes = read_frame(file, *at, head)?;
        let frame = Frame::decode(&bytes).ok_or_else(changed)?;
        files.append(*log, frame.bytes[*log])?;
        replayed.appended = replayed.appended.saturating_add(1);
    }
    // `torn::recover` has synced everything else.
    if !misplaced.is_empty() {
        files.sync()?;
    }
    recovered.replayed = replayed;
    Ok((recovered, found))
}

fn changed() -> io::Error {
    // `scan` found the frame intact, and the lock excludes another `serve`.
    io::Error::other("somebody else writes to the commit log")
}

/// Writes bytes at their offset. Returns `false` if other bytes are there, or if no record ends
/// just before the offset.
fn put_in_place(log: Log, live: &mut dyn DiskFile, place: Place, bytes: &[u8]) -> io::Result<bool> {
    if bytes.is_empty() {
        return Ok(true);
    }
    // Do not write beyond the end: the gap would be filled with NULs, which count as damage.
    let Some(there) = live.len()?.checked_sub(place.offset) else {
        return Ok(false);
    };
    if !torn::ends_a_record(log, &read_before(live, place.offset)?) {
        return Ok(false);
    }
    let there = usize::try_from(there).unwrap_or(usize::MAX);
    let mut old = vec![0; there.min(bytes.len())];
    read_exact_at(live, &mut old, place.offset)?;
    let is_free = old
        .iter()
        .zip(bytes)
        .all(|(old, new)| old == new || *old == 0);
    if is_free {
        live.write_at(bytes, place.offset)?;
    }
    Ok(is_free)
}

/// Reads the bytes just before an offset that show whether a record ends there.
fn read_before(live: &dyn DiskFile, offset: u64) -> io::Result<Vec<u8>> {
    let len = offset.min(torn::END_BYTES);
    let mut before = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    read_exact_at(live, &mut before, offset.saturating_sub(len))?;
    Ok(before)
}

/// Looks for a frame at every block.
pub(super) fn scan(file: &dyn DiskFile) -> io::Result<Found> {
    let len = whole_blocks(file.len()?);
    let (mut frames, mut used, mut in_use, mut at) = (Vec::new(), 0, 0_usize, 0_u64);
    let mut piece = Vec::new();
    while at < len {
        let size = len.saturating_sub(at).min(PIECE_BYTES);
        piece.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        read_exact_at(file, &mut piece, at)?;
        let end = at.saturating_add(size);
        let mut rest = piece.as_slice();
        // If a frame extends past this chunk, the next chunk starts at the end of the frame.
        while at < end {
            let frame = whole_frame(file, at, rest, len)?;
            let block = rest.get(..BLOCK_BYTES);
            let is_used = block.is_some_and(|block| block != [0; BLOCK_BYTES]);
            let step = frame.map_or(BLOCK, |(_, bytes)| bytes);
            frames.extend(frame.map(|(head, _)| (at, head)));
            at = at.saturating_add(step);
            if is_used {
                (used, in_use) = (at, in_use.saturating_add(1));
            }
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            rest = rest.get(step..).unwrap_or_default();
        }
    }
    Ok(Found::of(frames, used, in_use))
}

/// The head and the length of the frame at an offset, if it is intact. `piece` begins at that
/// offset and has what was already read.
fn whole_frame(
    file: &dyn DiskFile,
    at: u64,
    piece: &[u8],
    len: u64,
) -> io::Result<Option<(Head, u64)>> {
    let head = Head::decode(piece);
    let Some((head, bytes)) = head.and_then(|head| Some((head, head.frame_bytes()?))) else {
        return Ok(None);
    };
    if bytes > len.saturating_sub(at) {
        return Ok(None);
    }
    let is_in_piece = usize::try_from(bytes).is_ok_and(|bytes| bytes <= piece.len());
    let is_whole = if is_in_piece {
        Frame::decode(piece).is_some()
    } else {
        Frame::decode(&read_frame(file, at, &head)?).is_some()
    };
    Ok(is_whole.then_some((head, bytes)))
}

fn read_frame(file: &dyn DiskFile, at: u64, head: &Head) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(head.frame_bytes().unwrap_or_default());
    let mut frame = vec![0; bytes.map_err(io::Error::other)?];
    read_exact_at(file, &mut frame, at)?;
    Ok(frame)
}

impl Found {
    /// How many frames the logs may lack.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.frames.len()).unwrap_or(u64::MAX)
    }

    /// Leaves out frames that are older than the last two lives, and frames that are already
    /// durable in the logs. `in_use` is the number of frames and other blocks that are not zeros.
    fn of(mut frames: Vec<(u64, Head)>, used: u64, in_use: usize) -> Self {
        let most = |of: fn(&Head) -> u64, frames: &[(u64, Head)]| {
            let all = frames.iter().map(|(_, head)| of(head));
            all.max().unwrap_or_default()
        };
        let life = most(|head| head.life, &frames);
        // Only the last two lives count, one in each half. After the frames of a life, the half may
        // still have frames of an older one.
        frames.retain(|(_, head)| head.life.saturating_add(1) >= life);
        let number = most(|head| head.number, &frames);
        let covered = most(|head| head.covered, &frames);
        let synced = most(|head| head.synced, &frames);
        // Frames before the first readable one do not count as missing. A power cut during a start
        // can tear the first frame of a half, and nothing is lost with that frame: it has no bytes
        // for the logs.
        let first = frames.iter().map(|(_, head)| head.number).min();
        let known = covered.max(first.map_or(0, |first| first.saturating_sub(1)));
        frames.retain(|(_, head)| head.number > covered);
        let readable = frames.iter().filter(|(_, head)| head.number <= synced);
        let readable = u64::try_from(readable.count()).unwrap_or(u64::MAX);
        frames.retain(|(_, head)| Log::iter().any(|log| head.places[log].len > 0));
        // Sort the frames, because they were read in the order of the file, in which the half with
        // the later life may come first.
        frames.sort_by_key(|(_, head)| head.number);
        let missing = if number == 0 {
            // If no frame can be read, it is unknown how many are missing, so 1 is reported. If
            // only one block is in use, none is missing: a power cut tore the first frame, which is
            // synced before any other is written and has no bytes for the logs.
            u64::from(in_use > 1)
        } else {
            synced.saturating_sub(known).saturating_sub(readable)
        };
        Self {
            frames,
            life,
            number,
            used,
            missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(life: u64, number: u64, covered: u64) -> (u64, Head) {
        let place = Place { offset: 0, len: 1 };
        let head = Head {
            life,
            number,
            synced: number.saturating_sub(1),
            covered,
            places: PerLog::new(place, place),
        };
        (0, head)
    }

    fn numbers(found: &Found) -> Vec<u64> {
        found.frames.iter().map(|(_, head)| head.number).collect()
    }

    #[test]
    fn frames_after_the_last_checkpoint_are_replayed_in_order_from_both_halves() {
        // The second half is in use again: its first frame is new, and the frames after that one
        // are of an earlier life.
        let frames = [
            (6, 21, 13),
            (6, 13, 9),
            (6, 20, 13),
            (7, 22, 13),
            (5, 12, 0),
        ];
        let frames = frames.map(|(life, number, covered)| frame(life, number, covered));
        let found = Found::of(frames.to_vec(), 0, 5);
        assert_eq!(numbers(&found), [20, 21, 22]);
        assert_eq!((found.life, found.number, found.missing), (7, 22, 6));
    }

    #[test]
    fn frames_of_an_earlier_life_are_ignored_even_if_no_frame_says_that_they_are_covered() {
        let frames = vec![frame(5, 12, 0), frame(6, 20, 0), frame(7, 21, 0)];
        assert_eq!(numbers(&Found::of(frames, 0, 3)), [20, 21]);
    }

    #[test]
    fn an_unreadable_commit_log_is_not_taken_for_an_empty_one() {
        assert_eq!(Found::of(Vec::new(), 0, 0).missing, 0);
        assert_eq!(Found::of(Vec::new(), 2 * BLOCK, 2).missing, 1);
    }

    #[test]
    fn a_frame_without_bytes_is_neither_replayed_nor_missing() {
        let mut checkpoint = frame(6, 20, 19);
        checkpoint.1.places = PerLog::default();
        let found = Found::of(vec![frame(6, 19, 18), checkpoint], 0, 2);
        assert_eq!((numbers(&found), found.missing), (Vec::new(), 0));
    }
}
