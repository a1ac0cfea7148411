//! What a start found in the logs, and what it did about it.

use crate::journal::logs::per_log::Log;

/// What was found when the logs were opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// The torn ends that were truncated.
    pub torn: Vec<TornTail>,
    /// The logs in which bytes that are not a record precede complete records.
    pub damaged: Vec<DamagedLog>,
    /// What was restored from the commit log.
    pub replayed: Replayed,
}

/// What was restored from the commit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Frames that were replayed. Each is the copy of a batch.
    pub frames: u64,
    /// Parts of frames that did not fit at their offsets and were appended.
    pub appended: u64,
    /// Frames that had been synced and cannot be read.
    pub missing: u64,
}

/// A torn end that was truncated and set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub log: Log,
    /// The offset of the truncation: the new length.
    pub offset: u64,
    /// The number of bytes that were truncated.
    pub bytes: u64,
    /// Whether the truncated bytes were saved in the `.torn` file. If the disk is full, they are
    /// not.
    pub is_kept: bool,
}

/// Damage in the part of a file that recovery reads. None of it was truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedLog {
    /// The file.
    pub log: Log,
    /// The offset of the first damaged place, in bytes.
    pub offset: u64,
    /// The number of damaged places.
    pub places: usize,
}
