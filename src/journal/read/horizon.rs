//! The horizon: how far a file may be read. All reads go through it.
//!
//! A process other than `serve` cannot know what is committed, so it reads to the end of the file.
//! Within `serve`, a horizon ends at the high-water mark of the commits, so that a reader never
//! sees a row that a failed sync may still cut off.

use std::io;

use crate::disk::{DiskFile, FileId, read_exact_at};
use crate::journal::read::spans::{Next, boundaries, split};

/// How many bytes are read first to find the end of the last row. The number is doubled until that
/// end is found.
const WINDOW_BYTES: usize = 64 * 1024;

/// How far files may be read.
pub enum Horizon {
    /// To the end of the file: for a process other than `serve`.
    FileEnd,
    /// To the end of the last acknowledged batch, as published by the journal: how many bytes of a
    /// file are committed, or `u64::MAX` if it is no longer written.
    Committed(Box<dyn Fn(FileId) -> u64 + Send>),
}

/// How many bytes of a file may be read. Only a [`Horizon`] creates this value, so no code can read
/// further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readable(u64);

impl Horizon {
    pub(super) fn readable(&self, file: &dyn DiskFile, id: FileId) -> io::Result<Readable> {
        // Read the mark before the length: in this order the mark is never beyond the end of the
        // file.
        let committed = self.committed(id);
        Ok(Readable(file.len()?.min(committed)))
    }

    /// How many bytes of a file are committed, as far as that is known.
    pub(super) fn committed(&self, id: FileId) -> u64 {
        match self {
            Self::FileEnd => u64::MAX,
            Self::Committed(mark) => mark(id),
        }
    }
}

impl Readable {
    pub(super) fn len(self) -> u64 {
        self.0
    }

    /// Whether a read of `bytes` bytes from `from` ends at the horizon.
    pub(super) fn ends_within(self, from: u64, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        from.saturating_add(bytes) >= self.0
    }

    /// Reads up to `bytes_max` bytes from `from`, and none beyond the horizon. Returns nothing if
    /// somebody truncated the file meanwhile.
    pub(super) fn read(
        self,
        file: &dyn DiskFile,
        from: u64,
        bytes_max: usize,
    ) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.0.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(bytes_max)];
        // An early end of the file means that somebody truncated it after its length was read.
        match read_exact_at(file, &mut bytes, from) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            read => read.map(|()| bytes),
        }
    }

    /// The end of the last complete row. Bytes after it may belong to a row that is still being
    /// written.
    pub(super) fn last_row_end(self, file: &dyn DiskFile) -> io::Result<u64> {
        let mut window = WINDOW_BYTES;
        loop {
            let start = self.0.saturating_sub(length(window));
            let bytes = self.read(file, start, window)?;
            let first = boundaries(&bytes, start == 0).first().copied();
            let end = first.and_then(|first| {
                let end = split(bytes.get(first..)?, Next::Unknown).end;
                (end > 0).then(|| first.saturating_add(end))
            });
            match end {
                Some(end) => return Ok(start.saturating_add(length(end))),
                None if start == 0 => return Ok(0),
                // A row may be larger than the window.
                None => window = window.saturating_mul(2),
            }
        }
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
