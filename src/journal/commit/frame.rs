//! One frame of the commit log: what a batch added to both logs, and where.
//!
//! A frame begins at a block boundary and is padded to whole blocks, so that writing a frame never
//! rewrites a block of an earlier one. The commit log has two halves, which are used in turn. A
//! half that is used again is still full of intact old frames. To distinguish them from new frames,
//! each frame contains its life: a number that grows by one whenever a half is begun. The checksum
//! covers the life. The format is in docs/design/journal.md.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::journal::Entry;
use crate::journal::logs::{Log, PerLog};

/// Frames are padded to a multiple of this length: a page of the page cache, and at least a sector
/// of the disk.
pub(in crate::journal) const BLOCK_BYTES: usize = 4096;
/// The same as a `u64`, for offsets in a file.
pub(in crate::journal) const BLOCK: u64 = BLOCK_BYTES as u64;
/// The last byte is the version of the format. The logs contain no NUL, so nothing that a sender
/// writes looks like the beginning of a frame.
const MAGIC: [u8; 8] = *b"\0MNSLOG\x01";
/// The number of 64-bit words after the magic and the checksum.
const WORDS: usize = 8;
const CHECKSUM_AT: usize = MAGIC.len();
const WORDS_AT: usize = CHECKSUM_AT + size_of::<u128>();
const HEAD_BYTES: usize = WORDS_AT + WORDS * size_of::<u64>();

/// The fields of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::journal) struct Head {
    /// How many times a half of the commit log was begun, this time included. Even lives use the
    /// first half, odd ones the second.
    pub life: u64,
    /// One more than the number of the previous frame, even across lives. The first is 1.
    pub number: u64,
    /// The number of the last frame that was synced when the current frame was written.
    pub synced: u64,
    /// All frames up to this number are durable in both logs.
    pub covered: u64,
    /// The places of the bytes in both logs.
    pub places: PerLog<Place>,
}

/// A range of bytes in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::journal) struct Place {
    /// The offset from the beginning of the file.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
}

/// A complete frame.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::journal) struct Frame<'a> {
    pub head: Head,
    /// What was appended to each log.
    pub bytes: PerLog<&'a [u8]>,
}

impl Head {
    /// The length of the frame in bytes, padding included. `None` if it overflows.
    pub(in crate::journal) fn frame_bytes(&self) -> Option<u64> {
        let len = self.content_bytes()?;
        u64::try_from(len.checked_next_multiple_of(BLOCK_BYTES)?).ok()
    }

    fn content_bytes(&self) -> Option<usize> {
        let [endpoint, access] = [Log::Endpoint, Log::Access].map(|log| self.places[log].len);
        // Checked, because the lengths of a damaged head may be any numbers.
        let bytes = usize::try_from(endpoint.checked_add(access)?).ok()?;
        HEAD_BYTES.checked_add(bytes)
    }

    /// Reads the head of a frame at the start of `block`. Does not check that the frame is intact.
    pub(in crate::journal) fn decode(block: &[u8]) -> Option<Self> {
        let (magic, rest) = block.split_first_chunk()?;
        let (_checksum, rest) = rest.split_first_chunk::<16>()?;
        let (words, _) = rest.as_chunks::<8>();
        let [
            life,
            number,
            synced,
            covered,
            at,
            len,
            access_at,
            access_len,
        ] = words.first_chunk::<WORDS>()?.map(u64::from_le_bytes);
        let place = |offset, len| Place { offset, len };
        let places = PerLog::new(place(at, len), place(access_at, access_len));
        (*magic == MAGIC).then_some(Self {
            life,
            number,
            synced,
            covered,
            places,
        })
    }

    fn words(&self) -> [u64; WORDS] {
        let [endpoint, access] = [Log::Endpoint, Log::Access].map(|log| self.places[log]);
        [
            self.life,
            self.number,
            self.synced,
            self.covered,
            endpoint.offset,
            endpoint.len,
            access.offset,
            access.len,
        ]
    }
}

/// The length of the frame of an entry, padding included.
pub(in crate::journal) fn frame_bytes(entry: &Entry) -> u64 {
    let len = HEAD_BYTES.saturating_add(entry.bytes());
    let padded = len.checked_next_multiple_of(BLOCK_BYTES);
    padded
        .and_then(|len| u64::try_from(len).ok())
        .unwrap_or(u64::MAX)
}

/// Rounds a length down to whole blocks.
pub(in crate::journal) fn whole_blocks(len: u64) -> u64 {
    len.saturating_sub(len % BLOCK)
}

/// Replaces the content of `out` with a frame. The lengths in `head` must be those of `entry`.
pub(in crate::journal) fn encode(head: &Head, entry: &Entry, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 16]);
    head.words()
        .iter()
        .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    out.extend_from_slice(&entry.endpoint);
    out.extend_from_slice(&entry.access);
    // Compute the checksum before the padding is added, because it does not cover the padding.
    let sum = checksum(out);
    if let Some(place) = out.get_mut(CHECKSUM_AT..WORDS_AT) {
        place.copy_from_slice(&sum);
    }
    out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`. More bytes may follow the frame. `None` if the
    /// frame is not intact.
    pub(in crate::journal) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::decode(bytes)?;
        let content = bytes.get(..head.content_bytes()?)?;
        if content.get(CHECKSUM_AT..WORDS_AT)? != checksum(content) {
            return None;
        }
        let len = usize::try_from(head.places[Log::Endpoint].len).ok()?;
        let (endpoint, access) = content.get(HEAD_BYTES..)?.split_at_checked(len)?;
        let bytes = PerLog::new(endpoint, access);
        Some(Self { head, bytes })
    }
}

/// The checksum of everything after the checksum's own field.
fn checksum(content: &[u8]) -> [u8; 16] {
    // The hash needs no secret key: it only detects damage, and no sender can forge a frame (see
    // `MAGIC`).
    let mut hasher = SipHasher13::new();
    hasher.write(content.get(WORDS_AT..).unwrap_or_default());
    hasher.finish128().as_u128().to_le_bytes()
}

/// A frame with these numbers: life, number, synced, covered, and the offsets in both logs.
#[cfg(fuzzing)]
pub(crate) fn of_parts(numbers: [u64; 6], endpoint: &[u8], access: &[u8]) -> Vec<u8> {
    let [life, number, synced, covered, at, access_at] = numbers;
    let place = |offset, bytes: &[u8]| Place {
        offset,
        len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    };
    let head = Head {
        life,
        number,
        synced,
        covered,
        places: PerLog::new(place(at, endpoint), place(access_at, access)),
    };
    let entry = Entry {
        endpoint: endpoint.to_vec(),
        access: access.to_vec(),
        ..Entry::default()
    };
    let mut bytes = Vec::new();
    encode(&head, &entry, &mut bytes);
    bytes
}

/// Decodes a frame and encodes it again.
#[cfg(fuzzing)]
pub(crate) fn again(bytes: &[u8]) -> Option<Vec<u8>> {
    let Frame { head, bytes } = Frame::decode(bytes)?;
    let [endpoint, access] = [Log::Endpoint, Log::Access].map(|log| head.places[log].offset);
    let numbers = [
        head.life,
        head.number,
        head.synced,
        head.covered,
        endpoint,
        access,
    ];
    Some(of_parts(numbers, bytes[Log::Endpoint], bytes[Log::Access]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            // More than a block, so that some of the cuts are at the end of a block.
            endpoint: b"[a]\n\n".repeat(1000),
            access: b"[b]\n".to_vec(),
            ..Entry::default()
        }
    }

    fn head(entry: &Entry) -> Head {
        let len = |log| u64::try_from(entry.of(log).len()).unwrap();
        let place = |log, offset| Place {
            offset,
            len: len(log),
        };
        Head {
            life: 3,
            number: 70,
            synced: 69,
            covered: 12,
            places: PerLog::new(place(Log::Endpoint, 1 << 40), place(Log::Access, 5)),
        }
    }

    #[test]
    fn a_frame_survives_a_round_trip_and_a_damaged_or_torn_one_is_rejected() {
        let entry = entry();
        let head = head(&entry);
        let mut bytes = Vec::new();
        encode(&head, &entry, &mut bytes);
        assert_eq!(bytes.len(), 2 * BLOCK_BYTES);
        assert_eq!(head.frame_bytes(), Some(2 * BLOCK));
        assert_eq!(frame_bytes(&entry), 2 * BLOCK);
        let content = head.content_bytes().unwrap();
        let frame = Frame::decode(&bytes).unwrap();
        assert_eq!(frame.head, head);
        assert_eq!(frame.bytes[Log::Endpoint], entry.endpoint);
        assert_eq!(frame.bytes[Log::Access], entry.access);
        for place in 0..content {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert_eq!(Frame::decode(&damaged), None, "byte {place}");
            assert_eq!(Frame::decode(&bytes[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn the_format_matches_the_golden_file() {
        let entry = Entry {
            endpoint: b"[a]\n\n".to_vec(),
            access: b"[b]\n".to_vec(),
            ..Entry::default()
        };
        let mut bytes = Vec::new();
        encode(&head(&entry), &entry, &mut bytes);
        let golden = include_bytes!("../../../tests/golden/frame.1");
        assert_eq!(bytes, golden, "a changed format needs another version");
    }

    #[test]
    fn a_frame_with_impossible_lengths_is_rejected() {
        let entry = entry();
        let mut head = head(&entry);
        let mut bytes = Vec::new();
        for len in [u64::MAX, u64::MAX / 2, 1 << 40] {
            head.places[Log::Access].len = len;
            encode(&head, &entry, &mut bytes);
            assert_eq!(Frame::decode(&bytes), None, "{len}");
        }
    }
}
