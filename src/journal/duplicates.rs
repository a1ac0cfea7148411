//! Recognises duplicates by the fingerprints of the last million durable notifications.
//!
//! Fingerprints depend on a random key, so that no publisher can construct two messages with the
//! same fingerprint. A snapshot of the fingerprints is stored beside the log. It names the offset
//! in the log up to which it is complete, and a start reads only what follows. The snapshot is only
//! a shortcut: if it is missing, damaged or does not match the logs, a start reads the logs
//! instead.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, BufReader, SeekFrom};

use siphasher::sip128::{Hasher128, SipHasher13};
use tracing::warn;

use crate::journal::read::{self, Records};
use crate::journal::{Log, LogFiles};

/// How many fingerprints are remembered. They take about 50 MiB.
const REMEMBERED_MAX: usize = 1_000_000;
/// A digest of this many bytes before an offset identifies the offset.
const LANDMARK_BYTES: u64 = 4096;
const MAGIC: &[u8; 16] = b"mns-endpoint se1";

/// A keyed digest of a [`NotificationKey`](crate::journal::NotificationKey).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

/// The key from which fingerprints are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprints([u8; 16]);

impl Fingerprints {
    pub(super) fn of(self, parts: [&[u8]; 4]) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        for part in parts {
            // Hash the length of each part too, so that moving a byte from one part to the next
            // changes the digest.
            hasher.write(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.write(part);
        }
        Fingerprint(hasher.finish128().as_u128())
    }
}

/// The hasher of the set of fingerprints. A fingerprint is already random, so its first eight bytes
/// serve as its hash.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The trait requires this function, but nothing calls it: a `Fingerprint` is hashed with
        // `write_u128`.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, fingerprint: u128) {
        let [a, b, c, d, e, f, g, h, ..] = fingerprint.to_ne_bytes();
        self.0 = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    }
}

/// The last fingerprints, in the order in which they were inserted.
#[derive(Debug)]
pub(super) struct RecentNotifications {
    key: Fingerprints,
    known: HashSet<Fingerprint, BuildHasherDefault<AsItIs>>,
    order: VecDeque<Fingerprint>,
    /// The maximum number of fingerprints: [`REMEMBERED_MAX`], or fewer in a test.
    max: usize,
}

/// An offset in the endpoint log, identified by the bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Landmark {
    offset: u64,
    before: Fingerprint,
}

impl RecentNotifications {
    fn new() -> Self {
        Self::with_key(rand::random())
    }

    fn with_key(key: [u8; 16]) -> Self {
        Self {
            key: Fingerprints(key),
            known: HashSet::default(),
            order: VecDeque::new(),
            max: REMEMBERED_MAX,
        }
    }

    pub(super) fn key(&self) -> Fingerprints {
        self.key
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.order.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.known.contains(&fingerprint)
    }

    pub(super) fn insert(&mut self, fingerprint: Fingerprint) {
        if !self.known.insert(fingerprint) {
            return;
        }
        self.order.push_back(fingerprint);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Reads the snapshot and the logs. A log that cannot be read is reported and skipped: it does
    /// not make the start fail.
    pub(super) fn load(files: &LogFiles) -> Self {
        // If the snapshot is missing or damaged, the start only takes longer, because it reads the
        // logs instead.
        let snapshot = files
            .load_snapshot()
            .ok()
            .and_then(|bytes| Self::decode(&bytes));
        let mut rotated = files.rotated(Log::Endpoint).unwrap_or_else(|error| {
            warn!(%error, "Cannot list rotated logs: duplicates of notifications in them are not \
                recognised");
            Vec::new()
        });
        let mut numbers: Vec<Option<u64>> = rotated.drain(..).map(Some).collect();
        // `None` is the live file, which is the newest.
        numbers.push(None);
        let (mut seen, landmark) =
            snapshot.map_or_else(|| (Self::new(), None), |(seen, at)| (seen, Some(at)));
        // Reads from the newest file backwards, until it has read the file in which the snapshot's
        // landmark (an offset and a digest of the bytes before it) is found, or has found a million
        // fingerprints.
        let mut newest_first = Vec::new();
        // Counts without repeats, because a notification that was logged several times is
        // remembered once.
        let mut distinct = HashSet::<Fingerprint, BuildHasherDefault<AsItIs>>::default();
        for number in numbers.into_iter().rev() {
            let found = read_file(files, number, seen.key, landmark).unwrap_or_else(|error| {
                warn!(%error, ?number, "Cannot read a log: duplicates of notifications in it are \
                    not recognised");
                (Vec::new(), false)
            });
            distinct.extend(&found.0);
            newest_first.push(found.0);
            if found.1 || distinct.len() >= seen.max {
                break;
            }
        }
        // Insert the oldest fingerprints first, so that they are also evicted first.
        newest_first
            .into_iter()
            .rev()
            .flatten()
            .for_each(|fingerprint| seen.insert(fingerprint));
        seen
    }

    /// Saves a snapshot that covers the live endpoint log up to `offset`.
    pub(super) fn save(&self, files: &LogFiles, offset: u64) -> io::Result<()> {
        let before = files.before(Log::Endpoint, offset, LANDMARK_BYTES)?;
        files.save_snapshot(&self.encode(Landmark {
            offset,
            before: self.landmark(&before),
        }))
    }

    fn landmark(&self, before: &[u8]) -> Fingerprint {
        // The last part names the purpose, so that a landmark's digest equals no digest of another
        // kind.
        self.key.of([before, b"", b"", b"landmark"])
    }

    fn encode(&self, landmark: Landmark) -> Vec<u8> {
        // 80: magic, key, offset, landmark and checksum have 16 bytes each.
        let mut out = Vec::with_capacity(self.order.len().saturating_mul(16).saturating_add(80));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&u128::from(landmark.offset).to_le_bytes());
        for fingerprint in std::iter::once(&landmark.before).chain(&self.order) {
            out.extend_from_slice(&fingerprint.0.to_le_bytes());
        }
        let checksum = self.key.of([&out, b"", b"", b"checksum"]);
        out.extend_from_slice(&checksum.0.to_le_bytes());
        out
    }

    /// `None` if the snapshot is damaged.
    fn decode(bytes: &[u8]) -> Option<(Self, Landmark)> {
        let (content, checksum) = bytes.split_last_chunk::<16>()?;
        let (words, []) = content.as_chunks::<16>() else {
            return None;
        };
        let [magic, key, offset, before, rest @ ..] = words else {
            return None;
        };
        let mut seen = Self::with_key(*key);
        if magic != MAGIC
            || seen
                .key
                .of([content, b"", b"", b"checksum"])
                .0
                .to_le_bytes()
                != *checksum
        {
            return None;
        }
        let word = |bytes: &[u8; 16]| u128::from_le_bytes(*bytes);
        rest.iter()
            .for_each(|bytes| seen.insert(Fingerprint(word(bytes))));
        let landmark = Landmark {
            offset: u64::try_from(word(offset)).ok()?,
            before: Fingerprint(word(before)),
        };
        Some((seen, landmark))
    }
}

/// The fingerprints in a file, and whether it contains the landmark. If it does, only the
/// fingerprints after the landmark are returned.
fn read_file(
    files: &LogFiles,
    number: Option<u64>,
    key: Fingerprints,
    landmark: Option<Landmark>,
) -> io::Result<(Vec<Fingerprint>, bool)> {
    // The buffer is large, because a start may read gigabytes of logs.
    let mut input = BufReader::with_capacity(1024 * 1024, files.read(Log::Endpoint, number)?);
    let is_here = match landmark {
        Some(landmark) => is_at(&mut input, landmark, key)?,
        None => false,
    };
    if !is_here {
        io::Seek::seek(&mut input, SeekFrom::Start(0))?;
    }
    let mut records = Records::new(Log::Endpoint, input);
    let mut found = Vec::new();
    while let Some(record) = records.next_whole()? {
        found.extend(read::accepted(record).map(|identity| key.of(identity.parts())));
    }
    Ok((found, is_here))
}

/// Seeks to the landmark, if this file contains it. Offset 0 has no bytes before it, so it
/// identifies no file.
fn is_at<R: io::Read + io::Seek>(
    input: &mut R,
    landmark: Landmark,
    key: Fingerprints,
) -> io::Result<bool> {
    if landmark.offset == 0 || input.seek(SeekFrom::End(0))? < landmark.offset {
        return Ok(false);
    }
    let len = landmark.offset.min(LANDMARK_BYTES);
    let mut before = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    input.seek(SeekFrom::Start(landmark.offset.saturating_sub(len)))?;
    input.read_exact(&mut before)?;
    Ok(key.of([&before, b"", b"", b"landmark"]) == landmark.before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(seen: &RecentNotifications, number: usize) -> Fingerprint {
        seen.key()
            .of([b"1", b"t", b"s", number.to_string().as_bytes()])
    }

    #[test]
    fn the_last_million_is_remembered_and_older_ones_are_evicted() {
        const MAX: usize = 1000;
        let mut seen = RecentNotifications::new();
        assert_eq!(seen.max, 1_000_000, "as docs/metrics.md says");
        seen.max = MAX;
        for number in 0..=MAX {
            seen.insert(fingerprint(&seen, number));
        }
        assert!(!seen.contains(fingerprint(&seen, 0)));
        assert!(seen.contains(fingerprint(&seen, 1)) && seen.contains(fingerprint(&seen, MAX)));
        assert_eq!((seen.known.len(), seen.order.len()), (MAX, MAX));
    }

    #[test]
    fn a_snapshot_survives_a_round_trip_and_a_damaged_one_is_rejected() {
        let mut seen = RecentNotifications::new();
        (0..10).for_each(|number| seen.insert(fingerprint(&seen, number)));
        let landmark = Landmark {
            offset: 7,
            before: seen.landmark(b"before"),
        };
        let bytes = seen.encode(landmark);
        let (again, found) = RecentNotifications::decode(&bytes).unwrap();
        assert_eq!((again.order, found), (seen.order, landmark));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(
                RecentNotifications::decode(&damaged).is_none(),
                "byte {place}"
            );
            assert!(
                RecentNotifications::decode(&bytes[..place]).is_none(),
                "cut at {place}"
            );
        }
    }

    #[test]
    fn every_part_and_every_boundary_changes_the_fingerprint() {
        let key = Fingerprints([7; 16]);
        let all = [
            [&b"a"[..], b"b", b"c", b"d"],
            [b"ab", b"", b"c", b"d"],
            [b"a", b"b", b"cd", b""],
            [b"", b"b", b"c", b"d"],
            [b"a", b"b", b"", b"d"],
        ];
        let different: HashSet<Fingerprint> = all.into_iter().map(|parts| key.of(parts)).collect();
        assert_eq!(different.len(), all.len());
        assert_ne!(key.of(all[0]), Fingerprints([8; 16]).of(all[0]));
    }
}
