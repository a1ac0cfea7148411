//! The file of the commit log: filled with zeros once, then overwritten with frames, half by half.
//!
//! Each frame is the copy of a batch. The two halves of the file are used in turn. A life is one
//! use of a half; lives are numbered.

use std::io;

use crate::disk::{DiskFile, FileId};
use crate::journal::Entry;
use crate::journal::commit::frame::{self, BLOCK, Head, Place};
use crate::journal::commit::replay::Found;
use crate::journal::logs::{Log, LogsSynced, PerLog};

/// Zeros are written in chunks of this size.
const PIECE_BYTES: u64 = 1024 * 1024;

/// A commit log that is ready for frames.
pub(super) struct Segment {
    file: Box<dyn DiskFile>,
    id: FileId,
    half_bytes: u64,
    life: u64,
    /// The offset of the next frame within its half.
    place: u64,
    numbers: Numbers,
    /// For each half, the offset in it from which on all bytes are zeros.
    used: [u64; 2],
    buffer: Vec<u8>,
}

/// The progress of frames. Each field is the number of a frame.
struct Numbers {
    /// The last one written.
    written: u64,
    /// The last one synced.
    synced: u64,
    /// All frames up to this number are durable in the logs.
    covered: u64,
    /// The last one in the other half.
    other_half: u64,
    /// The last checkpoint that was synced.
    checkpoint: u64,
}

impl Segment {
    /// Starts a new life after the frames in `found`. All of them must already be durable in the
    /// logs.
    pub(super) fn begin(file: Box<dyn DiskFile>, found: &Found) -> io::Result<Self> {
        // Both halves begin at a block, because a start looks for frames at blocks only.
        let half_bytes = frame::whole_blocks(file.len()? / 2);
        let used = |start: u64| found.used.saturating_sub(start).min(half_bytes);
        let last = found.number;
        let mut segment = Self {
            id: file.identity()?,
            file,
            half_bytes,
            // A new life, so that a start distinguishes its frames from those that are left.
            life: found.life.saturating_add(1),
            place: 0,
            numbers: Numbers {
                written: last,
                synced: last,
                covered: last,
                other_half: last,
                checkpoint: 0,
            },
            used: [used(0), used(half_bytes)],
            buffer: Vec::new(),
        };
        segment.write_checkpoint()?;
        Ok(segment)
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// The length of both halves, which is the part of the file that takes frames.
    pub(super) fn len(&self) -> u64 {
        self.half_bytes.saturating_mul(2)
    }

    /// Whether somebody shortened the file.
    pub(super) fn is_cut(&self) -> bool {
        self.file.len().is_ok_and(|len| len < self.len())
    }

    /// How many bytes of the current half are in use.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// The number of the last frame.
    pub(super) fn number(&self) -> u64 {
        self.numbers.written
    }

    /// Whether all frames are durable in the logs.
    pub(super) fn is_covered(&self) -> bool {
        self.numbers.covered >= self.numbers.written
    }

    /// Whether all frames of the other half are durable in the logs.
    pub(super) fn is_other_half_covered(&self) -> bool {
        self.numbers.covered >= self.numbers.other_half
    }

    /// Whether the next start has nothing to replay.
    pub(super) fn is_checkpointed(&self) -> bool {
        self.numbers.checkpoint == self.numbers.written
    }

    /// Whether the commit log takes the frame of an entry. The frame must fill at most 50% of a
    /// half. The half must also have room for the checkpoints at its beginning and at its end.
    pub(super) fn fits(&self, entry: &Entry) -> bool {
        let bytes = frame::frame_bytes(entry);
        bytes <= self.half_bytes / 2 && bytes.saturating_add(2 * BLOCK) <= self.half_bytes
    }

    /// Whether the current half has room for the entry's frame and a checkpoint after it.
    pub(super) fn has_room(&self, entry: &Entry) -> bool {
        let end = self.place.saturating_add(frame::frame_bytes(entry));
        end.saturating_add(BLOCK) <= self.half_bytes
    }

    /// Writes a frame with a batch and its offsets in the logs. Does not sync.
    pub(super) fn append(&mut self, entry: &Entry, offsets: PerLog<u64>) -> io::Result<()> {
        let place = |log| Place {
            offset: offsets[log],
            len: u64::try_from(entry.of(log).len()).unwrap_or(u64::MAX),
        };
        let number = self.numbers.written.saturating_add(1);
        let head = Head {
            life: self.life,
            number,
            synced: self.numbers.synced,
            covered: self.numbers.covered,
            places: PerLog::new(place(Log::Endpoint), place(Log::Access)),
        };
        frame::encode(&head, entry, &mut self.buffer);
        let half = self.half();
        let at = self.start_of(half).saturating_add(self.place);
        self.file.write_at(&self.buffer, at)?;
        self.place = self.place.saturating_add(frame::frame_bytes(entry));
        if let Some(used) = self.used.get_mut(half) {
            *used = self.place.max(*used);
        }
        self.numbers.written = number;
        Ok(())
    }

    /// Makes all frames durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.numbers.synced = self.numbers.written;
        Ok(())
    }

    /// Records that the logs are durable up to the mark of a sync: the number of a frame.
    pub(super) fn cover(&mut self, synced: &LogsSynced) {
        // A sync on the other thread may be reported after a later one on this thread.
        self.numbers.covered = self.numbers.covered.max(synced.mark());
    }

    /// Writes and syncs a frame without bytes for the logs. The frame records which frames are
    /// durable in the logs. If all frames are durable there and the half is full, the new frame
    /// becomes the first one of the other half.
    pub(super) fn write_checkpoint(&mut self) -> io::Result<()> {
        if !self.has_room(&Entry::default()) && self.is_covered() {
            return self.turn();
        }
        self.say_what_is_covered()
    }

    fn say_what_is_covered(&mut self) -> io::Result<()> {
        let is_covered = self.is_covered();
        self.append(&Entry::default(), PerLog::default())?;
        self.sync()?;
        if is_covered {
            // The checkpoint itself has no bytes that the logs could lack.
            self.numbers.covered = self.numbers.written;
            self.numbers.checkpoint = self.numbers.written;
        }
        Ok(())
    }

    /// Continues in the other half and overwrites its frames, which must be durable in the logs.
    /// The first new frame records that they are durable. If a power cut tears the new frame, a
    /// start replays the old frames that are left. The replay changes nothing, because the logs
    /// already have the same bytes at the same offsets.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        if !self.is_other_half_covered() {
            return Err(io::Error::other("the logs lack frames of the other half"));
        }
        self.life = self.life.saturating_add(1);
        self.place = 0;
        self.numbers.other_half = self.numbers.written;
        self.say_what_is_covered()
    }

    /// Overwrites everything with zeros, except the checkpoint, which is the last frame. So message
    /// contents do not stay here for longer than in the logs. The zeros are not synced: nothing
    /// depends on them, and a stop has little time.
    pub(super) fn erase(&mut self) -> io::Result<()> {
        let half = self.half();
        for (other, used) in (0_usize..).zip(self.used) {
            let start = self.start_of(other);
            let end = start.saturating_add(used);
            if other == half {
                let last = start.saturating_add(self.place).saturating_sub(BLOCK);
                self.erase_range(start, last)?;
                self.erase_range(last.saturating_add(BLOCK), end)?;
            } else {
                self.erase_range(start, end)?;
            }
        }
        self.used = [0; 2];
        if let Some(used) = self.used.get_mut(half) {
            *used = self.place;
        }
        Ok(())
    }

    fn erase_range(&mut self, mut place: u64, end: u64) -> io::Result<()> {
        while place < end {
            let len = end.saturating_sub(place).min(PIECE_BYTES);
            self.buffer.clear();
            self.buffer
                .resize(usize::try_from(len).map_err(io::Error::other)?, 0);
            self.file.write_at(&self.buffer, place)?;
            place = place.saturating_add(len);
        }
        Ok(())
    }

    /// The half that is being written: even lives use the first.
    fn half(&self) -> usize {
        usize::from(self.life % 2 == 1)
    }

    fn start_of(&self, half: usize) -> u64 {
        if half == 0 { 0 } else { self.half_bytes }
    }
}
