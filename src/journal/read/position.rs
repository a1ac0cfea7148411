//! A position in the endpoint log, valid even after rotation, restarts and copying: the number of a
//! file, an offset in that file, and a hash of bytes before the offset (the landmark).
//!
//! Number and offset alone prove nothing: a failed write may be cut off, or somebody may truncate
//! the file, and other records are then written to the same offset. Files may also be renumbered.
//! The landmark covers the beginning of the file and the last bytes before the offset. The
//! beginning is unique, because it contains the id of the first request or notification. So the
//! position is found again in a copy and under another name, but in no other file. A position does
//! not contain device and inode, because they are different on a restored volume.

use std::fmt;
use std::hash::Hasher as _;
use std::io;
use std::str::FromStr;

use siphasher::sip::SipHasher13;

use crate::disk::{DiskFile, read_exact_at};

/// The landmark covers this many bytes at the beginning of the file.
const HEAD_BYTES: u16 = 1024;
/// The landmark covers this many bytes before the offset.
const TAIL_BYTES: u16 = 4096;
/// Only digits and letters, which need no quoting in a shell, a URL or JSON.
const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A position between two records. Written as `1-2ad9ef0-h3Xk29fQ0aB`: number, offset and landmark,
/// each in base 62.
///
/// `Chain::locate` finds the file that contains a position, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    number: u64,
    offset: u64,
    landmark: u64,
}

/// A text that is not a [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a position in a log: a position has three parts in base 62, as in \
     1-2ad9ef0-h3Xk29fQ0aB"
)]
pub struct NoPosition;

impl Position {
    /// The position at `offset` of a file. `number` is the number that the file has, or will have
    /// once it is rotated.
    pub(super) fn of(file: &dyn DiskFile, number: u64, offset: u64) -> io::Result<Self> {
        Surroundings::read(file, number, offset).map(|before| before.position(&[], 0))
    }

    /// The number that the file has, or will have once it is rotated. It may be outdated.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The offset in the file, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the landmark matches a file's bytes before the offset. Offset 0 is in every file.
    pub(super) fn is_in(&self, file: &dyn DiskFile) -> io::Result<bool> {
        if file.len()? < self.offset {
            return Ok(false);
        }
        match landmark(file, self.offset) {
            Ok(landmark) => Ok(landmark == self.landmark),
            // Somebody has just truncated the file.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The hash that identifies a position. 64 bits are enough to distinguish files, unless somebody
/// constructs a collision.
fn landmark(file: &dyn DiskFile, offset: u64) -> io::Result<u64> {
    Surroundings::read(file, 0, offset).map(|before| before.position(&[], 0).landmark)
}

/// What the landmarks of an offset and of later offsets cover of the bytes before that offset: the
/// beginning of the file, and the last bytes before the offset. Read once, these bytes give the
/// positions of many rows.
pub(super) struct Surroundings {
    number: u64,
    offset: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Surroundings {
    /// Reads the bytes that the landmark of `offset` covers.
    pub(super) fn read(file: &dyn DiskFile, number: u64, offset: u64) -> io::Result<Self> {
        let read = |from: u64, to: u64| {
            let len = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
            let mut bytes = vec![0; len];
            read_exact_at(file, &mut bytes, from).map(|()| bytes)
        };
        Ok(Self {
            number,
            offset,
            head: read(0, offset.min(u64::from(HEAD_BYTES)))?,
            tail: read(offset.saturating_sub(u64::from(TAIL_BYTES)), offset)?,
        })
    }

    /// Advances the offset past `bytes`, which are those after it.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let of_head = usize::from(HEAD_BYTES).saturating_sub(self.head.len());
        self.head
            .extend_from_slice(bytes.get(..of_head).unwrap_or(bytes));
        let of_tail = usize::from(TAIL_BYTES).saturating_sub(bytes.len());
        let passed = self.tail.len().saturating_sub(of_tail);
        self.tail.drain(..passed);
        self.tail
            .extend_from_slice(last(bytes, usize::from(TAIL_BYTES)));
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(len);
    }

    /// The position `len` bytes after the offset. `bytes` are the bytes after the offset.
    pub(super) fn position(&self, bytes: &[u8], len: usize) -> Position {
        let passed = bytes.get(..len).unwrap_or(bytes);
        let of_head = usize::from(HEAD_BYTES).saturating_sub(self.head.len());
        let of_tail = usize::from(TAIL_BYTES).saturating_sub(passed.len());
        let mut hasher = SipHasher13::new();
        hasher.write(&self.head);
        hasher.write(passed.get(..of_head).unwrap_or(passed));
        hasher.write(last(&self.tail, of_tail));
        hasher.write(last(passed, usize::from(TAIL_BYTES)));
        let passed = u64::try_from(passed.len()).unwrap_or(u64::MAX);
        Position {
            number: self.number,
            offset: self.offset.saturating_add(passed),
            landmark: hasher.finish(),
        }
    }
}

/// The last `len` bytes, or all if there are fewer.
fn last(bytes: &[u8], len: usize) -> &[u8] {
    let from = bytes.len().saturating_sub(len);
    bytes.get(from..).unwrap_or_default()
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [number, offset, landmark] = [self.number, self.offset, self.landmark].map(base62);
        write!(f, "{number}-{offset}-{landmark}")
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut parts = text.split('-').map(from_base62);
        let mut part = || parts.next().flatten().ok_or(NoPosition);
        let position = Self {
            number: part()?,
            offset: part()?,
            landmark: part()?,
        };
        parts.next().is_none().then_some(position).ok_or(NoPosition)
    }
}

fn base62(mut value: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = usize::try_from(value % 62).unwrap_or_default();
        digits.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'?')));
        value /= 62;
        if value == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// Returns `None` for anything that [`base62`] never writes, including leading zeros, so that a
/// position has exactly one text.
fn from_base62(text: &str) -> Option<u64> {
    if text.is_empty() || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.bytes().try_fold(0_u64, |value, byte| {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        value
            .checked_mul(62)?
            .checked_add(u64::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::disk::{Disk as _, Open, RealDisk};

    fn file(text: &[u8]) -> Box<dyn DiskFile> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, text).unwrap();
        RealDisk.open(&path, Open::Read).unwrap()
    }

    proptest! {
        #[test]
        fn a_position_has_one_text_and_is_read_back(
            number in any::<u64>(),
            offset in any::<u64>(),
            landmark in any::<u64>(),
        ) {
            let position = Position { number, offset, landmark };
            let text = position.to_string();
            prop_assert_eq!(text.parse(), Ok(position));
            prop_assert_eq!(format!("0{text}").parse::<Position>(), Err(NoPosition));
            prop_assert_eq!(format!("{text}-0").parse::<Position>(), Err(NoPosition));
        }
    }

    proptest! {
        #[test]
        fn a_position_after_bytes_in_memory_is_that_in_the_file(
            offset in 0..12_000_u16,
            len in 0..12_000_u16,
            part in 1..6_000_u16,
        ) {
            let bytes: Vec<u8> = (0..6000_u32).flat_map(u32::to_be_bytes).collect();
            let file = file(&bytes);
            let [from, to] = [offset, offset.saturating_add(len)].map(u64::from);
            let before = Surroundings::read(file.as_ref(), 1, from).unwrap();
            let read = Position::of(file.as_ref(), 1, to).unwrap();
            let [middle, end] = [from, to].map(|offset| usize::try_from(offset).unwrap());
            let mut passed = Surroundings::read(file.as_ref(), 1, from).unwrap();
            for part in bytes[middle..end].chunks(usize::from(part)) {
                passed.pass(part);
            }
            prop_assert_eq!(passed.position(&[], 0), read);
            let after = before.position(&bytes[usize::from(offset)..], usize::from(len));
            prop_assert_eq!(after, read);
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "1-2",
            "1-2-3-4",
            "1-2-",
            "-1-2",
            "1-2-lYGhA16ahyg",
            "1 -2-3",
            "1-2-é",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NoPosition), "{text}");
        }
        // The largest `u64`.
        "1-2-lYGhA16ahyf".parse::<Position>().unwrap();
    }

    #[test]
    fn a_place_is_in_a_longer_file_and_in_none_with_another_beginning_or_other_bytes_before() {
        let old: Vec<u8> = (0..20_000_u32).flat_map(u32::to_be_bytes).collect();
        let position = Position::of(file(&old).as_ref(), 1, 50_000).unwrap();
        let is_in = |bytes: &[u8]| position.is_in(file(bytes).as_ref()).unwrap();
        assert!(is_in(&old) && is_in(&old[..50_000]));
        assert!(!is_in(&old[..49_999]), "it is shorter");
        for changed in [0, 1023, 50_000 - 4096, 49_999] {
            let mut new = old.clone();
            new[changed] ^= 1;
            assert!(!is_in(&new), "{changed}");
        }
        let mut new = old;
        new[50_000] ^= 1;
        assert!(is_in(&new), "what is behind it may change");
    }
}
